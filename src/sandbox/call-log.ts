import type { SandboxCall } from './faults.js';

const KEPT = 10_000;

/** The last 10,000 of something. */
export class LastItems<T> {
  #items: T[] = [];

  push(item: T): void {
    this.#items.push(item);
    // In batches: moving 10,000 entries for each new one would show under load.
    if (this.#items.length >= KEPT * 1.1) this.#items = this.#items.slice(-KEPT);
  }

  /** Oldest first; a copy. */
  list(): readonly T[] {
    return this.#items.slice(-KEPT);
  }

  clear(): void {
    this.#items = [];
  }
}

/** One call, as it arrived. Neither bearer nor secret is kept. */
export interface RecordedCall {
  readonly call: SandboxCall;
  readonly at: Date;
  /** `X-Request-Id`. */
  readonly requestId: string | null;
  readonly guestId: string | null;
  /** Null while there is no whole answer, and for good when the connection was cut or the call left hanging. */
  readonly status: number | null;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Who called for what, in the order of arrival. */
export class CallLog {
  readonly #calls = new LastItems<RecordedCall>();
  readonly #counts = new Map<SandboxCall, number>();

  /** Notes an arrival; the entry is filled in as the call proceeds. */
  arrived(call: SandboxCall, requestId: string | null): Writable<RecordedCall> {
    const entry: Writable<RecordedCall> = { call, at: new Date(), requestId, guestId: null, status: null };
    this.#calls.push(entry);
    this.#counts.set(call, this.count(call) + 1);
    return entry;
  }

  list(): readonly RecordedCall[] {
    return this.#calls.list();
  }

  count(call: SandboxCall): number {
    return this.#counts.get(call) ?? 0;
  }

  clear(): void {
    this.#calls.clear();
    this.#counts.clear();
  }
}
