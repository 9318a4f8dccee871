import { matchesFilter, type SessionEventFilter, type SessionEventRecord } from '../guest-session/session-event.js';

/** How many of the newest events are kept in memory; a follower that is further behind reads the database. */
const KEPT_EVENTS = 1_024;
const BATCH_SIZE = 100;

/** The committed log, as far as the stream needs it. */
export interface EventLogReader {
  /** Events after a sequence, oldest first, at most `limit` of those that match. */
  eventsAfter(sequence: number, filter: SessionEventFilter, limit: number): Promise<SessionEventRecord[]>;
}

/**
 * The lifecycle log as a live stream. The log itself is every subscriber's queue:
 *
 *  1. replay: a follower whose cursor is older than what is kept in memory reads pages from the database;
 *  2. cut over: once its cursor has reached the kept events it goes on from there. Both come from the same committed
 *     sequence, so nothing is missed and nothing comes twice;
 *  3. live: at the end it waits for the next commit.
 *
 * A follower is asked for an event only when its socket has taken the one before, so one that is slow, or stands still, costs
 * a cursor and at most one batch, however much happens meanwhile. It holds up nobody.
 */
export class SessionEventStream {
  readonly #log: EventLogReader;
  readonly #followers = new Set<Follower>();
  #kept: SessionEventRecord[] = [];
  #head: number;

  /** @param head sequence of the newest committed event */
  constructor(log: EventLogReader, head: number) {
    this.#log = log;
    this.#head = head;
  }

  /** Sequence of the newest event that followers can see. */
  get head(): number {
    return this.#head;
  }

  get followerCount(): number {
    return this.#followers.size;
  }

  /** Takes in what was committed, in commit order. */
  publish(events: readonly SessionEventRecord[]): void {
    if (events.length === 0) return;
    this.#kept.push(...events);
    if (this.#kept.length > 2 * KEPT_EVENTS) this.#kept = this.#kept.slice(-KEPT_EVENTS);
    this.#head = events.at(-1)?.sequence ?? this.#head;
    for (const follower of this.#followers) follower.wake();
  }

  /** @param after sequence to go on from; without it, from now */
  follow(filter: SessionEventFilter, after = this.#head): AsyncIterableIterator<SessionEventRecord> {
    const follower = new Follower(
      after,
      (sequence) => this.#read(sequence, filter),
      () => this.#followers.delete(follower),
    );
    this.#followers.add(follower);
    return follower;
  }

  /** Ends every subscription. */
  async end(): Promise<void> {
    await Promise.all([...this.#followers].map((follower) => follower.return()));
  }

  async #read(after: number, filter: SessionEventFilter): Promise<Batch> {
    const head = this.#head;
    const oldestKept = this.#kept[0]?.sequence ?? head + 1;
    if (after + 1 >= oldestKept) {
      const start = after + 1 - oldestKept;
      const next = this.#kept.slice(start, start + BATCH_SIZE);
      return { events: next.filter((event) => matchesFilter(event, filter)), cursor: after + next.length };
    }
    const events = await this.#log.eventsAfter(after, filter, BATCH_SIZE);
    // A page that is not full has seen all that was committed when it was asked for.
    const cursor = events.length < BATCH_SIZE ? Math.max(head, events.at(-1)?.sequence ?? 0) : events.at(-1)!.sequence;
    return { events, cursor };
  }
}

interface Batch {
  readonly events: SessionEventRecord[];
  /** Up to where the log has been read. */
  readonly cursor: number;
}

/** One subscription: a cursor. Written by hand because a generator cannot be ended while it waits. */
class Follower implements AsyncIterableIterator<SessionEventRecord> {
  readonly #read: (after: number) => Promise<Batch>;
  readonly #onEnd: () => void;
  #cursor: number;
  #batch: SessionEventRecord[] = [];
  #isEnded = false;
  #wakeUp: (() => void) | null = null;

  constructor(cursor: number, read: (after: number) => Promise<Batch>, onEnd: () => void) {
    this.#cursor = cursor;
    this.#read = read;
    this.#onEnd = onEnd;
  }

  wake(): void {
    this.#wakeUp?.();
    this.#wakeUp = null;
  }

  async next(): Promise<IteratorResult<SessionEventRecord>> {
    while (!this.#isEnded) {
      const value = this.#batch.shift();
      if (value) return { value, done: false };
      // From before the look, so that what is published while it is under way wakes too.
      const woken = new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
      const { events, cursor } = await this.#read(this.#cursor);
      const isAtEnd = cursor === this.#cursor;
      this.#batch = events;
      this.#cursor = cursor;
      if (isAtEnd) await woken;
    }
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<SessionEventRecord>> {
    this.#isEnded = true;
    this.#batch = [];
    this.wake();
    this.#onEnd();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
