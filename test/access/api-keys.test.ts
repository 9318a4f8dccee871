import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { identify } from '../../src/access/api-keys.js';
import type { ApiKey, Role } from '../../src/config.js';

const NOW = new Date('2026-06-01T12:00:00Z');
const keyOf = (token: string, rest: Partial<ApiKey> = {}): ApiKey => ({
  name: token,
  role: 'BACKEND',
  sha256: createHash('sha256').update(token).digest('hex'),
  ...rest,
});
const known = (name: string, role: Role) => ({ identity: { name, role }, refusal: null });

describe('whoever presents an API key', () => {
  const keys = [keyOf('portal'), keyOf('console', { role: 'OPS' }), keyOf('old', { expiresAt: NOW })];

  it('is known by the name and the role of the key, and by nothing else of it', () => {
    expect(identify(keys, 'Bearer portal', NOW)).toEqual(known('portal', 'BACKEND'));
    expect(identify(keys, 'Bearer console', NOW)).toEqual(known('console', 'OPS'));
  });

  it.each(['bearer portal', 'BEARER portal', 'Bearer   portal'])('may write %j', (header) => {
    expect(identify(keys, header, NOW)).toEqual(known('portal', 'BACKEND'));
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'portal', 'Basic portal', 'Bearer portal console', 'xBearer portal'])(
    'is nobody with %j, which is no key',
    (header) => {
      expect(identify(keys, header, NOW)).toEqual({ identity: null, refusal: 'no key' });
    },
  );

  it.each(['Bearer Portal', 'Bearer portal2', 'Bearer porta', `Bearer ${keys[0]?.sha256}`])(
    'is nobody with %j, which is not a key of ours',
    (header) => {
      expect(identify(keys, header, NOW)).toEqual({ identity: null, refusal: 'unknown key' });
    },
  );

  it('is turned away from the moment that the key expires, and still has its name', () => {
    const key = keyOf('temporary', { expiresAt: NOW });
    const identity = { name: 'temporary', role: 'BACKEND' };

    expect(identify([key], 'Bearer temporary', new Date(NOW.getTime() - 1))).toEqual({ identity, refusal: null });
    expect(identify([key], 'Bearer temporary', NOW)).toEqual({ identity, refusal: 'the key is expired' });
    expect(identify(keys, 'Bearer old', NOW).refusal).toBe('the key is expired');
  });

  it('may do everything where there are no keys, which is on a loopback address alone', () => {
    expect(identify([], undefined, NOW)).toEqual(known('local', 'OPS'));
    expect(identify([], 'Bearer anything', NOW)).toEqual(known('local', 'OPS'));
  });
});
