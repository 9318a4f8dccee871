import { expect, test, vi } from 'vitest';
import { Deadline } from '../../src/guest-session/deadline.js';
import { eventually } from '../support/eventually.js';

test('a deadline in an hour allows a wait of a minute, but not of an hour', () => {
  const deadline = new Deadline(3_600_000);
  expect(deadline.hasPassed).toBe(false);
  expect(deadline.allows(0)).toBe(true);
  expect(deadline.allows(60_000)).toBe(true);
  expect(deadline.allows(3_600_000)).toBe(false);
  expect(deadline.remainingMs).toBeGreaterThan(3_500_000);
  expect(deadline.remainingMs).toBeLessThanOrEqual(3_600_000);
});

test.each([0, -1])(
  'a deadline of %i ms has passed, has nothing left and allows no wait, not even none',
  (timeoutMs) => {
    const deadline = new Deadline(timeoutMs);
    expect(deadline.hasPassed).toBe(true);
    expect(deadline.remainingMs).toBe(0);
    expect(deadline.allows(0)).toBe(false);
  },
);

test('a deadline passes with time', async () => {
  const deadline = new Deadline(20);
  await eventually(() => deadline.hasPassed);
  expect(deadline.remainingMs).toBe(0);
});

test('a jump of the wall clock does not move a deadline', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    const deadline = new Deadline(60_000);
    vi.setSystemTime(Date.now() + 86_400_000);
    expect(deadline.hasPassed).toBe(false);
    vi.setSystemTime(0);
    expect(deadline.remainingMs).toBeLessThanOrEqual(60_000);
  } finally {
    vi.useRealTimers();
  }
});
