import type { SqliteConnection } from './sqlite-connection.js';

/** How long the first try may hold up the writer: readers of ours are done by then. */
const FIRST_TRY_MS = 50;
/** Whoever still reads then may read for long. To wait for them is for this thread alone, and not inside SQLite. */
const LATER_TRY_MS = 0;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** A reader that holds a snapshot for longer is somebody's open shell, or a copy being made. */
const TOLD_AFTER_MS = 60_000;

/**
 * Empties the write-ahead log, where pages lie as they were before they were changed. As long as somebody holds on to what it
 * says that cannot be done, so it is tried until it is, ever more seldom.
 */
export class WriteAheadLog implements Disposable {
  readonly #db: Pick<SqliteConnection, 'emptyLog'>;
  #onKept: () => void = () => undefined;
  #timer: NodeJS.Timeout | null = null;
  /** Of the first try that failed; null while there is nothing to empty. */
  #keptSinceMs: number | null = null;
  #waitMs = FIRST_WAIT_MS;
  #isTold = false;

  /** @param db a connection that writes */
  constructor(db: Pick<SqliteConnection, 'emptyLog'>) {
    this.#db = db;
  }

  /** Hears when it could not be done for a minute. */
  onKept(listener: () => void): void {
    this.#onKept = listener;
  }

  /** To be called after a commit: empties the log now if that is possible, and else soon after it is. */
  empty(): void {
    // Where it is being tried already, one try more comes in between: many guests may be erased beside the same reader.
    const isFirst = this.#keptSinceMs === null;
    if (this.#isEmptied(isFirst ? FIRST_TRY_MS : LATER_TRY_MS)) this.#rest();
    else if (isFirst) {
      this.#keptSinceMs = performance.now();
      this.#tryLater();
    }
  }

  #tryLater(): void {
    this.#timer = setTimeout(() => this.#tryAgain(), this.#waitMs);
    this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
  }

  #tryAgain(): void {
    if (this.#isEmptied(LATER_TRY_MS)) {
      this.#rest();
      return;
    }
    const keptForMs = performance.now() - (this.#keptSinceMs ?? performance.now());
    if (keptForMs >= TOLD_AFTER_MS && !this.#isTold) {
      this.#isTold = true;
      this.#onKept();
    }
    this.#tryLater();
  }

  #isEmptied(busyTimeoutMs: number): boolean {
    try {
      return this.#db.emptyLog(busyTimeoutMs);
    } catch {
      return false; // a full disk, for instance: it may have room again the next time
    }
  }

  /** There is nothing to empty. */
  #rest(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#keptSinceMs = null;
    this.#waitMs = FIRST_WAIT_MS;
    this.#isTold = false;
  }

  [Symbol.dispose](): void {
    this.#rest();
  }
}
