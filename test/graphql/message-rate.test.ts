import { expect, it, onTestFinished, vi } from 'vitest';
import { MessageRate } from '../../src/graphql/message-rate.js';

const SUBSCRIPTIONS = 20;

/** How many in a row are not too many. */
function room(rate: MessageRate, isKnown = true): number {
  for (let count = 0; count <= 1_000_000; count += 1) if (!rate.take(isKnown)) return count;
  return Number.POSITIVE_INFINITY;
}

/** Time stands still until it is moved. */
function stopClock() {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return { advanceMs: (ms: number) => vi.advanceTimersByTime(ms) };
}

it('has no room for a stranger beyond a few, however long that waits', () => {
  const { advanceMs } = stopClock();
  const rate = new MessageRate(SUBSCRIPTIONS);
  expect(room(rate, false)).toBe(10);
  advanceMs(60_000);
  expect(room(rate, false)).toBe(0);
});

it('has room for whoever begins and ends all its subscriptions several times at once', () => {
  stopClock();
  expect(room(new MessageRate(SUBSCRIPTIONS))).toBe(300);
  expect(room(new MessageRate(10_000))).toBe(100_100);
});

it('has room again little by little, and never for more than that at once', () => {
  const { advanceMs } = stopClock();
  const rate = new MessageRate(SUBSCRIPTIONS);
  room(rate);
  advanceMs(1_000);
  expect(room(rate)).toBe(60);
  advanceMs(3_600_000);
  expect(room(rate)).toBe(300);
});
