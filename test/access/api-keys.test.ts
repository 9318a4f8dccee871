import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { identify } from '../../src/access/api-keys.js';
import type { ApiKey, Role } from '../../src/access-settings.js';

const NOW = new Date('2026-06-01T12:00:00Z');
const keyOf = (token: string, rest: Partial<ApiKey> = {}): ApiKey => ({
  name: token,
  role: 'BACKEND',
  sha256: createHash('sha256').update(token).digest('hex'),
  ...rest,
});
const known = (name: string, role: Role) => ({ identity: { name, role }, refusal: null });
const unknown = (reason: string) => ({ identity: null, refusal: { reason, isForeign: false } });
const bearing = (authorization: string | undefined, origin?: string) => ({ authorization, origin });

describe('whoever presents an API key', () => {
  const keys = [keyOf('portal'), keyOf('console', { role: 'OPS' }), keyOf('old', { expiresAt: NOW })];

  it('is known by the name and the role of the key, and by nothing else of it', () => {
    expect(identify(keys, bearing('Bearer portal'), NOW)).toEqual(known('portal', 'BACKEND'));
    expect(identify(keys, bearing('Bearer console'), NOW)).toEqual(known('console', 'OPS'));
  });

  it.each(['bearer portal', 'BEARER portal', 'Bearer   portal'])('may write %j', (header) => {
    expect(identify(keys, bearing(header), NOW)).toEqual(known('portal', 'BACKEND'));
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'portal', 'Basic portal', 'Bearer portal console', 'xBearer portal'])(
    'is nobody with %j, which is no key',
    (header) => {
      expect(identify(keys, bearing(header), NOW)).toEqual(unknown('no key'));
    },
  );

  it.each(['Bearer Portal', 'Bearer portal2', 'Bearer porta', `Bearer ${keys[0]?.sha256}`])(
    'is nobody with %j, which is not a key of ours',
    (header) => {
      expect(identify(keys, bearing(header), NOW)).toEqual(unknown('unknown key'));
    },
  );

  it('is turned away from the moment that the key expires, and still has its name', () => {
    const key = keyOf('temporary', { expiresAt: NOW });
    const identity = { name: 'temporary', role: 'BACKEND' };

    const refusal = { reason: 'the key is expired', isForeign: false };
    const presented = bearing('Bearer temporary');

    expect(identify([key], presented, new Date(NOW.getTime() - 1))).toEqual({ identity, refusal: null });
    expect(identify([key], presented, NOW)).toEqual({ identity, refusal });
    expect(identify(keys, bearing('Bearer old'), NOW).refusal).toEqual(refusal);
  });

  it('may do everything where there are no keys, which is on a loopback address alone', () => {
    expect(identify(null, bearing(undefined), NOW)).toEqual(known('local', 'OPS'));
    expect(identify(null, bearing('Bearer anything'), NOW)).toEqual(known('local', 'OPS'));
  });

  it('is nobody where there are to be keys and none is left', () => {
    expect(identify([], bearing(undefined), NOW)).toEqual(unknown('no key'));
    expect(identify([], bearing('Bearer portal'), NOW)).toEqual(unknown('unknown key'));
  });
});

describe('a key with origins', () => {
  const widget = keyOf('widget', { role: 'GUEST', origins: ['https://shop.example.com', 'http://127.0.0.1:8080'] });
  const identity = { name: 'widget', role: 'GUEST' };
  const from = (origin?: string) => identify([widget, keyOf('portal')], bearing('Bearer widget', origin), NOW);

  it.each(widget.origins!)('is good from %s', (origin) => {
    expect(from(origin)).toEqual({ identity, refusal: null });
  });

  it.each([
    ...['https://evil.example.com', 'http://shop.example.com', 'https://shop.example.com:8443', 'https://example.com'],
    ...['https://x.shop.example.com', 'http://127.0.0.1'],
  ])('is refused from %s, by name', (origin) => {
    const reason = `the origin ${origin} is not one of the key's`;
    expect(from(origin)).toEqual({ identity, refusal: { reason, isForeign: true } });
  });

  it.each([
    'null',
    '',
    'https://shop.example.com/',
    'HTTPS://SHOP.EXAMPLE.COM',
    `https://${'x'.repeat(200)}.com`,
    '4111111111111111',
  ])('is refused from %j, which is no origin and is not repeated', (origin) => {
    const reason = "the origin (of another form) is not one of the key's";
    expect(from(origin)).toEqual({ identity, refusal: { reason, isForeign: true } });
  });

  it('is refused without an origin: every page sends one, so that is a program with a copied key', () => {
    const reason = 'the key is for web pages, and no origin was sent';
    expect(from()).toEqual({ identity, refusal: { reason, isForeign: true } });
  });

  it('does not bind keys without them: programs may send any origin or none', () => {
    const presented = bearing('Bearer portal', 'https://evil.example.com');
    expect(identify([widget, keyOf('portal')], presented, NOW)).toEqual(known('portal', 'BACKEND'));
  });
});
