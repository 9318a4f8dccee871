import {
  type ErasedGuest,
  type SessionEventFilter,
  type SessionEventRecord,
  withoutGuests,
} from '../guest-session/session-event.js';

/** How many pages are remembered: of each some 100 events. */
const KEPT_PAGES = 32;

/** The committed log, as far as the stream needs it. */
export interface EventLogReader {
  /**
   * Events after a sequence, oldest first, at most `limit` of those that match.
   * @throws CursorExpiredError where some of them are not kept any more
   */
  eventsAfter(sequence: number, filter: SessionEventFilter, limit: number): Promise<SessionEventRecord[]>;
}

export interface LogPage {
  /** Those that match. */
  readonly events: readonly SessionEventRecord[];
  /** Up to where the log has been read. */
  readonly cursor: number;
}

/**
 * Pages of the log. All who come back after a restart want the same ones: each is read once for them. The log is append-only,
 * so a page that was read stays true, until a guest is erased.
 */
export class SharedPages {
  readonly #log: EventLogReader;
  readonly #pageSize: number;
  readonly #pages = new Map<string, Promise<LogPage>>();
  /** For each read that is under way, the guests that were erased since it began. */
  readonly #erasedSince = new Set<ErasedGuest[]>();

  constructor(log: EventLogReader, pageSize: number) {
    this.#log = log;
    this.#pageSize = pageSize;
  }

  /** @param head sequence of the newest event that is committed by now */
  read(after: number, filter: SessionEventFilter, head: number): Promise<LogPage> {
    const key = JSON.stringify([after, filter.guestId, filter.types]);
    const known = this.#pages.get(key);
    if (known) return known;
    const page = this.#fetch(after, filter, head);
    this.#pages.set(key, page);
    page.catch(() => this.#pages.delete(key)); // whoever asks again may have more luck
    const [oldest] = this.#pages.keys();
    if (this.#pages.size > KEPT_PAGES && oldest !== undefined) this.#pages.delete(oldest);
    return page;
  }

  /** Lets go of all of them. Those that are being read may still tell of the guests: they are mended when they come. */
  forget(erased: readonly ErasedGuest[]): void {
    this.#pages.clear();
    for (const guests of this.#erasedSince) guests.push(...erased);
  }

  async #fetch(after: number, filter: SessionEventFilter, head: number): Promise<LogPage> {
    // Up to a round number: those who begin at different places soon read the same pages.
    const limit = this.#pageSize - (after % this.#pageSize);
    const events = await this.#read(after, filter, limit);
    // A page that is not full has seen all that was committed when it was asked for.
    const last = events.at(-1)?.sequence ?? 0;
    return { events, cursor: events.length < limit ? Math.max(head, last) : last };
  }

  async #read(after: number, filter: SessionEventFilter, limit: number): Promise<readonly SessionEventRecord[]> {
    const erased: ErasedGuest[] = [];
    this.#erasedSince.add(erased);
    try {
      return withoutGuests(await this.#log.eventsAfter(after, filter, limit), erased);
    } finally {
      this.#erasedSince.delete(erased);
    }
  }
}
