import { InternalError } from '../errors.js';
import type { Conclusion } from './create-guest-session.js';
import type { Caller, CreateGuestSessionRequest } from './ports.js';
import { mintRequestId } from './request-id.js';

type Open = (request: CreateGuestSessionRequest, caller: Caller) => Promise<Conclusion>;

/**
 * Knows which attempts have not ended: their callers may have hung up, but what was begun at CXone has to be written down.
 * Disposing of it lets no new one begin and waits for all of them; each ends by its deadline.
 */
export class AttemptsUnderWay implements AsyncDisposable {
  readonly #open: Open;
  readonly #underWay = new Set<Promise<unknown>>();
  #isEnding = false;

  constructor(open: Open) {
    this.#open = open;
  }

  /** @throws InternalError when the server has stopped taking attempts */
  async run(request: CreateGuestSessionRequest, caller: Caller): Promise<Conclusion> {
    if (this.#isEnding)
      throw new InternalError(mintRequestId().id, { cause: new Error('the server is shutting down') });
    const attempt = this.#open(request, caller);
    this.#underWay.add(attempt);
    try {
      return await attempt;
    } finally {
      this.#underWay.delete(attempt);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(this.#underWay);
  }
}
