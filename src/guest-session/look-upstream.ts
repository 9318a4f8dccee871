import { systemActor } from './actor.js';
import type { Deadline } from './deadline.js';
import type { HeldPlace } from './ledger-ports.js';
import type { GuestId, Ports, UpstreamSession } from './ports.js';

/** What a look at the guest's sessions at CXone has shown. */
export interface UpstreamLook {
  /** `SKIPPED` where CXone does not let us ask. */
  readonly upstream: readonly UpstreamSession[] | 'SKIPPED';
  /** How many of ours turned out to be over. */
  readonly ended: number;
}

/**
 * Lists the guest's live sessions at CXone. Those of ours that CXone lists no longer have been ended there, by an agent for
 * instance: they are ended in the books as well, and their places are free.
 *
 * @throws AttemptError when CXone cannot be asked
 */
export async function lookUpstream(
  guestId: GuestId,
  deadline: Deadline,
  { cxone, ledger, sessions, echo, rules }: Pick<Ports, 'cxone' | 'ledger' | 'sessions' | 'echo' | 'rules'>,
): Promise<UpstreamLook> {
  // Read before CXone is asked: what is opened in between is in CXone's list or not, and must not be missed in it.
  const held = ledger.heldPlaces(guestId);
  const upstream = await cxone.listActiveSessions(guestId, deadline);
  if (upstream === 'SKIPPED') return { upstream, ended: 0 };
  echo.learn(upstream, new Set(held.map(({ sessionId }) => sessionId)));
  const listed = new Set(upstream.map(({ sessionId }) => sessionId));
  const gone = held.filter((place) => isMissable(place, rules.listLagMs) && !listed.has(place.sessionId ?? ''));
  for (const { requestId } of gone) {
    await sessions.end(requestId, {
      actor: systemActor('cxone'),
      reason: 'CXone lists it no longer',
      endedUpstream: true,
    });
  }
  return { upstream, ended: gone.length };
}

/** Whether CXone's list would show this session, were it live. */
export const isMissable = ({ sessionId, since }: HeldPlace, listLagMs: number): boolean =>
  sessionId !== null && since.getTime() <= Date.now() - listLagMs;
