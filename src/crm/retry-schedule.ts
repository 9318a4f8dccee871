const JITTER = 0.2;
/** However long the CRM asks us to wait: the longest wait of the usual schedule. */
const MOST_WAIT_MS = 24 * 3_600_000;

/**
 * When to try again after the given number of failed tries; null when there have been enough.
 * @param scheduleSeconds the wait after the first failure, the second, …; each up to a fifth longer, so that deliveries that
 * failed together do not come back together
 * @param retryAfterMs what the CRM asked for; a longer wait than the schedule's is kept to, up to a day, a shorter one is not,
 * or a CRM that is busy for an hour would see all its tries within seconds
 */
export function nextTryAt(
  scheduleSeconds: readonly number[],
  failures: number,
  now: Date,
  retryAfterMs: number | null = null,
): Date | null {
  const waitSeconds = scheduleSeconds[failures - 1];
  if (waitSeconds === undefined) return null;
  const waitMs = Math.max(waitSeconds * 1000, Math.min(retryAfterMs ?? 0, MOST_WAIT_MS));
  return new Date(now.getTime() + waitMs * (1 + JITTER * Math.random()));
}

/** The longest that a delivery can wait for its next try. */
export const longestWaitMs = (scheduleSeconds: readonly number[]): number =>
  Math.max(MOST_WAIT_MS, ...scheduleSeconds.map((seconds) => seconds * 1000)) * (1 + JITTER);
