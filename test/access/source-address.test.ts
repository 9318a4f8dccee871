import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientOf, providerOf, SourceAddresses, siteOf } from '../../src/access/source-address.js';

const addresses = new SourceAddresses(Buffer.alloc(32, 1));
const of = (address: string | undefined) => addresses.pseudonymOf(address);
const tagOf = (address: string) => of(address)?.split('#')[1];

describe('the address of a request', () => {
  it.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['127.0.0.1', '127.0.0.0/24'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
    ['2001:db8::6', '2001:db8::/48'],
    ['::1', '::/48'],
    ['fe80::1%eth0', 'fe80::/48'],
  ])('%s is kept as its network %s and a tag', (address, network) => {
    expect(of(address)).toMatch(/^[^#]+#[0-9a-f]{12}$/);
    expect(of(address)?.split('#')[0]).toBe(network);
  });

  it('is recognised in whatever form it comes', () => {
    expect(of('::ffff:203.0.113.77')).toBe(of('203.0.113.77'));
    expect(of('2001:DB8:0:0:0:0:0:6')).toBe(of('2001:db8::6'));
    expect(of('fe80::1%eth0')).toBe(of('fe80::1'));
  });

  it('has a tag that another address of its network, or another key, does not give', () => {
    expect(tagOf('203.0.113.77')).not.toBe(tagOf('203.0.113.78'));
    expect(tagOf('2001:db8:1:1::1')).not.toBe(tagOf('2001:db8:1:2::1'));
    expect(new SourceAddresses(Buffer.alloc(32, 2)).pseudonymOf('203.0.113.77')).not.toBe(of('203.0.113.77'));
  });

  it('has the tag of its /64 where it is IPv6: whoever has one address of that has them all', () => {
    expect(of('2001:db8:1:2::1')).toBe(of('2001:db8:1:2:ffff::2'));
  });

  it.each([undefined, '', 'somewhere', '/tmp/server.sock'])('%j is not known', (address) => {
    expect(of(address)).toBeNull();
  });

  it('is not in what is kept, whatever it is', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        fc.pre(!address.endsWith('.0'));
        expect(of(address)).not.toContain(address);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const kept = of(address);
        fc.pre(kept !== null);
        expect(kept).toMatch(/^([0-9a-f:]+::\/48|::\/48|[0-9a-f:]+\/48|[\d.]+\.0\/24)#[0-9a-f]{12}$/);
      }),
    );
  });
});

describe('the client that limits count', () => {
  it('is an IPv4 address, in whatever form it comes', () => {
    expect(clientOf('203.0.113.77')).toBe('203.0.113.77');
    expect(clientOf('::ffff:203.0.113.77')).toBe('203.0.113.77');
  });

  it('is a /64 of IPv6, whatever address of it is used', () => {
    expect(clientOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(clientOf('2001:db8:1:2:ffff::1')).toBe('2001:db8:1:2::/64');
    expect(clientOf('2001:db8:1:3::1')).toBe('2001:db8:1:3::/64');
  });

  it.each([undefined, 'somewhere'])('is not known for %j', (address) => {
    expect(clientOf(address)).toBeNull();
  });

  it.each([
    ['2001:db8:1:2::/64', '2001:db8:1::/48'],
    ['203.0.113.77', null],
    ['not known', null],
  ])('%s is of the site %s', (one, site) => {
    expect(siteOf(one)).toBe(site);
  });

  it.each([
    ['203.0.113.77', '203.0.0.0/16'],
    ['2001:db8:1:2::/64', '2001:db8::/32'],
    ['not known', 'not known'],
  ])('%s is of the network %s', (one, network) => {
    expect(providerOf(one)).toBe(network);
  });
});
