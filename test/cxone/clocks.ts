import { onTestFinished, vi } from 'vitest';

/** Sets the wall clock off by some hours, and leaves timers and the monotonic clock alone; right again after the test. */
export function setWallClock(hoursOff: number): void {
  const nowMs = performance.timeOrigin + performance.now();
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  vi.setSystemTime(nowMs + hoursOff * 3_600_000);
}

/** The monotonic clock stands still until it is moved; timers and the wall clock go on. */
export function stopMonotonicClock() {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  return { advanceMs: (ms: number) => vi.advanceTimersByTime(ms) };
}
