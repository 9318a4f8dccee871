import { expect, test } from 'vitest';
import type { Fault } from '../../src/sandbox/faults.js';
import { eventually } from '../support/eventually.js';
import { GUEST, HOUR_MS, inTime, outcomeOf, startClient, status } from './client.js';
import { setWallClock, stopMonotonicClock } from './clocks.js';

/** Within the last minute of a token of an hour. */
const IN_MARGIN_MS = HOUR_MS - 50_000;

/** A client with a token of an hour that is due to be replaced. */
async function startWithAgeingToken() {
  const clock = stopMonotonicClock();
  const { sandbox, tokens, client } = await startClient({ sandbox: { tokenTtlSeconds: 3600 } });
  const old = await tokens.get(inTime());
  clock.advanceMs(IN_MARGIN_MS);
  return { sandbox, tokens, client, clock, old };
}

test('a token is replaced behind the back of those who ask, shortly before it expires', async () => {
  const { sandbox, tokens, old } = await startWithAgeingToken();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'slow', delayMs: 100 }, times: 1 });
  expect(await Promise.all([1, 2, 3].map(() => tokens.get(inTime())))).toEqual([old, old, old]);
  await eventually(async () => (await tokens.get(inTime())) !== old);
  expect(sandbox.count('token')).toBe(2);
});

test.each([
  ['a 500', status(500)],
  ['a reset', { kind: 'reset' }],
  ['a hang', { kind: 'hang' }],
  ['a rate limit of an hour', { kind: 'rate-limit', retryAfter: '3600' }],
  ['wrong credentials', status(401)],
  ['HTML', { kind: 'malformed' }],
] as [string, Fault][])('%s in place of a new token fails nobody while the old one lives', async (_what, fault) => {
  const { sandbox, tokens, client, clock, old } = await startWithAgeingToken();
  sandbox.scenarios.add({ on: 'token', fault });
  for (const waitMs of [0, 20_000, 20_000, 8_000]) {
    clock.advanceMs(waitMs);
    expect(await tokens.get(inTime())).toBe(old);
    expect(await client.listActiveSessions(GUEST, inTime())).toEqual([]);
  }
});

test('a new token is asked for about once a second, however many requests there are, until there is one', async () => {
  const { sandbox, tokens, client, clock, old } = await startWithAgeingToken();
  sandbox.scenarios.add({ on: 'token', fault: status(500) });
  for (let elapsedMs = 0; elapsedMs < 5_000; elapsedMs += 100) {
    // Gives a failure the time to be heard of before the clock moves.
    await client.listActiveSessions(GUEST, inTime());
    for (let request = 0; request < 10; request += 1) expect(await tokens.get(inTime())).toBe(old);
    clock.advanceMs(100);
  }
  expect(sandbox.count('token') - 1).toBeGreaterThanOrEqual(3);
  expect(sandbox.count('token') - 1).toBeLessThanOrEqual(5);

  sandbox.scenarios.clear();
  clock.advanceMs(1_000);
  await eventually(async () => (await tokens.get(inTime())) !== old);
});

test('a token that has expired is used no more, and the failure is told', async () => {
  const { sandbox, tokens, clock, old } = await startWithAgeingToken();
  sandbox.scenarios.add({ on: 'token', fault: status(500) });
  expect(await tokens.get(inTime())).toBe(old);
  clock.advanceMs(49_500);
  expect(await outcomeOf(tokens.get(inTime()))).toMatchObject({ code: 'CXONE_UNAVAILABLE' });
  sandbox.scenarios.clear();
  expect(await tokens.get(inTime())).not.toBe(old);
});

test('an old token that CXone rejects is not used while a new one is on its way', async () => {
  const { sandbox, client, tokens, old } = await startWithAgeingToken();
  sandbox.revokeTokens();
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([]);
  expect(await tokens.get(inTime())).not.toBe(old);
  expect(sandbox.count('token')).toBe(2);
});

test.each([1, -1])('a wall clock that is off by %i h causes no new fetch', async (hours) => {
  const { sandbox, tokens } = await startClient({ sandbox: { tokenTtlSeconds: 600 } });
  const token = await tokens.get(inTime());
  setWallClock(hours);
  for (let request = 0; request < 50; request += 1) expect(await tokens.get(inTime())).toBe(token);
  expect(sandbox.count('token')).toBe(1);
});
