/** How long after a failure it is tried again. */
const RETRY_MS = 1_000;

/** The API keys are others now, or should have been. */
export interface KeyChange {
  readonly status: 'SUCCESS' | 'REJECTED';
  /** Names, roles, and what has changed; nothing by which a key could be found. */
  readonly reason: string;
}

export interface KeyChangeSettings {
  /** Writes it down; may fail. */
  write(change: KeyChange): Promise<unknown>;
  readonly log: { error(fields: object, message: string): void };
  readonly retryMs?: number;
}

/**
 * Changes of the API keys, for the audit trail, one entry each and in their order. They are in force already and nobody waits
 * for the entry: while nothing can be written they are kept, and tried again. Their time is told where they are written late.
 */
export class KeyChanges implements AsyncDisposable {
  readonly #settings: KeyChangeSettings;
  /** The oldest first. */
  readonly #unwritten: { readonly change: KeyChange; readonly at: Date; isLate: boolean }[] = [];
  #writing = Promise.resolve();
  #isWriting = false;
  #retry: NodeJS.Timeout | undefined;
  #isFailing = false;

  constructor(settings: KeyChangeSettings) {
    this.#settings = settings;
  }

  /** Returns at once. */
  record(change: KeyChange): void {
    this.#unwritten.push({ change, at: new Date(), isLate: this.#isFailing });
    if (!this.#isWriting && this.#retry === undefined) this.#start();
  }

  #start(): void {
    this.#retry = undefined;
    this.#writing = this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    for (let oldest = this.#unwritten[0]; oldest; oldest = this.#unwritten[0]) {
      const { at, isLate, change } = oldest;
      const reason = isLate ? `${change.reason}; at ${at.toISOString()}` : change.reason;
      try {
        await this.#settings.write({ ...change, reason });
      } catch (error) {
        this.#keep(error);
        break;
      }
      this.#unwritten.shift();
      this.#isFailing = false;
    }
    this.#isWriting = false;
  }

  #keep(error: unknown): void {
    if (!this.#isFailing) {
      this.#settings.log.error({ err: error }, 'a change of the API keys could not be written down: it is tried again');
    }
    this.#isFailing = true;
    for (const each of this.#unwritten) each.isLate = true;
    this.#retry = setTimeout(() => this.#start(), this.#settings.retryMs ?? RETRY_MS);
  }

  /** Tries a last time. To be called when the keys change no more, before the ledger is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    clearTimeout(this.#retry);
    await this.#writeAll();
    clearTimeout(this.#retry);
    if (this.#unwritten.length === 0) return;
    const changes = this.#unwritten.map(({ change, at }) => ({ ...change, at }));
    this.#settings.log.error({ changes }, 'changes of the API keys are not in the audit trail');
  }
}
