import type { Client } from 'graphql-ws';
import { DEFAULT_FIELDS, type SessionEvent, type SessionEventType } from './session-event.js';
import { SessionEventFeed } from './session-event-feed.js';
import { SessionEventsError } from './session-events-error.js';

export { type SessionEvent, SessionEventsError, type SessionEventType };

const DEFAULT_MAX_BUFFERED_EVENTS = 1_000;

/** What to follow, and from where. */
export interface ResumableSessionEventsOptions {
  /** A cursor: the first event is the one after it. Without it the stream begins where the log stands when the client connects. */
  readonly after?: string | undefined;
  /** Only events of these types. */
  readonly types?: readonly SessionEventType[] | undefined;
  /** Only events of this guest. */
  readonly guestId?: string | undefined;
  /** GraphQL fields beside those of {@link SessionEvent}, such as `session { status endedAt }`. */
  readonly selection?: string | undefined;
  /** Ends the iterator, without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How many events are held for a consumer that is slow; 1,000 if left out. At so many the subscription is given up until
   * the consumer has taken them, and taken up again after the last of them.
   */
  readonly maxBufferedEvents?: number | undefined;
  /**
   * Up to where there is nothing for you that you have not had: told when you wait for the next event, and the log has moved on
   * without one. A cursor to store, like that of an event: with a rare filter the cursor of the last event may be older than what
   * the server keeps. Without `after` it is also told where the stream begins. It must not throw.
   */
  readonly onProgress?: ((cursor: string) => void) | undefined;
}

/**
 * Session events in the order of the log, each once, for as long as you like: when the connection breaks or the server
 * stops, the stream goes on after the last event that has arrived, or from where the server has said since that it has sent
 * everything.
 *
 * ```ts
 * const client = createClient({
 *   url: 'ws://127.0.0.1:4000/graphql',
 *   retryAttempts: Number.POSITIVE_INFINITY, // 5 if left out
 *   shouldRetry: () => true, // if left out, a server that cannot be reached ends the stream
 * });
 * for await (const event of resumableSessionEvents(client, { after: await load() })) {
 *   await save(event, event.cursor); // in one transaction, and no event is processed twice
 * }
 * ```
 *
 * It subscribes at once, not with the first `next()`. It ends when you `break`, with `signal`, or when the client is disposed
 * of; what has arrived and was not taken is dropped then. While it has no subscription, because `maxBufferedEvents` wait or in
 * a pause before it asks again, it cannot tell that the client was disposed of: use `signal` or `break`, then. How long to wait for a server that is away, and how often, is the
 * client's to say (`retryAttempts`, `retryWait`). A server that is there and ends the subscription is asked again after 0.1 to
 * 0.2 seconds, then after twice that, up to 30 seconds, until there is an event.
 *
 * Without `after` it begins where the log stood when the client connected, and misses nothing from there. If the client was
 * connected before, nobody knows where that was: it begins when the server takes the subscription, and a break before the first
 * event can lose some.
 *
 * @param client of graphql-ws; others may use it, too
 * @typeParam Extra what `selection` adds to an event
 * @throws RangeError at once, when `maxBufferedEvents` is not a whole number from 1
 * @throws SessionEventsError from `next()`, after the events that have arrived before it: when the server refuses the
 * subscription (`code` is then `CURSOR_EXPIRED` for an `after` older than what the server keeps, `BAD_USER_INPUT` for one that
 * is none) or has an error for an event, when there is no valid key (4401, 4403), or when the client has given up
 */
export function resumableSessionEvents<Extra extends object = object>(
  client: Client,
  options: ResumableSessionEventsOptions = {},
): AsyncIterableIterator<SessionEvent & Extra> {
  const { after, types, guestId, selection = '', signal, onProgress } = options;
  const { maxBufferedEvents = DEFAULT_MAX_BUFFERED_EVENTS } = options;
  if (!Number.isInteger(maxBufferedEvents) || maxBufferedEvents < 1) {
    throw new RangeError(`maxBufferedEvents must be a whole number from 1, not ${maxBufferedEvents}`);
  }
  const query = `subscription SessionEvents($after: String, $types: [SessionEventType!], $guestId: String) {
  sessionEvents(after: $after, types: $types, guestId: $guestId) { ${DEFAULT_FIELDS} ${selection} }
}`;
  const variables = { after, types, guestId };
  return new SessionEventFeed<SessionEvent & Extra>(client, {
    query,
    variables,
    maxBufferedEvents,
    signal,
    onProgress,
  });
}
