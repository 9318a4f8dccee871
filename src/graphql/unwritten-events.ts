import { type ErasedGuest, type SessionEventRecord, withoutGuests } from '../guest-session/session-event.js';
import type { SharedExecution } from './shared-execution.js';

/** How many payloads are made together where one has to be waited for, so that what they read is read together. */
const AHEAD = 16;

/** What a subscription has read of the log and not written yet. */
export class UnwrittenEvents {
  readonly #execution: Pick<SharedExecution, 'payload' | 'forget'>;
  /** Those from `#next` on are not yet written. */
  #events: readonly SessionEventRecord[] = [];
  #next = 0;
  /** Of the next event, where it had to be waited for. */
  #payload: string | null = null;

  constructor(execution: Pick<SharedExecution, 'payload' | 'forget'>) {
    this.#execution = execution;
  }

  /** The event that is to be written next; undefined where there is none. */
  get next(): SessionEventRecord | undefined {
    return this.#events[this.#next];
  }

  /** Takes in what was read, in the place of what is written. */
  take(events: readonly SessionEventRecord[]): void {
    this.#events = events;
    this.#next = 0;
    this.#payload = null;
  }

  /** What the subscriber gets of an event, which is the next one. A promise: it has to be waited for, and then asked for again. */
  payload(event: SessionEventRecord): string | Promise<void> {
    const payload = this.#payload ?? this.#execution.payload(event);
    if (typeof payload === 'string') return payload;
    const ahead = this.#events.slice(this.#next + 1, this.#next + AHEAD);
    for (const later of ahead) void this.#execution.payload(later);
    return payload.then((text) => {
      // It is another one where a guest was erased meanwhile.
      if (this.next === event) this.#payload = text;
    });
  }

  /** The next one is written. */
  advance(): void {
    this.#payload = null;
    this.#next += 1;
  }

  /** What is left is told without guests that were erased. What was made of it is made anew: it may tell of them. */
  forget(erased: readonly ErasedGuest[]): void {
    this.#events = withoutGuests(this.#events, erased);
    this.#payload = null;
    this.#execution.forget();
  }
}
