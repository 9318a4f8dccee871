import type { UpstreamSession } from './ports.js';

/** What CXone's lists have shown since the start of whether they repeat the request ids that we sent along. */
export class RequestIdEcho {
  #isHeard: boolean | null = null;

  /** Null while no list has shown it: then a session without an id may be anybody's. */
  get isHeard(): boolean | null {
    return this.#isHeard;
  }

  /** @param ours ids of sessions that we have opened: if one of them has no request id, CXone repeats none */
  learn(upstream: readonly UpstreamSession[], ours: ReadonlySet<string | null>): void {
    for (const { sessionId, requestId } of upstream) {
      // The attribute has a name of ours, which nobody else would fill in.
      if (requestId !== null) this.#isHeard = true;
      else if (ours.has(sessionId)) this.#isHeard ??= false;
    }
  }
}
