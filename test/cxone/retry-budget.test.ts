import { expect, test } from 'vitest';
import { RetryBudget } from '../../src/cxone/retry-budget.js';
import { GUEST, HOUR_MS, inTime, outcomeOf, startClient } from './client.js';
import { setWallClock, stopMonotonicClock } from './clocks.js';

const spend = (budget: RetryBudget): number => {
  let retries = 0;
  while (budget.withdraw()) retries += 1;
  return retries;
};

test('a fresh budget affords twenty retries, and then none', () => {
  stopMonotonicClock();
  const budget = new RetryBudget();
  expect(spend(budget)).toBe(20);
  expect(budget.withdraw()).toBe(false);
});

test('every five calls afford one more', () => {
  stopMonotonicClock();
  const budget = new RetryBudget();
  spend(budget);
  for (let call = 0; call < 26; call += 1) budget.deposit();
  expect(spend(budget)).toBe(5);
});

test('every second affords two more, however quiet the server is', () => {
  const clock = stopMonotonicClock();
  const budget = new RetryBudget();
  spend(budget);
  clock.advanceMs(1_500);
  expect(spend(budget)).toBe(3);
});

test('no more than twenty are saved up', () => {
  const clock = stopMonotonicClock();
  const budget = new RetryBudget();
  clock.advanceMs(HOUR_MS);
  for (let call = 0; call < 1_000; call += 1) budget.deposit();
  expect(spend(budget)).toBe(20);
});

test('a jump of the wall clock affords nothing', () => {
  const budget = new RetryBudget();
  spend(budget);
  for (const hours of [1, -1]) {
    setWallClock(hours);
    expect(spend(budget)).toBeLessThanOrEqual(2);
  }
});

test('a hundred calls in an outage cause a fifth more calls and those that were saved up, not three times as many', async () => {
  const { sandbox, client } = await startClient({ maxAttempts: 3 });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'reset' } });
  const startedAtMs = performance.now();
  for (let round = 0; round < 10; round += 1) {
    const calls = Array.from({ length: 10 }, () => outcomeOf(client.listActiveSessions(GUEST, inTime())));
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE', retryAfterSeconds: expect.any(Number) });
    }
  }
  const refilled = ((performance.now() - startedAtMs) / 1_000) * 2;
  expect(sandbox.count('list')).toBeGreaterThan(130);
  expect(sandbox.count('list')).toBeLessThanOrEqual(100 * 1.2 + 20 + 1 + refilled);
});

test('the token and the sessions draw on one budget', async () => {
  const { sandbox, client, tokens } = await startClient({ maxAttempts: 3 });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'reset' } });
  await Promise.all(Array.from({ length: 20 }, () => outcomeOf(client.listActiveSessions(GUEST, inTime()))));
  tokens.reject(await tokens.get(inTime()));
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'rate-limit', retryAfter: '0' } });
  expect(await outcomeOf(tokens.get(inTime()))).toMatchObject({ code: 'RATE_LIMITED' });
  // One before the lists; then three, if the lists had not spent what there was.
  expect(sandbox.count('token')).toBeLessThan(1 + 3);
});
