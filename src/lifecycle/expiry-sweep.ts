const INTERVAL_MS = 250;
const BATCH_SIZE = 200;

export interface Expiry {
  /** Expires at most `limit` sessions that are over. @returns how many */
  expireDue(limit: number): Promise<number>;
}

/** Marks sessions as expired soon after their time is over, in batches that leave the writer room for others. */
export class ExpirySweep implements AsyncDisposable {
  readonly #expiry: Expiry;
  readonly #log: { error(fields: object, message: string): void };
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | null = null;

  constructor(expiry: Expiry, log: { error(fields: object, message: string): void }) {
    this.#expiry = expiry;
    this.#log = log;
    this.#timer = setInterval(() => {
      this.#sweeping ??= this.#sweep().finally(() => {
        this.#sweeping = null;
      });
    }, INTERVAL_MS);
  }

  async #sweep(): Promise<void> {
    try {
      while ((await this.#expiry.expireDue(BATCH_SIZE)) === BATCH_SIZE);
    } catch (error) {
      this.#log.error({ err: error }, 'sessions could not be marked as expired; tried again shortly');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }
}
