const CAPACITY = 20;
const DEPOSIT_PER_CALL = 0.2;
const REFILL_PER_SECOND = 2;

/**
 * Keeps retries from multiplying the load while CXone is down: over any stretch of time they add a fifth to the calls, plus
 * 2 a second, plus the 20 that a full bucket holds. One budget is shared by all calls to CXone.
 *
 * A token bucket after Finagle's `RetryBudget` (20 % of the requests, plus a few retries a second for clients that make
 * few), with a capacity as in gRPC's retry throttling (proposal A6) in place of Finagle's deposits that expire.
 */
export class RetryBudget {
  #tokens = CAPACITY;
  /** On the monotonic clock. */
  #filledAtMs = performance.now();

  /** Every call that is not itself a retry pays in. */
  deposit(): void {
    this.#fill(DEPOSIT_PER_CALL);
  }

  /** @returns whether one more retry can be afforded; it is then paid for */
  withdraw(): boolean {
    const nowMs = performance.now();
    this.#fill(((nowMs - this.#filledAtMs) / 1000) * REFILL_PER_SECOND);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(tokens: number): void {
    this.#tokens = Math.min(CAPACITY, this.#tokens + tokens);
  }
}
