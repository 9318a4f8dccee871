import type { GuestSessionRecord } from '../guest-session/ports.js';
import { steadyNow } from '../guest-session/steady-clock.js';

const INTERVAL_MS = 1_000;
const BATCH_SIZE = 20;
/** Looks at CXone at one time: callers come first. */
const CONCURRENCY = 4;
const LEAST_WAIT_MS = 2_000;
const MOST_WAIT_MS = 300_000;
/** After so long a session that nobody could find out about is given up; its place was held until then. */
const GIVE_UP_MS = 3_600_000;

/** What the reconciler works on. */
export interface Unsettled {
  /** Attempts that have to be looked up at CXone, the longest waiting first. */
  due(limit: number): Promise<readonly GuestSessionRecord[]>;
  /** Whether an attempt is at work in this process, whatever its lease says. */
  isUnderWay(requestId: string): boolean;
  /** Finds out what has become of it, and writes that down; throws when that cannot be found out now. */
  settle(attempt: GuestSessionRecord): Promise<unknown>;
  postpone(attempt: GuestSessionRecord, waitMs: number): Promise<void>;
  abandon(attempt: GuestSessionRecord, reason: string): Promise<void>;
}

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Finds out what has become of attempts that a dead process left behind (their lease has lapsed), of those whose answer was
 * lost, and whether POSTs that were given up for lost have arrived late. What cannot be found out is tried again, at growing
 * intervals, for an hour.
 */
export class Reconciler implements AsyncDisposable {
  readonly #unsettled: Unsettled;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #working: Promise<void> | null = null;
  #isStopping = false;

  constructor(unsettled: Unsettled, log: Log) {
    this.#unsettled = unsettled;
    this.#log = log;
    this.#timer = setInterval(() => this.look(), INTERVAL_MS);
  }

  /** Begins to look up what is due, unless that is under way. */
  look(): void {
    this.#working ??= this.#work()
      .catch((error: unknown) =>
        this.#log.error({ err: error }, 'open attempts could not be read; tried again shortly'),
      )
      .finally(() => {
        this.#working = null;
      });
  }

  async #work(): Promise<void> {
    for (let isMore = true; isMore && !this.#isStopping; ) {
      const due = await this.#unsettled.due(BATCH_SIZE);
      const abandoned = due.filter(({ id }) => !this.#unsettled.isUnderWay(id));
      const next = abandoned.values();
      const worker = async () => {
        for (const attempt of next) if (!this.#isStopping) await this.#settle(attempt);
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, worker));
      isMore = due.length === BATCH_SIZE && abandoned.length > 0;
    }
  }

  async #settle(attempt: GuestSessionRecord): Promise<void> {
    const { id: requestId, status } = attempt;
    try {
      await this.#unsettled.settle(attempt);
      this.#log.info({ requestId, was: status }, 'looked up at CXone what has become of an attempt');
    } catch (error) {
      const ageMs = steadyNow().getTime() - attempt.createdAt.getTime();
      this.#log.warn({ err: error, requestId }, 'what has become of an attempt cannot be told yet');
      if (ageMs > GIVE_UP_MS) await this.#unsettled.abandon(attempt, 'CXone could not be asked within an hour');
      else await this.#unsettled.postpone(attempt, Math.min(Math.max(LEAST_WAIT_MS, ageMs / 2), MOST_WAIT_MS));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await this.#working;
  }
}
