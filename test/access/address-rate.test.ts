import { expect, it, onTestFinished } from 'vitest';
import { AddressRate } from '../../src/access/address-rate.js';

function start(options: { limit?: number; mostApart?: number } = {}): AddressRate {
  const rate = new AddressRate({ limit: 2, windowSeconds: 60, mostApart: 100, ...options });
  onTestFinished(() => rate[Symbol.dispose]());
  return rate;
}

/** How many of so many in a row are not too many. */
async function allowed(rate: AddressRate, count: number, clientOf: (index: number) => string | null): Promise<number> {
  let sum = 0;
  for (let i = 0; i < count; i += 1) if ((await rate.count(clientOf(i))) === null) sum += 1;
  return sum;
}

it('a customer with a /48 of IPv6 has four times the limit of one /64, however many of them it asks from', async () => {
  const rate = start();

  expect(await allowed(rate, 256, (i) => `2001:db8:1:${(i % 64).toString(16)}::/64`)).toBe(8);
  expect(await allowed(rate, 3, () => '2001:db8:2:1::/64')).toBe(2);
});

it('one /64 that is over takes nothing more from the others of its /48', async () => {
  const rate = start();

  expect(await allowed(rate, 100, () => '2001:db8:1:1::/64')).toBe(2);
  expect(await allowed(rate, 100, (i) => `2001:db8:1:${i + 2}::/64`)).toBe(6);
});

it('what is given back is given back to the /48 as well, and what that refuses the /64 has not counted', async () => {
  const rate = start({ limit: 1 });
  const networks = (i: number) => `2001:db8:1:${i + 1}::/64`;
  const taken = await rate.take(networks(0));
  expect(await allowed(rate, 9, (i) => networks(i + 1))).toBe(3);
  await taken.giveBack();

  expect(await allowed(rate, 9, (i) => networks(i))).toBe(1);
});

it('IPv4 addresses are counted alone, and clients without an address are one', async () => {
  const rate = start();

  expect(await allowed(rate, 60, (i) => `203.0.113.${i % 20}`)).toBe(40);
  expect(await allowed(rate, 60, () => null)).toBe(2);
});

it('a flood from one /48 shuts out no other network, also not of the same provider, however many are counted apart', async () => {
  const rate = start({ mostApart: 10 });
  await allowed(rate, 200, (i) => `2001:db8:1:${i.toString(16)}::/64`);

  expect(await allowed(rate, 3, () => '2001:db8:2:1::/64')).toBe(2);
  expect(await allowed(rate, 3, () => '203.0.113.7')).toBe(2);
});

it('a flood from more networks than are counted apart is counted by provider, so that others still get in', async () => {
  const rate = start({ mostApart: 10 });
  await allowed(rate, 30, (i) => `2001:db8:${i.toString(16)}:1::/64`);

  expect(await allowed(rate, 1, () => '2001:db8:ffff:1::/64')).toBe(0);
  expect(await allowed(rate, 3, () => '2001:db9:0:1::/64')).toBe(2);
  expect(await allowed(rate, 3, () => '203.0.113.7')).toBe(2);
  expect(await allowed(rate, 1, () => '2001:db8:0:1::/64')).toBe(1); // it was there before
});
