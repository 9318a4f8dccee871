import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

export interface BoundedRateOptions {
  /** How many in a window are not too many. */
  readonly limit: number;
  /** How long a window is, which begins with the first that is counted. */
  readonly windowSeconds: number;
  /** How many are counted apart at once: each takes about 500 bytes. */
  readonly mostApart: number;
  /** With whom one is counted who comes when there are that many; left out: with all the others. */
  together?(one: string): string;
}

/** What counting one has come to. */
export interface Taken {
  /** In how many seconds to come again, whole and at least 1; null where it is not too many. */
  readonly waitSeconds: number | null;
  /** Takes the one back, as if it had not been counted. Where it was too many it was not. */
  giveBack(): Promise<void>;
}

/** What is not counted at all. */
export const NOTHING_TAKEN: Taken = { waitSeconds: null, giveBack: async () => undefined };

/** Who comes when also those that are counted together are too many. */
const THE_REST = 'the rest';

/**
 * Counts how often each does something. Who has millions of names, such as the addresses of an IPv6 network, must not fill the
 * memory with them: when there are too many, newcomers are counted together. Who was there before is counted as before.
 */
export class BoundedRate implements Disposable {
  readonly #options: BoundedRateOptions;
  readonly #limiter: RateLimiterMemory;
  /** When the window of each is over, on the monotonic clock; the first to end stands first. */
  readonly #endsMs = new Map<string, number>();

  constructor(options: BoundedRateOptions) {
    this.#options = options;
    this.#limiter = new RateLimiterMemory({ points: options.limit, duration: options.windowSeconds });
  }

  /**
   * Counts once more.
   * @returns in how many seconds to come again, whole and at least 1; null where it is not too many
   */
  async count(one: string): Promise<number | null> {
    return (await this.take(one)).waitSeconds;
  }

  /** The same, of what may turn out not to count. */
  async take(one: string): Promise<Taken> {
    const { limit, windowSeconds } = this.#options;
    const { name, isNew } = this.#countedAs(one);
    if (isNew) this.#endsMs.set(name, performance.now() + windowSeconds * 1000);
    const counted = await this.#limiter.consume(name).catch(refused);
    if (counted.consumedPoints <= limit) {
      const endMs = performance.now() + this.#leftMs(counted);
      const giveBack = async () => void (performance.now() < endMs && (await this.#limiter.reward(name)));
      return { waitSeconds: null, giveBack };
    }
    // The library has counted it. What others give back is not to go into that.
    await this.#limiter.reward(name);
    return { ...NOTHING_TAKEN, waitSeconds: this.#waitSeconds(counted) };
  }

  /** The same without counting: whether one more would be too many. */
  async wait(one: string): Promise<number | null> {
    const counted = await this.#limiter.get(this.#countedAs(one).name);
    return counted === null || counted.consumedPoints < this.#options.limit ? null : this.#waitSeconds(counted);
  }

  /** By the wall clock, which may have been set back. */
  #leftMs({ msBeforeNext }: RateLimiterRes): number {
    return Math.min(msBeforeNext, this.#options.windowSeconds * 1000);
  }

  #waitSeconds(counted: RateLimiterRes): number {
    return Math.max(1, Math.ceil(this.#leftMs(counted) / 1000));
  }

  /** Whether one is counted by itself at the moment. */
  isCounted(one: string): boolean {
    this.#forgetEnded(performance.now());
    return this.#endsMs.has(one);
  }

  #forgetEnded(now: number): void {
    for (const [name, endMs] of this.#endsMs) {
      if (endMs > now) break;
      this.#endsMs.delete(name);
    }
  }

  #countedAs(one: string): { readonly name: string; readonly isNew: boolean } {
    const { mostApart, together } = this.#options;
    this.#forgetEnded(performance.now());
    if (this.#endsMs.has(one)) return { name: one, isNew: false };
    if (this.#endsMs.size < mostApart) return { name: one, isNew: true };
    const group = together?.(one);
    if (group !== undefined && this.#endsMs.has(group)) return { name: group, isNew: false };
    if (group !== undefined && this.#endsMs.size < 2 * mostApart) return { name: group, isNew: true };
    return { name: THE_REST, isNew: false };
  }

  /** Ends all windows, and their timers. */
  [Symbol.dispose](): void {
    for (const name of [...this.#endsMs.keys(), THE_REST]) void this.#limiter.delete(name);
    this.#endsMs.clear();
  }
}

/** The library rejects with its count. */
function refused(reason: unknown): RateLimiterRes {
  if (reason instanceof RateLimiterRes) return reason;
  throw reason;
}
