import { describe, expect, it, onTestFinished } from 'vitest';
import type { Admitted } from '../../src/access/gate.js';
import { RequestRates } from '../../src/access/request-rates.js';
import type { RateLimits, Role } from '../../src/access-settings.js';

const MANY: RateLimits = { perKey: 100, perAddress: 100, createPerAddress: 100, createPerFingerprint: 100 };
const HERE = '203.0.113.7';
const THERE = '203.0.113.8';
const caller = (role: Role, name = `the ${role} key`): Admitted => ({ name, role, sourceAddress: null });
/** Whole seconds, up to a minute. */
const WAIT = expect.toSatisfy((seconds) => Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);
const GUEST = caller('GUEST');

function start(limits: Partial<RateLimits> | null, options: { mostApart?: number } = {}) {
  const told: [string, string][] = [];
  const onSlowDown = ({ name }: Admitted, setting: string) => void told.push([name, setting]);
  const rates = new RequestRates({ limits: limits && { ...MANY, ...limits }, onSlowDown, ...options });
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
    const { rates, told } = start({ perKey: 3, perAddress: 2 });

    expect(await times(5, () => rates.countRequest(GUEST, HERE))).toEqual([null, null, WAIT, WAIT, WAIT]);
    expect(await times(2, () => rates.countRequest(GUEST, THERE))).toEqual([null, WAIT]);
    expect(told.map(([, setting]) => setting)).toEqual([
      'RATE_PER_ADDRESS',
      'RATE_PER_ADDRESS',
      'RATE_PER_ADDRESS',
      'RATE_PER_KEY',
    ]);
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

  it('from more networks than are counted apart are counted by provider, so that others still get in', async () => {
    const { rates } = start({ perAddress: 2 }, { mostApart: 10 });
    for (let i = 0; i < 30; i += 1) await rates.countRefused(`2001:db8:0:${i}::/64`);

    expect(await rates.countRefused('2001:db8:ffff:1::/64')).toEqual(WAIT);
    expect(await times(3, () => rates.countRefused('2001:db9:0:1::/64'))).toEqual([null, null, WAIT]);
    expect(await times(3, () => rates.countRefused(HERE))).toEqual([null, null, WAIT]);
    expect(await rates.countRefused('2001:db8:0:0::/64')).toBeNull(); // it was there before
  });
});

describe('sessions that are asked for', () => {
  it('are counted by address with a GUEST key, and not with another', async () => {
    const { rates, told } = start({ createPerAddress: 2 });
    const devices = Array.from({ length: 10 }, (_, index) => `device ${index}`).values();
    const ask = (who: Admitted, client: string) => () => rates.countCreation(who, client, devices.next().value ?? '');

    expect(await times(3, ask(GUEST, HERE))).toEqual([null, null, WAIT]);
    expect(await times(1, ask(GUEST, THERE))).toEqual([null]);
    expect(await times(3, ask(caller('BACKEND'), HERE))).toEqual([null, null, null]);
    expect(told).toEqual([['the GUEST key', 'CREATE_RATE_PER_ADDRESS']]);
  });

  it('are counted by device, whoever asks, but not where the address is refused', async () => {
    const { rates, told } = start({ createPerAddress: 1, createPerFingerprint: 3 });

    expect(await times(3, () => rates.countCreation(GUEST, HERE, 'device'))).toEqual([null, WAIT, WAIT]);
    expect(await times(3, () => rates.countCreation(caller('BACKEND'), null, 'device'))).toEqual([null, null, WAIT]);
    expect(await rates.countCreation(GUEST, THERE, 'device')).toEqual(WAIT);
    expect(await rates.countCreation(caller('BACKEND'), HERE, 'device ')).toBeNull();
    expect(told.slice(2)).toEqual([
      ['the BACKEND key', 'CREATE_RATE_PER_FINGERPRINT'],
      ['the GUEST key', 'CREATE_RATE_PER_FINGERPRINT'],
    ]);
  });

  it.each(['', 'x'.repeat(513)])('are left to the pipeline where the fingerprint is none (%#)', async (fingerprint) => {
    const { rates } = start({ createPerFingerprint: 1 });

    expect(await times(3, () => rates.countCreation(caller('OPS'), HERE, fingerprint))).toEqual([null, null, null]);
  });
});

it('without limits nothing is counted', async () => {
  const { rates, told } = start(null);
  const ask = async () =>
    (await rates.countRefused(HERE)) ??
    (await rates.countRequest(GUEST, HERE)) ??
    (await rates.countCreation(GUEST, HERE, 'device'));

  expect(new Set(await times(500, ask))).toEqual(new Set([null]));
  expect(told).toEqual([]);
});
