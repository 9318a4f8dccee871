import { expect, test } from 'vitest';
import { RetryBudget } from '../../src/cxone/retry-budget.js';
import { type RetryPolicy, retrying, TryAgain } from '../../src/cxone/retry-policy.js';
import { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';

const policy = (maxAttempts: number, baseMs = 1): RetryPolicy => ({ maxAttempts, baseMs, budget: new RetryBudget() });
const HOUR_MS = 3_600_000;

test('a call that succeeds is made once', async () => {
  const calls = counting(async () => 'done');
  expect(await retrying(policy(3), new Deadline(HOUR_MS), calls.call)).toBe('done');
  expect(calls.count()).toBe(1);
});

test('a call that may be sent again is made until it succeeds', async () => {
  const calls = counting(async (count) => {
    if (count < 3) throw again(null);
    return 'done';
  });
  expect(await retrying(policy(3), new Deadline(HOUR_MS), calls.call)).toBe('done');
  expect(calls.count()).toBe(3);
});

test.each([1, 2, 3, 5])('after %i tries it gives up, with the wait that it would have made', async (maxAttempts) => {
  const calls = counting(async () => {
    throw again(20);
  });
  await expect(retrying(policy(maxAttempts), new Deadline(HOUR_MS), calls.call)).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterSeconds: 0.02,
  });
  expect(calls.count()).toBe(maxAttempts);
});

test('a wait that does not fit in the deadline is not begun', async () => {
  const calls = counting(async () => {
    throw again(HOUR_MS);
  });
  const startedAtMs = performance.now();
  await expect(retrying(policy(3), new Deadline(60_000), calls.call)).rejects.toMatchObject({
    retryAfterSeconds: 3600,
  });
  expect(performance.now() - startedAtMs).toBeLessThan(30_000);
  expect(calls.count()).toBe(1);
});

test('a backoff of our own that does not fit in the deadline is not begun either', async () => {
  const calls = counting(async () => {
    throw again(null);
  });
  await expect(retrying(policy(3, HOUR_MS), new Deadline(60_000), calls.call)).rejects.toBeInstanceOf(AttemptError);
  expect(calls.count()).toBe(1);
});

test('without a word from CXone the waits double: 2 and 4 bases, give or take a fifth', async () => {
  for (let run = 0; run < 8; run += 1) {
    for (const [maxAttempts, bases] of [
      [1, 2],
      [2, 4],
    ] as const) {
      const failure = retrying(policy(maxAttempts, 5), new Deadline(HOUR_MS), async () => {
        throw again(null);
      });
      const { retryAfterSeconds = 0 } = (await failure.catch((error: unknown) => error)) as AttemptError;
      expect(retryAfterSeconds * 1000).toBeGreaterThanOrEqual(bases * 4);
      expect(retryAfterSeconds * 1000).toBeLessThanOrEqual(bases * 6);
    }
  }
});

test.each([
  new AttemptError('CXONE_REJECTED'),
  new AttemptError('OUTCOME_UNKNOWN'),
  new TypeError('a bug of ours'),
  'not even an error',
])('%s is not retried', async (thrown) => {
  const calls = counting(async () => {
    throw thrown;
  });
  await expect(retrying(policy(3), new Deadline(HOUR_MS), calls.call)).rejects.toBe(thrown);
  expect(calls.count()).toBe(1);
});

test('when the budget is spent every try is the last', async () => {
  const spent = new RetryBudget();
  while (spent.withdraw());
  const calls = counting(async () => {
    throw again(null);
  });
  await expect(
    retrying({ maxAttempts: 3, baseMs: 1, budget: spent }, new Deadline(HOUR_MS), calls.call),
  ).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: expect.any(Number) });
  expect(calls.count()).toBe(1);
});

test('a retry that is not made costs nothing', async () => {
  const budget = new RetryBudget();
  const calls = async () => {
    throw again(HOUR_MS);
  };
  for (let run = 0; run < 50; run += 1) {
    await expect(retrying({ maxAttempts: 3, baseMs: 1, budget }, new Deadline(60_000), calls)).rejects.toThrow();
    await expect(retrying({ maxAttempts: 1, baseMs: 1, budget }, new Deadline(60_000), calls)).rejects.toThrow();
  }
  expect(Array.from({ length: 20 }, () => budget.withdraw())).not.toContain(false);
});

const again = (retryAfterMs: number | null) =>
  new TryAgain(retryAfterMs, (retryAfterSeconds) => new AttemptError('RATE_LIMITED', { retryAfterSeconds }));

function counting<T>(work: (count: number) => Promise<T>) {
  let count = 0;
  return { call: () => work(++count), count: () => count };
}
