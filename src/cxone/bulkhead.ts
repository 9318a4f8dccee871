import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from 'cockatiel';
import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';

/** For each call under way so many others may wait. */
const QUEUE_FACTOR = 10;
const RETRY_AFTER_SECONDS = 1;

/** Bounds how many calls are under way and how many wait for their turn. */
export class Bulkhead {
  readonly #policy: BulkheadPolicy;

  constructor(maxConcurrency: number) {
    this.#policy = bulkhead(maxConcurrency, maxConcurrency * QUEUE_FACTOR);
  }

  /**
   * Makes a call when its turn comes. A caller whose deadline passes in the queue is answered then, and its call never made.
   * @throws AttemptError CXONE_UNAVAILABLE when the queue is full, DEADLINE_EXCEEDED
   */
  run<T>(deadline: Deadline, call: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let hasLeft = false;
      const leave = () => {
        hasLeft = true;
        reject(new AttemptError('DEADLINE_EXCEEDED', { detail: 'its turn at CXone did not come in time' }));
      };
      const timer = setTimeout(leave, deadline.remainingMs);
      // No abort signal: cockatiel's queue only sees it when the turn comes, and then does not call up the next in line.
      const onTurn = async () => {
        clearTimeout(timer);
        // Timers are late where the process is busy.
        if (deadline.hasPassed) leave();
        if (!hasLeft) resolve(await call());
      };
      this.#policy.execute(onTurn).catch((error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof BulkheadRejectedError ? full() : error);
      });
    });
  }
}

const full = () =>
  new AttemptError('CXONE_UNAVAILABLE', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    detail: 'too many calls to CXone are under way',
  });
