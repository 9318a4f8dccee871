/** Of all payloads together; a payload is a few hundred characters. */
const MAX_CHARS = 2_000_000;

/** What an event looks like to those who ask the same; a promise while it is being made. */
export interface KeptPayload {
  readonly sequence: number;
  /** Once the guest is erased, the event tells of nobody, and this is not what it looks like any more. */
  readonly guestId: string | null;
  readonly madeAtMs: number;
  payload: string | Promise<string>;
}

/** One group's part of the cache. */
export type Shelf = Map<number, KeptPayload>;

/** Payloads that are kept to be shared, of all groups together: the oldest go first. */
export class PayloadCache {
  /** In the order in which they were made, and where each stands. */
  readonly #kept = new Map<KeptPayload, Shelf>();
  #chars = 0;

  /** Counts a payload that is ready. One that was taken off its shelf meanwhile is not kept. */
  keep(kept: KeptPayload, shelf: Shelf): void {
    if (shelf.get(kept.sequence) !== kept || typeof kept.payload !== 'string') return;
    this.#kept.set(kept, shelf);
    this.#chars += kept.payload.length;
    for (const [oldest, itsShelf] of this.#kept) {
      if (this.#chars <= MAX_CHARS) break;
      this.drop(oldest, itsShelf);
    }
  }

  drop(kept: KeptPayload, shelf: Shelf): void {
    if (shelf.get(kept.sequence) === kept) shelf.delete(kept.sequence);
    if (this.#kept.delete(kept) && typeof kept.payload === 'string') this.#chars -= kept.payload.length;
  }

  clear(shelf: Shelf): void {
    for (const kept of shelf.values()) this.drop(kept, shelf);
  }
}
