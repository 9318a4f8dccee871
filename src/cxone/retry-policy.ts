import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';
import type { RetryBudget } from './retry-budget.js';

export interface RetryPolicy {
  /** Tries in all, the first one included. */
  readonly maxAttempts: number;
  /** The wait before try n+1 is `baseMs · 2ⁿ`, give or take a fifth, where CXone does not say how long. */
  readonly baseMs: number;
  /** What all calls together may spend on retries. */
  readonly budget: RetryBudget;
}

/** Thrown by a call that is known to be safe to send again. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain';

  constructor(
    /** What CXone asks for in `Retry-After`; null where it says nothing that can be read. */
    readonly retryAfterMs: number | null,
    /** How the attempt ends if it cannot wait that long, or has tried often enough. */
    readonly giveUp: (retryAfterSeconds: number) => AttemptError,
  ) {
    super('try again');
  }
}

/**
 * Runs a call until it succeeds, fails for good, or waiting makes no sense: a wait that does not fit in the deadline is not
 * begun, and when the budget is spent every try is the last. Only {@link TryAgain} is retried; everything else, bugs
 * included, is passed on at once.
 */
export async function retrying<T>(policy: RetryPolicy, deadline: Deadline, call: () => Promise<T>): Promise<T> {
  policy.budget.deposit();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error;
      const waitMs = error.retryAfterMs ?? backoffMs(policy.baseMs, attempt);
      const triesAgain = attempt < policy.maxAttempts && deadline.allows(waitMs) && policy.budget.withdraw();
      if (!triesAgain) throw error.giveUp(waitMs / 1000);
      await sleep(waitMs);
    }
  }
}

function backoffMs(baseMs: number, attempt: number): number {
  const jitter = 0.8 + 0.4 * Math.random();
  return Math.round(baseMs * 2 ** attempt * jitter);
}
