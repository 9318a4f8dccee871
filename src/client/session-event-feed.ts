import type { Client } from 'graphql-ws';
import { ServerMarks } from './server-marks.js';
import type { SessionEvent } from './session-event.js';
import { SessionEventsError } from './session-events-error.js';

/** The server has closed a subscriber that did not read, or came too often. To the stock client that is the end. */
const TOO_MANY = 4429;
/** The same, in the answer to one subscription. */
const TOO_MANY_REQUESTS = 'TOO_MANY_REQUESTS';
/** No valid key. The stock client would try again. */
const FORBIDDEN = 4403;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/** What is subscribed to, and by whom. */
export interface FeedOptions {
  readonly query: string;
  readonly variables: { readonly after?: string | undefined };
  readonly maxBufferedEvents: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((cursor: string) => void) | undefined;
}

interface Reader<Event> {
  resolve(result: IteratorResult<Event>): void;
  reject(error: SessionEventsError): void;
}

/**
 * The log as an iterator, across as many connections and subscriptions as it takes. There are three ways back to the stream:
 *
 *  1. the connection breaks: the client connects and subscribes again by itself, with what `after` is by then;
 *  2. the server ends the subscription, because it stops or because we were too slow: `#subscribeLater`;
 *  3. the buffer is full: we end the subscription, and subscribe again when the consumer has taken everything.
 *
 * Each goes on after the last event that has arrived, or the mark that came after it, so what has arrived is never asked for
 * again, and what has not is.
 * Written by hand because a generator cannot be ended while it waits.
 */
export class SessionEventFeed<Event extends SessionEvent> implements AsyncIterableIterator<Event> {
  readonly #client: Client;
  readonly #options: FeedOptions;
  readonly #cleanUps: (() => void)[];
  readonly #readers: Reader<Event>[] = [];
  #buffer: Event[] = [];
  /** Up to where everything has arrived, or where we begin. Only a connection that was there before us does not tell that. */
  #cursor: string | undefined;
  /** The cursor, where it is not that of an event, and the consumer has not been told yet. */
  #mark: string | undefined;
  readonly #marks = new ServerMarks();
  #isConnected = true;
  #isFull = false;
  #isOver = false;
  #error: SessionEventsError | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** Ends the subscription that there is now. Its presence says which one counts: an old one may still have something to say. */
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client, options: FeedOptions) {
    const { variables, signal } = options;
    this.#client = client;
    this.#options = options;
    this.#cursor = variables.after;
    const abort = () => this.#finish();
    signal?.addEventListener('abort', abort);
    this.#cleanUps = [
      () => signal?.removeEventListener('abort', abort),
      client.on('connected', (_socket, payload) => this.#onConnected(payload)),
      client.on('ping', (received, payload) => received && this.#onPing(payload)),
      client.on('closed', (event) => this.#onClosed(event)),
    ];
    if (signal?.aborted) abort();
    else this.#subscribe();
  }

  next(): Promise<IteratorResult<Event>> {
    const value = this.#buffer.shift();
    if (value) {
      if (this.#isFull && this.#buffer.length === 0) {
        this.#isFull = false;
        if (!this.#isOver) this.#subscribe();
      }
      return Promise.resolve({ value, done: false });
    }
    if (!this.#isOver) {
      this.#tellProgress(); // who asks for more is done with what it had
      return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
    }
    const error = this.#error;
    this.#error = undefined; // thrown once: an iterator that has thrown is at its end
    return error ? Promise.reject(error) : Promise.resolve({ value: undefined, done: true });
  }

  return(): Promise<IteratorResult<Event>> {
    this.#finish();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #subscribe(): void {
    let isEnded = false;
    const { query } = this.#options;
    // Written out by the client in the moment in which it subscribes, on each connection anew.
    const variables = { toJSON: () => this.#onSubscribing() };
    const end = this.#client.subscribe<{ sessionEvents: Event }>(
      { query, variables },
      {
        next: ({ data, errors }) => {
          if (isEnded) return;
          if (data?.sessionEvents && !errors) this.#take(data.sessionEvents);
          else this.#finish(new SessionEventsError(errors));
        },
        error: (error) => {
          if (isEnded) return;
          const failure = new SessionEventsError(error);
          if (failure.code === TOO_MANY || failure.code === TOO_MANY_REQUESTS) this.#subscribeLater();
          else this.#finish(failure);
        },
        complete: () => {
          if (isEnded) return;
          // Where the connection is gone and the client does not want it back, it has been disposed of.
          if (this.#isConnected) this.#subscribeLater();
          else this.#finish();
        },
      },
    );
    this.#unsubscribe = () => {
      isEnded = true;
      // Not within the event that we are in: if the server's own end came with it, the client would count the end twice, and
      // never know again whether anybody uses its connection.
      queueMicrotask(end);
    };
  }

  #onSubscribing(): object {
    this.#marks.onSubscribing();
    return { ...this.#options.variables, after: this.#cursor };
  }

  #subscribeLater(): void {
    this.#stop();
    const pauseMs = this.#pauseMs * (0.5 + Math.random() / 2);
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.#pause = setTimeout(() => this.#subscribe(), pauseMs);
  }

  #stop(): void {
    clearTimeout(this.#pause);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#marks.onEnd();
  }

  #take(event: Event): void {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#marks.onEvent();
    if (event.cursor === this.#cursor) return;
    this.#cursor = event.cursor;
    this.#mark = undefined;
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value: event, done: false });
    else this.#buffer.push(event);
    if (this.#buffer.length < this.#options.maxBufferedEvents) return;
    this.#isFull = true;
    this.#stop();
  }

  /** @param error what is thrown when the consumer has taken what has arrived; without one nobody wants that any more */
  #finish(error?: SessionEventsError): void {
    if (!error) this.#buffer = [];
    this.#error = error;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stop();
    for (const cleanUp of this.#cleanUps) cleanUp();
    for (const { resolve, reject } of this.#readers.splice(0)) {
      if (this.#error) reject(this.#error);
      else resolve({ value: undefined, done: true });
      this.#error = undefined;
    }
  }

  /** Comes before the client subscribes on the connection. */
  #onConnected(payload: Record<string, unknown> | undefined): void {
    this.#isConnected = true;
    // We begin here, and not when the server takes the subscription: what happens before that would be lost.
    if (this.#cursor === undefined && typeof payload?.eventCursor === 'string') this.#moveTo(payload.eventCursor);
  }

  #onPing(payload: Record<string, unknown> | undefined): void {
    const mark = this.#marks.read(payload);
    if (mark !== undefined && mark !== this.#cursor) this.#moveTo(mark);
  }

  #moveTo(mark: string): void {
    this.#cursor = mark;
    this.#mark = mark;
    if (this.#readers.length > 0) this.#tellProgress();
  }

  #tellProgress(): void {
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark !== undefined) this.#options.onProgress?.(mark);
  }

  #onClosed(event: unknown): void {
    this.#isConnected = false;
    this.#marks.onEnd();
    if ((event as { code?: unknown }).code === FORBIDDEN) this.#finish(new SessionEventsError(event));
  }
}
