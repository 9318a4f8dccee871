import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { SocketQuota } from '../../src/graphql/socket-quota.js';

const start = (limits: { sockets?: number; socketsPerAddress?: number }) =>
  new SocketQuota({ sockets: 1_000, socketsPerAddress: 2, ...limits });

/** How many of so many get a place, and their connections. */
function takeMany(quota: SocketQuota, count: number, clientOf: (index: number) => string | null) {
  const connections: PassThrough[] = [];
  for (let i = 0; i < count; i += 1) {
    const connection = new PassThrough();
    if (quota.take(clientOf(i), connection) === null) connections.push(connection);
  }
  return connections;
}

describe('places for sockets', () => {
  it('are four times as many for a customer with a /48 of IPv6 as for one /64, however many of them it has', () => {
    const quota = start({});
    expect(takeMany(quota, 3, () => '2001:db8:1:1::/64')).toHaveLength(2);
    expect(takeMany(quota, 256, (i) => `2001:db8:1:${i.toString(16)}::/64`)).toHaveLength(6);

    expect(quota.take('2001:db8:1:abcd::/64', new PassThrough())).toBe('MAX_SOCKETS_PER_ADDRESS');
    expect(quota.take('2001:db8:2:1::/64', new PassThrough())).toBeNull();
  });

  it('are given back to the /48 as well', () => {
    const quota = start({});
    const networks = (i: number) => `2001:db8:1:${i.toString(16)}::/64`;
    for (const connection of takeMany(quota, 20, networks)) connection.emit('close');

    expect(takeMany(quota, 20, networks)).toHaveLength(8);
  });

  it('are counted for each IPv4 address, and for all together whose address is not known', () => {
    const quota = start({});

    expect(takeMany(quota, 60, (i) => `203.0.113.${i % 20}`)).toHaveLength(40);
    expect(takeMany(quota, 60, () => null)).toHaveLength(2);
  });
});
