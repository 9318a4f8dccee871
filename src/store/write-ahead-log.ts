import type { SqliteConnection } from './sqlite-connection.js';

const TRY_AGAIN_MS = 100;
/** About a minute: a reader that holds a snapshot for longer is somebody's open shell, or a copy being made. */
const TRIES_BEFORE_TOLD = 600;
const TRY_AGAIN_LATER_MS = 5_000;
/** How long one try may hold up the writer. */
const BUSY_TIMEOUT_MS = 50;

/**
 * Empties the write-ahead log, where pages lie as they were before they were changed. As long as somebody holds on to what it
 * says that cannot be done, so it is tried until it is.
 */
export class WriteAheadLog implements Disposable {
  readonly #db: SqliteConnection;
  readonly #tellAfter: number;
  #onKept: () => void = () => undefined;
  #timer: NodeJS.Timeout | null = null;
  #tries = 0;

  /**
   * @param db a connection that writes
   * @param tellAfter how many tries may fail before somebody is told
   */
  constructor(db: SqliteConnection, tellAfter = TRIES_BEFORE_TOLD) {
    this.#db = db;
    this.#tellAfter = tellAfter;
  }

  /** Hears when it could not be done for a minute. */
  onKept(listener: () => void): void {
    this.#onKept = listener;
  }

  /** To be called after a commit: empties the log now if that is possible, and else as soon as it is. */
  empty(): void {
    this.#tries = 0;
    this.#try();
  }

  #try(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#isEmptied()) return;
    this.#tries += 1;
    if (this.#tries === this.#tellAfter) this.#onKept();
    const waitMs = this.#tries < this.#tellAfter ? TRY_AGAIN_MS : TRY_AGAIN_LATER_MS;
    this.#timer = setTimeout(() => this.#try(), waitMs);
  }

  #isEmptied(): boolean {
    try {
      return this.#db.emptyLog(BUSY_TIMEOUT_MS);
    } catch {
      return false; // a full disk, for instance: it may have room again the next time
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
