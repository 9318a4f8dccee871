import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { identify } from '../../src/access/api-keys.js';
import type { ApiKey } from '../../src/config.js';

const NOW = new Date('2026-06-01T12:00:00Z');
const keyOf = (token: string, rest: Partial<ApiKey> = {}): ApiKey => ({
  name: token,
  role: 'BACKEND',
  sha256: createHash('sha256').update(token).digest('hex'),
  ...rest,
});

describe('whoever presents an API key', () => {
  const keys = [keyOf('portal'), keyOf('console', { role: 'OPS' }), keyOf('old', { expiresAt: NOW })];

  it('is known by the name and the role of the key, and by nothing else of it', () => {
    expect(identify(keys, 'Bearer portal', NOW)).toEqual({ name: 'portal', role: 'BACKEND' });
    expect(identify(keys, 'Bearer console', NOW)).toEqual({ name: 'console', role: 'OPS' });
  });

  it.each(['bearer portal', 'BEARER portal', 'Bearer   portal'])('may write %j', (header) => {
    expect(identify(keys, header, NOW)?.name).toBe('portal');
  });

  it.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'portal',
    'Basic portal',
    'Bearer Portal',
    'Bearer portal2',
    'Bearer porta',
    'Bearer portal console',
    'xBearer portal',
    `Bearer ${keys[0]?.sha256}`,
  ])('is nobody with %j', (header) => {
    expect(identify(keys, header, NOW)).toBeNull();
  });

  it('is nobody from the moment that the key expires', () => {
    const key = keyOf('temporary', { expiresAt: NOW });

    expect(identify([key], 'Bearer temporary', new Date(NOW.getTime() - 1))).toEqual({
      name: 'temporary',
      role: 'BACKEND',
    });
    expect(identify([key], 'Bearer temporary', NOW)).toBeNull();
    expect(identify(keys, 'Bearer old', NOW)).toBeNull();
  });

  it('may do everything where there are no keys, which is on a loopback address alone', () => {
    expect(identify([], undefined, NOW)).toEqual({ name: 'local', role: 'OPS' });
    expect(identify([], 'Bearer anything', NOW)).toEqual({ name: 'local', role: 'OPS' });
  });
});
