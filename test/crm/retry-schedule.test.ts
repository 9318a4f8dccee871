import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nextTryAt } from '../../src/crm/retry-schedule.js';

const NOW = new Date('2026-11-22T15:00:00Z');

it('waits as long as the schedule says, and up to a fifth longer', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 86_400 }), { minLength: 1 }), fc.nat(), (schedule, n) => {
      const failures = (n % schedule.length) + 1;
      const waitMs = nextTryAt(schedule, failures, NOW)!.getTime() - NOW.getTime();
      const least = schedule[failures - 1]! * 1_000;
      expect(waitMs).toBeGreaterThanOrEqual(least);
      expect(waitMs).toBeLessThanOrEqual(least * 1.2);
    }),
  );
});

it('ends after the last entry', () => {
  expect(nextTryAt([5, 30], 2, NOW)).not.toBeNull();
  expect(nextTryAt([5, 30], 3, NOW)).toBeNull();
  expect(nextTryAt([], 1, NOW)).toBeNull();
});

it('does not bring back together what failed together', () => {
  const times = new Set(Array.from({ length: 100 }, () => nextTryAt([600], 1, NOW)!.getTime()));
  expect(times.size).toBeGreaterThan(50);
});
