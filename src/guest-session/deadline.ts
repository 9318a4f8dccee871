/** A point in time that work must not outlast, on the monotonic clock: a jump of the wall clock does not move it. */
export class Deadline {
  readonly #atMs: number;

  /** @param timeoutMs milliseconds from now */
  constructor(timeoutMs: number) {
    this.#atMs = performance.now() + timeoutMs;
  }

  /** Milliseconds left, never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.#atMs - performance.now());
  }

  get hasPassed(): boolean {
    return this.remainingMs === 0;
  }

  /** True when a wait of so many milliseconds ends before the deadline. */
  allows(waitMs: number): boolean {
    return waitMs < this.remainingMs;
  }
}
