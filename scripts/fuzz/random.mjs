/** Chance that can be played again (mulberry32): the same seed makes the same choices. */
export class Random {
  #state;

  /** @param {number} seed a whole number */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability) {
    return this.next() < probability;
  }

  /** A whole number from 0 to `most`. */
  upTo(most) {
    return Math.floor(this.next() * (most + 1));
  }

  /** A whole number from 1 to `most`, every order of magnitude as often as the others. */
  sizeUpTo(most) {
    return Math.max(1, Math.round(most ** this.next()));
  }

  /**
   * @template T
   * @param {readonly T[]} items
   */
  pick(items) {
    return items[this.upTo(items.length - 1)];
  }

  /** A number that {@link Random} can begin with, so that what follows does not depend on how often this one is asked. */
  seed() {
    return this.upTo(2 ** 32 - 1);
  }
}
