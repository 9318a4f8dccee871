import { type ExecutionArgs, type ExecutionResult, execute, type GraphQLFormattedError } from 'graphql';
import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { KeptPayload, PayloadCache, Shelf } from './payload-cache.js';
import { readsMoreThanTheEvent } from './share-key.js';

/** How long "the session as it stands now" may be told to others. */
const NOW_MS = 1_000;

export type FormatError = (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError;

/** All subscriptions to which an event looks the same: it is executed and serialised once for them. */
export class SharedExecution {
  readonly #args: ExecutionArgs;
  readonly #format: FormatError;
  readonly #cache: PayloadCache;
  readonly #shelf: Shelf = new Map();
  readonly #isTrueForAWhile: boolean;
  /** Subscriptions that are part of it. */
  members = 0;

  /** @param args of any of its members */
  constructor(args: ExecutionArgs, format: FormatError, cache: PayloadCache) {
    this.#args = args;
    this.#format = format;
    this.#cache = cache;
    this.#isTrueForAWhile = readsMoreThanTheEvent(args.document);
  }

  /** What the subscribers get of an event, as JSON. */
  payload(event: SessionEventRecord): string | Promise<string> {
    const known = this.#shelf.get(event.sequence);
    if (known && known.guestId === event.guestId && !this.#isStale(known)) return known.payload;
    if (known) this.#cache.drop(known, this.#shelf);
    return this.#make(event);
  }

  /** Lets go of what it has kept. */
  forget(): void {
    this.#cache.clear(this.#shelf);
  }

  #isStale({ payload, madeAtMs }: KeptPayload): boolean {
    return this.#isTrueForAWhile && typeof payload === 'string' && performance.now() - madeAtMs > NOW_MS;
  }

  #make(event: SessionEventRecord): string | Promise<string> {
    const result = execute({ ...this.#args, rootValue: event });
    const payload =
      result instanceof Promise ? result.then((given) => this.#serialise(given)) : this.#serialise(result);
    const { sequence, guestId } = event;
    const kept: KeptPayload = { sequence, guestId, madeAtMs: performance.now(), payload };
    this.#shelf.set(event.sequence, kept);
    if (payload instanceof Promise) {
      payload.then(
        (text) => {
          kept.payload = text;
          this.#cache.keep(kept, this.#shelf);
        },
        () => this.#cache.drop(kept, this.#shelf),
      );
    } else this.#cache.keep(kept, this.#shelf);
    return payload;
  }

  #serialise({ errors, data }: ExecutionResult): string {
    return JSON.stringify({ errors: errors?.map((error) => this.#format(error.toJSON(), error)), data });
  }
}
