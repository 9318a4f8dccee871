const BATCH_SIZE = 200;

export interface Expiry {
  /** Sees to at most `limit` that are over. @returns how many */
  expireDue(limit: number): Promise<number>;
}

/** Sees to what is over soon after its time, in batches that leave the writer room for others. */
export class ExpirySweep implements AsyncDisposable {
  readonly #expiry: Expiry;
  readonly #log: { error(fields: object, message: string): void };
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | null = null;

  /** @param intervalMs how late it may be */
  constructor(expiry: Expiry, intervalMs: number, log: { error(fields: object, message: string): void }) {
    this.#expiry = expiry;
    this.#log = log;
    this.#timer = setInterval(() => {
      this.#sweeping ??= this.#sweep().finally(() => {
        this.#sweeping = null;
      });
    }, intervalMs);
  }

  async #sweep(): Promise<void> {
    try {
      while ((await this.#expiry.expireDue(BATCH_SIZE)) === BATCH_SIZE);
    } catch (error) {
      this.#log.error({ err: error }, 'what is over could not be marked so; tried again shortly');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }
}
