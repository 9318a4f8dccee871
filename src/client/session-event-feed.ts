import type { Client } from 'graphql-ws';
import type { SessionEvent } from './session-event.js';
import { SessionEventsError } from './session-events-error.js';

/** The server has closed a subscriber that did not read. To the stock client that is the end. */
const TOO_SLOW = 4429;
/** No valid key. The stock client would try again. */
const FORBIDDEN = 4403;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/** What is subscribed to. The client writes it out anew for every connection, with what `after` is by then. */
export interface FeedRequest {
  readonly query: string;
  readonly variables: { after?: string | undefined };
}

interface Reader<Event> {
  resolve(result: IteratorResult<Event>): void;
  reject(error: SessionEventsError): void;
}

/**
 * The log as an iterator, across as many connections and subscriptions as it takes. There are three ways back to the stream:
 *
 *  1. the connection breaks: the client connects and subscribes again by itself, and `#onConnected` has moved `after` by then;
 *  2. the server ends the subscription, because it stops or because we were too slow: `#subscribeLater`;
 *  3. the buffer is full: we end the subscription, and subscribe again when the consumer has taken everything.
 *
 * Each goes on after the last event that has arrived, so what has arrived is never asked for again, and what has not is.
 * Written by hand because a generator cannot be ended while it waits.
 */
export class SessionEventFeed<Event extends SessionEvent> implements AsyncIterableIterator<Event> {
  readonly #client: Client;
  readonly #request: FeedRequest;
  readonly #maxBufferedEvents: number;
  readonly #cleanUps: (() => void)[];
  readonly #readers: Reader<Event>[] = [];
  #buffer: Event[] = [];
  /** Of the last event that has arrived, or where the caller wants to begin. */
  #cursor: string | undefined;
  /** Where the log stood when we first connected: without `after` we begin there. A connection that was there before us does not tell. */
  #firstHead: string | undefined;
  #isConnected = true;
  #isFull = false;
  #isOver = false;
  #error: SessionEventsError | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** Ends the subscription that there is now. Its presence says which one counts: an old one may still have something to say. */
  #unsubscribe: (() => void) | undefined;

  constructor(client: Client, request: FeedRequest, maxBufferedEvents: number, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#request = request;
    this.#maxBufferedEvents = maxBufferedEvents;
    this.#cursor = request.variables.after;
    const abort = () => this.#finish();
    signal?.addEventListener('abort', abort);
    this.#cleanUps = [
      () => signal?.removeEventListener('abort', abort),
      client.on('connected', (_socket, payload) => this.#onConnected(payload)),
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
    if (!this.#isOver) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
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
    this.#request.variables.after = this.#position;
    const end = this.#client.subscribe<{ sessionEvents: Event }>(this.#request, {
      next: ({ data, errors }) => {
        if (isEnded) return;
        if (data?.sessionEvents && !errors) this.#take(data.sessionEvents);
        else this.#finish(new SessionEventsError(errors));
      },
      error: (error) => {
        if (isEnded) return;
        if ((error as { code?: unknown }).code === TOO_SLOW) this.#subscribeLater();
        else this.#finish(new SessionEventsError(error));
      },
      complete: () => {
        if (isEnded) return;
        // Where the connection is gone and the client does not want it back, it has been disposed of.
        if (this.#isConnected) this.#subscribeLater();
        else this.#finish();
      },
    });
    this.#unsubscribe = () => {
      isEnded = true;
      // Not within the event that we are in: if the server's own end came with it, the client would count the end twice, and
      // never know again whether anybody uses its connection.
      queueMicrotask(end);
    };
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
  }

  #take(event: Event): void {
    this.#pauseMs = FIRST_PAUSE_MS;
    if (event.cursor === this.#cursor) return;
    this.#cursor = event.cursor;
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value: event, done: false });
    else this.#buffer.push(event);
    if (this.#buffer.length < this.#maxBufferedEvents) return;
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

  get #position(): string | undefined {
    return this.#cursor ?? this.#firstHead;
  }

  /** Comes before the client subscribes on the connection. */
  #onConnected(payload: Record<string, unknown> | undefined): void {
    this.#isConnected = true;
    if (typeof payload?.eventCursor === 'string') this.#firstHead ??= payload.eventCursor;
    // Also for the first subscription: what happens before the server has taken it would be lost to one that is from now.
    this.#request.variables.after = this.#position;
  }

  #onClosed(event: unknown): void {
    this.#isConnected = false;
    if ((event as { code?: unknown }).code === FORBIDDEN) this.#finish(new SessionEventsError(event));
  }
}
