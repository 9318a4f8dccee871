const JITTER = 0.2;

/**
 * When to try again after the given number of failed tries; null when there have been enough.
 * @param scheduleSeconds the wait after the first failure, the second, …; each up to a fifth longer, so that deliveries that
 * failed together do not come back together
 */
export function nextTryAt(scheduleSeconds: readonly number[], failures: number, now: Date): Date | null {
  const waitSeconds = scheduleSeconds[failures - 1];
  if (waitSeconds === undefined) return null;
  return new Date(now.getTime() + waitSeconds * 1000 * (1 + JITTER * Math.random()));
}
