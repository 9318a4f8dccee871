import { AttemptError } from '../errors.js';
import type { HeldPlace } from './ledger-ports.js';
import type { UpstreamSession } from './ports.js';

type Listed = Pick<UpstreamSession, 'sessionId' | 'requestId'>;
type Place = Pick<HeldPlace, 'requestId' | 'sessionId'>;

/**
 * Refuses an attempt that would take its guest above the cap, counting CXone's sessions and ours as one set.
 *
 * @param held the guest's places in our books, oldest reservation first, this attempt's own among them
 * @throws AttemptError CAPACITY_EXCEEDED
 */
export function checkCapacity(
  requestId: string,
  upstream: readonly Listed[],
  held: readonly Place[],
  maxConcurrentSessions: number,
): void {
  const taken = placesTakenByOthers(requestId, upstream, held);
  if (taken < maxConcurrentSessions) return;
  throw new AttemptError('CAPACITY_EXCEEDED', {
    detail: `${taken} of ${maxConcurrentSessions} places are taken (${upstream.length} live at CXone)`,
  });
}

/**
 * Of the attempts in flight only the earlier ones count: the later ones count us. If each counted all the others, requests
 * that arrive together would refuse one another while places are free.
 *
 * Where CXone does not echo our request id, the session of an attempt in flight looks like somebody else's and counts twice
 * until that attempt is closed. Taking it for ours instead would let the guest above the cap wherever it is not.
 */
function placesTakenByOthers(requestId: string, upstream: readonly Listed[], held: readonly Place[]): number {
  const others = held.filter((place) => place.requestId !== requestId);
  const live = others.filter((place) => place.sessionId !== null);
  const own = held.findIndex((place) => place.requestId === requestId);
  const before = held.slice(0, own < 0 ? held.length : own);
  const earlier = before.filter((place) => place.sessionId === null);

  const ourSessionIds = new Set(live.map((place) => place.sessionId));
  const ourRequestIds = new Set(others.map((place) => place.requestId));
  const notOurs = upstream.filter(
    (session) =>
      !ourSessionIds.has(session.sessionId) && !(session.requestId !== null && ourRequestIds.has(session.requestId)),
  );
  return live.length + earlier.length + notOurs.length;
}
