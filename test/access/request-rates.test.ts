import { describe, expect, it, onTestFinished } from 'vitest';
import type { Admitted } from '../../src/access/gate.js';
import { RequestRates } from '../../src/access/request-rates.js';
import type { RateLimits } from '../../src/access-settings.js';
import { caller, HERE, MANY, THERE } from './rates.js';

/** Whole seconds, up to a minute. */
const WAIT = expect.toSatisfy((seconds) => Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);
const GUEST = caller('GUEST');

function start(limits: Partial<RateLimits> | null) {
  const told: [string, string][] = [];
  const onSlowDown = ({ name }: Admitted, setting: string) => void told.push([name, setting]);
  const rates = new RequestRates({ limits: limits && { ...MANY, ...limits }, onSlowDown });
  onTestFinished(() => rates[Symbol.dispose]());
  return { rates, told };
}

async function times(count: number, ask: () => Promise<number | null>): Promise<(number | null)[]> {
  const waits: (number | null)[] = [];
  for (let i = 0; i < count; i += 1) waits.push(await ask());
  return waits;
}

describe('requests', () => {
  it('of one key are counted wherever they come from, and whoever is over is told of', async () => {
    const { rates, told } = start({ perKey: 2 });
    const backend = caller('BACKEND');

    expect(await rates.countRequest(backend, HERE)).toBeNull();
    expect(await rates.countRequest(backend, THERE)).toBeNull();
    expect(await rates.countRequest(backend, null)).toEqual(WAIT);
    expect(await rates.countRequest(caller('OPS'), HERE)).toBeNull();
    expect(told).toEqual([['the BACKEND key', 'RATE_PER_KEY']]);
  });

  it('with a GUEST key are counted by address, and a flood from one does not use up the key for the others', async () => {
    const { rates, told } = start({ perGuestKey: 3, perAddress: 2 });

    expect(await times(5, () => rates.countRequest(GUEST, HERE))).toEqual([null, null, WAIT, WAIT, WAIT]);
    expect(await times(2, () => rates.countRequest(GUEST, THERE))).toEqual([null, WAIT]);
    expect(told.map(([, setting]) => setting)).toEqual([
      'RATE_PER_ADDRESS',
      'RATE_PER_ADDRESS',
      'RATE_PER_ADDRESS',
      'RATE_PER_GUEST_KEY',
    ]);
  });

  it('with a token of a guest are counted as those of one key: nobody else has it', async () => {
    const { rates, told } = start({ perKey: 2, perGuestKey: 1 });

    expect(await times(3, () => rates.countRequest(caller('GUEST', 'jwt:alice'), HERE))).toEqual([null, null, WAIT]);
    expect(told).toEqual([['jwt:alice', 'RATE_PER_KEY']]);
  });

  it('of one customer with a /48 of IPv6 are not enough to use up the key of all guests', async () => {
    const { rates } = start({ perGuestKey: 9, perAddress: 2 });
    for (let i = 0; i < 100; i += 1) await rates.countRequest(GUEST, `2001:db8:1:${i.toString(16)}::/64`);

    expect(await times(2, () => rates.countRequest(GUEST, HERE))).toEqual([null, WAIT]);
  });

  it.each(['BACKEND', 'CRM', 'OPS'] as const)('with a key of %s are not counted by address', async (role) => {
    const { rates } = start({ perAddress: 1 });
    await times(2, () => rates.countRefused(HERE));

    expect(await times(3, () => rates.countRequest(caller(role), HERE))).toEqual([null, null, null]);
  });

  it('of nobody are counted with those of the GUEST keys at the address; those without an address are one', async () => {
    const { rates, told } = start({ perAddress: 2 });

    expect(await times(3, () => rates.countRefused(HERE))).toEqual([null, null, WAIT]);
    expect(await rates.countRequest(GUEST, HERE)).toEqual(WAIT);
    expect(await rates.countRefused(THERE)).toBeNull();
    expect(await times(3, () => rates.countRefused(null))).toEqual([null, null, WAIT]);
    expect(told).toEqual([['the GUEST key', 'RATE_PER_ADDRESS']]);
  });
});

it('without limits nothing is counted', async () => {
  const { rates, told } = start(null);
  const ask = async () => (await rates.countRefused(HERE)) ?? (await rates.countRequest(GUEST, HERE));

  expect(new Set(await times(500, ask))).toEqual(new Set([null]));
  expect(told).toEqual([]);
});
