import { AttemptError, loggable } from '../errors.js';
import type { GuestSessionRecord } from '../guest-session/ports.js';

const INTERVAL_MS = 1_000;
const BATCH_SIZE = 20;
/** Looks at CXone at one time: callers come first. */
const CONCURRENCY = 4;

/** What the reconciler works on. */
export interface Unsettled {
  /** Attempts that have to be looked up at CXone, the longest waiting first. */
  due(limit: number): Promise<readonly GuestSessionRecord[]>;
  /** Whether an attempt is at work in this process, whatever its lease says. */
  isUnderWay(requestId: string): boolean;
  /** Finds out what has become of it, and writes that down; throws when that cannot be found out now. */
  settle(attempt: GuestSessionRecord): Promise<unknown>;
  /** Puts off the next look, each time for longer, or gives up. @returns whether it was given up */
  postpone(attempt: GuestSessionRecord): Promise<boolean>;
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
      let isInTrouble = false;
      const worker = async () => {
        for (const attempt of next) {
          if (this.#isStopping || isInTrouble) return;
          if (!(await this.#settle(attempt))) isInTrouble = true;
        }
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, worker));
      // While CXone is down a few looks at a time are enough to notice its return.
      isMore = due.length === BATCH_SIZE && abandoned.length > 0 && !isInTrouble;
    }
  }

  /** @returns whether it was settled */
  async #settle(attempt: GuestSessionRecord): Promise<boolean> {
    const { id: requestId, status } = attempt;
    try {
      await this.#unsettled.settle(attempt);
      this.#log.info({ requestId, was: status }, 'looked up at CXone what has become of an attempt');
      return true;
    } catch (error) {
      const isGivenUp = await this.#unsettled.postpone(attempt).catch(() => false);
      const why = error instanceof AttemptError ? loggable(error) : { err: error };
      const outcome = isGivenUp ? 'given up' : 'tried again later';
      this.#log.warn({ ...why, requestId, outcome }, 'what has become of an attempt cannot be told');
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await this.#working;
  }
}
