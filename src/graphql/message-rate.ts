/** What a client needs to say who it is, and some to spare. */
const MOST_OF_A_STRANGER = 10;
/** With one subscription: it begins, ends, and begins again, and so on. */
const AT_ONCE_PER_SUBSCRIPTION = 10;
/** Of all else: `connection_init`, pings, and pongs that nobody has asked for. */
const AT_ONCE_BESIDE = 100;
/** After how many seconds it may send as many at once again. */
const SECONDS_TO_RECOVER = 5;

/**
 * How many messages one socket may send, pings of WebSocket among them. A message may be as short as six bytes, of which
 * hundreds of thousands are read before anybody else gets a turn. No client that means well comes near the bound.
 */
export class MessageRate {
  readonly #atOnce: number;
  #left: number;
  /** On the monotonic clock. */
  #countedMs: number;
  #ofStranger = 0;

  /** @param subscriptions how many the socket may have */
  constructor(subscriptions: number) {
    this.#atOnce = AT_ONCE_BESIDE + AT_ONCE_PER_SUBSCRIPTION * subscriptions;
    this.#left = this.#atOnce;
    this.#countedMs = performance.now();
  }

  /**
   * Counts one more.
   * @param isKnown whether the client has said who it is
   * @returns false where it is one too many
   */
  take(isKnown: boolean): boolean {
    if (!isKnown) {
      this.#ofStranger += 1;
      return this.#ofStranger <= MOST_OF_A_STRANGER;
    }
    const nowMs = performance.now();
    const recovered = (((nowMs - this.#countedMs) / 1000) * this.#atOnce) / SECONDS_TO_RECOVER;
    this.#left = Math.min(this.#atOnce, this.#left + recovered);
    this.#countedMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
