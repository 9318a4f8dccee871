import type { IncomingMessage } from 'node:http';
import proxyaddr from '@fastify/proxy-addr';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Sent, TrustedProxies } from '../../src/access/client-address.js';
import type { TrustProxy } from '../../src/proxy-settings.js';

const PEER = '10.0.0.1';
const sent = (remoteAddress: string | undefined, forwardedFor?: string): Sent => ({
  socket: { remoteAddress } as IncomingMessage['socket'],
  headers: forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor },
});
const addressOf = (trust: TrustProxy | null, peer: string | undefined, forwardedFor?: string) =>
  new TrustedProxies(trust).addressOf(sent(peer, forwardedFor));

const NETWORKS = ['10.0.0.0/8', '2001:db8:ffff::/48', 'loopback'];
const proxy = fc.oneof(
  fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.${a}.7.${b}`),
  fc.nat(0xffff).map((n) => `2001:db8:ffff::${n.toString(16)}`),
  fc.constantFrom('127.0.0.1', '::1', '::ffff:10.9.8.7'),
);
/** Not of {@link NETWORKS}. */
const client = fc.oneof(
  fc.tuple(fc.integer({ min: 11, max: 126 }), fc.nat(255), fc.nat(255)).map(([a, b, c]) => `${a}.${b}.${c}.1`),
  fc.nat(0xffff).map((n) => `2001:db8:1::${n.toString(16)}`),
);
/** What a client may send, and the first proxy puts what it knows behind. */
const anything = fc.oneof(
  fc.string({ unit: 'binary-ascii', maxLength: 200 }),
  fc.array(fc.oneof(proxy, client, fc.ipV4(), fc.ipV6(), fc.string()), { maxLength: 9 }).map((all) => all.join(', ')),
);

describe('whom a request is from', () => {
  it('is the peer while no proxy is trusted, whatever it sends', () => {
    expect(addressOf(null, PEER, '203.0.113.7')).toBe(PEER);
    expect(addressOf(null, undefined, '203.0.113.7')).toBeUndefined();
  });

  it.each<[string, TrustProxy, string | undefined, string]>([
    ['whom one proxy names', 1, '203.0.113.7', '203.0.113.7'],
    ['whom it names last: the rest is of the client', 1, '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['whom the outer of two names', 2, '198.51.100.1, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['whom the first of a known network names', ['10.0.0.0/8'], '10.0.0.9, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['a proxy that names nobody', 1, undefined, PEER],
    ['a proxy that sends nothing in the header', 1, '', PEER],
    ['the outermost proxy, where all are ours', ['uniquelocal'], '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['as many as are named, where more are trusted', 5, '203.0.113.7', '203.0.113.7'],
    ['the peer, which is not of the network', ['192.0.2.0/24'], '203.0.113.7', PEER],
  ])('is %s', (_what, trust, forwardedFor, expected) => {
    expect(addressOf(trust, PEER, forwardedFor)).toBe(expected);
  });

  it.each([
    ['an IPv4 address and a port', '203.0.113.7:4711', '203.0.113.7'],
    ['an IPv6 address and a port', '[2001:db8::7]:4711', '2001:db8::7'],
    ['an IPv6 address in brackets', '[2001:db8::7]', '2001:db8::7'],
    ['an IPv6 address', '2001:db8::7', '2001:db8::7'],
    ['an IPv4 address as IPv6', '::ffff:203.0.113.7', '::ffff:203.0.113.7'],
    ['blanks around it', '198.51.100.1,\t 203.0.113.7 ', '203.0.113.7'],
  ])('is understood with %s', (_what, forwardedFor, expected) => {
    expect(addressOf(1, PEER, forwardedFor)).toBe(expected);
  });

  it('is found behind proxies that are named with a port', () => {
    const named = '203.0.113.7:80, 10.0.0.3:81, [::ffff:10.0.0.2]:82';
    expect(addressOf(['10.0.0.0/8'], PEER, named)).toBe('203.0.113.7');
  });

  it.each([
    'unknown',
    '_hidden',
    'localhost',
    '1',
    '127.1',
    '0x7f000001',
    '203.0.113.7:',
    '203.0.113.7:999999',
    '203.0.113.300',
    '203.0.113.7/24',
    '[203.0.113.7]',
    '[2001:db8::7',
    '"[2001:db8::7]:80"',
    'fe80::1%eth0',
    '[fe80::1%eth0]:80',
    '203.0.113.7 198.51.100.1',
    '203.0.113.7,',
    `${' '.repeat(100)}203.0.113.7`,
    'x'.repeat(15_000),
  ])('is the last whom somebody trusted has named, where the next is %j', (garbage) => {
    expect(addressOf(2, PEER, `198.51.100.1, ${garbage}`)).toBe(PEER);
    expect(addressOf(['10.0.0.0/8'], PEER, `198.51.100.1, ${garbage}, 10.0.0.2`)).toBe('10.0.0.2');
  });

  it('is never anybody whom a client names that is not trusted', () => {
    fc.assert(
      fc.property(client, anything, (peer, header) => {
        expect(addressOf(NETWORKS, peer, header)).toBe(peer);
      }),
    );
  });

  it('is the client, whatever it has sent, through whatever chain of our proxies', () => {
    fc.assert(
      fc.property(client, anything, fc.array(proxy, { minLength: 1, maxLength: 5 }), (from, header, chain) => {
        const [peer, ...named] = [...chain].reverse();
        const forwardedFor = [header, from, ...named.reverse()].join(', ');
        expect(addressOf(NETWORKS, peer, forwardedFor)).toBe(from);
        expect(addressOf(chain.length, peer, forwardedFor)).toBe(from);
      }),
    );
  });

  it("is fastify's, where the header is a list of addresses", () => {
    fc.assert(
      fc.property(
        fc.oneof(proxy, client),
        fc.array(fc.oneof(proxy, client), { maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        (peer, named, hops) => {
          const request = sent(peer, named.join(', '));
          expect(new TrustedProxies(NETWORKS).addressOf(request)).toBe(proxyaddr(request as IncomingMessage, NETWORKS));
          expect(new TrustedProxies(hops).addressOf(request)).toBe(
            proxyaddr(request as IncomingMessage, (_address, hop) => hop < hops),
          );
        },
      ),
    );
  });

  it('is read from the end, so that a long header is not read through', () => {
    const header = `${'10.0.0.2, '.repeat(1_500)}203.0.113.7, 10.0.0.2`;
    expect(addressOf(NETWORKS, PEER, header)).toBe('203.0.113.7');
  });

  it('is the tenth of proxies that are named without an end', () => {
    const named = [
      `${'10.0.0.2, '.repeat(1_500)}10.0.0.2`,
      '10.1.0.10',
      ...[9, 8, 7, 6, 5, 4, 3, 2, 1].map((n) => `10.1.0.${n}`),
    ];
    expect(addressOf(NETWORKS, PEER, named.join(', '))).toBe('10.1.0.10');
  });
});

describe('a trusted proxy', () => {
  it('is told by its address, and with a number of them it is everybody', () => {
    const hasSent = (trust: TrustProxy | null, peer: string | undefined) =>
      new TrustedProxies(trust).haveSent(sent(peer, '10.0.0.1'));

    expect([hasSent(NETWORKS, '::ffff:10.1.2.3'), hasSent(NETWORKS, '203.0.113.7')]).toEqual([true, false]);
    expect([hasSent(1, '203.0.113.7'), hasSent(null, '203.0.113.7')]).toEqual([true, false]);
    expect([hasSent(1, undefined), hasSent(NETWORKS, undefined)]).toEqual([false, false]);
  });
});
