import {
  type ErasedGuest,
  matchesFilter,
  type SessionEventFilter,
  type SessionEventRecord,
  withoutGuests,
} from '../guest-session/session-event.js';
import { type EventLogReader, type LogPage, SharedPages } from './shared-pages.js';

/** How many of the newest events are kept in memory; a follower that is further behind reads the database. */
const KEPT_EVENTS = 1_024;
const BATCH_SIZE = 100;

/**
 * The lifecycle log as a live stream. The log itself is every subscriber's queue:
 *
 *  1. replay: a follower whose cursor is older than what is kept in memory reads pages from the database;
 *  2. cut over: once its cursor has reached the kept events it goes on from there. Both come from the same committed
 *     sequence, so nothing is missed and nothing comes twice;
 *  3. live: at the end it waits for the next commit.
 *
 * A follower reads only when it is asked to, so one that is slow, or stands still, costs a cursor and at most one batch,
 * however much happens meanwhile. It holds up nobody.
 */
export class SessionEventStream {
  readonly #pages: SharedPages;
  readonly #followers = new Set<Follower>();
  #kept: SessionEventRecord[] = [];
  #head: number;

  /** @param head sequence of the newest committed event */
  constructor(log: EventLogReader, head: number) {
    this.#pages = new SharedPages(log, BATCH_SIZE);
    this.#head = head;
  }

  /** Sequence of the newest event that followers can see. */
  get head(): number {
    return this.#head;
  }

  get followerCount(): number {
    return this.#followers.size;
  }

  /**
   * Takes in what was committed, in commit order.
   * @param erased guests that were erased by it
   */
  publish(events: readonly SessionEventRecord[], erased: readonly ErasedGuest[] = []): void {
    if (events.length > 0) this.#append(events);
    if (erased.length > 0) this.#forget(erased);
  }

  #append(events: readonly SessionEventRecord[]): void {
    for (const event of events) this.#kept.push(event);
    if (this.#kept.length > 2 * KEPT_EVENTS) this.#kept = this.#kept.slice(-KEPT_EVENTS);
    this.#head = events.at(-1)?.sequence ?? this.#head;
    for (const follower of this.#followers) follower.tell(events);
  }

  /**
   * @param after sequence to go on from; without it, from now. It may be ahead of `head` for a moment: what was committed can be
   * read a little before it is published. The follower then passes over what is published up to it.
   */
  follow(filter: SessionEventFilter, after = this.#head): Follower {
    const follower = new Follower(
      after,
      (sequence) => this.#read(sequence, filter),
      (event) => matchesFilter(event, filter),
      () => this.#followers.delete(follower),
      Math.max(after, this.#head),
    );
    this.#followers.add(follower);
    return follower;
  }

  /** Ends every subscription. */
  end(): void {
    for (const follower of [...this.#followers]) follower.end();
  }

  /** What is kept in memory must not go on telling who it was. */
  #forget(erased: readonly ErasedGuest[]): void {
    this.#pages.forget(erased);
    this.#kept = [...withoutGuests(this.#kept, erased)];
    for (const follower of this.#followers) follower.forget(erased);
  }

  #read(after: number, filter: SessionEventFilter): LogPage | Promise<LogPage> {
    const oldestKept = this.#kept[0]?.sequence ?? this.#head + 1;
    if (after + 1 < oldestKept) return this.#pages.read(after, filter, this.#head);
    const events: SessionEventRecord[] = [];
    let cursor = after;
    for (let next = after + 1 - oldestKept; next < this.#kept.length && events.length < BATCH_SIZE; next += 1) {
      const event = this.#kept[next]!;
      if (matchesFilter(event, filter)) events.push(event);
      cursor = event.sequence;
    }
    return { events, cursor };
  }
}

/** Who wants to know when a follower has something to read. */
export interface FollowerListener {
  /** After each commit. @param events all of them, also those that the follower does not want */
  onCommit(events: readonly SessionEventRecord[]): void;
  /** Guests were erased: what it has read, and holds, is to be told without them. */
  onErased(erased: readonly ErasedGuest[]): void;
  onEnd(): void;
}

/**
 * One subscription: a cursor. It is read in batches by whoever listens to it. To graphql-js it is the source of a subscription,
 * which has to look like something to iterate over; nobody does.
 */
export class Follower implements AsyncIterable<SessionEventRecord> {
  readonly #read: (after: number) => LogPage | Promise<LogPage>;
  readonly #wants: (event: SessionEventRecord) => boolean;
  readonly #leave: () => void;
  #listener: FollowerListener | null = null;
  #cursor: number;
  #isEnded = false;

  constructor(
    cursor: number,
    read: (after: number) => LogPage | Promise<LogPage>,
    wants: (event: SessionEventRecord) => boolean,
    leave: () => void,
    /** Where the log ended when it began, as far as it is known. */
    readonly head: number,
  ) {
    this.#cursor = cursor;
    this.#read = read;
    this.#wants = wants;
    this.#leave = leave;
  }

  /** Sequence up to which it has been read. */
  get cursor(): number {
    return this.#cursor;
  }

  /** There is one listener. */
  listen(listener: FollowerListener): void {
    this.#listener = listener;
    if (this.#isEnded) listener.onEnd();
  }

  tell(events: readonly SessionEventRecord[]): void {
    this.#listener?.onCommit(events);
  }

  /** Called after all that is read from now on tells nothing of these guests. */
  forget(erased: readonly ErasedGuest[]): void {
    this.#listener?.onErased(erased);
  }

  /** Whether it is one of those that the subscriber has asked for. */
  wants(event: SessionEventRecord): boolean {
    return this.#wants(event);
  }

  /**
   * The next events that match, in order, and goes on behind them. An empty array: there are no more, `onCommit` tells when
   * there are. A promise: the database has to be asked; after it, whatever it gives, read on. Not to be called before it is
   * settled.
   */
  read(): readonly SessionEventRecord[] | Promise<readonly SessionEventRecord[]> {
    const page = this.#read(this.#cursor);
    return page instanceof Promise ? page.then((read) => this.#advance(read)) : this.#advance(page);
  }

  #advance({ events, cursor }: LogPage): readonly SessionEventRecord[] {
    this.#cursor = cursor;
    return events;
  }

  /** Ends it. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#leave();
    this.#listener?.onEnd();
  }

  [Symbol.asyncIterator](): AsyncIterator<SessionEventRecord> {
    return { next: () => Promise.reject(new Error('a follower is read by its listener')) };
  }
}
