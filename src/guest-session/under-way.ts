import { InternalError } from '../errors.js';
import { mintRequestId } from './request-id.js';

/**
 * Knows what has not ended: the callers may have hung up, but what was begun at CXone has to be written down. Disposing of it
 * lets nothing new begin and waits for all of it; each ends by its deadline.
 */
export class UnderWay implements AsyncDisposable {
  readonly #underWay = new Set<Promise<unknown>>();
  #isEnding = false;

  /** @throws InternalError when the server has stopped taking work */
  async run<T>(begin: () => Promise<T>): Promise<T> {
    if (this.#isEnding)
      throw new InternalError(mintRequestId().id, { cause: new Error('the server is shutting down') });
    const work = begin();
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(this.#underWay);
  }
}
