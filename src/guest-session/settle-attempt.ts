import type { Deadline } from './deadline.js';
import { endUpstream } from './end-upstream.js';
import { findSessionsOf } from './find-sessions-of.js';
import type { Settlement } from './ledger-ports.js';
import type { GuestId, GuestSessionRecord, Ports, UpstreamSession } from './ports.js';

/** What has become of an attempt, and what goes on at CXone beside it. */
export interface SettledAttempt extends Settlement {
  /** A surplus session that cannot be ended, and why; null where there is none. */
  readonly surplusLeft: { readonly sessionId: string; readonly why: string } | null;
}

/**
 * Finds out at CXone what has become of an attempt that was interrupted or whose answer was lost, and writes it down. An
 * attempt has one session at most: what a POST has opened beside it, arriving late, is ended.
 *
 * @throws AttemptError OUTCOME_UNKNOWN when CXone cannot be asked or its answer leaves it open; else what ending a session throws
 */
export async function settleAttempt(
  attempt: GuestSessionRecord,
  deadline: Deadline,
  ports: Pick<Ports, 'cxone' | 'ledger' | 'sessions' | 'echo' | 'rules' | 'log'>,
): Promise<SettledAttempt> {
  const { id: requestId, createdAt: openedAt, sessionId } = attempt;
  const guestId = attempt.guestId as GuestId;
  // What is surplus is ended: only the sessions that say whose they are may be taken for that.
  const suspect = { requestId, guestId, openedAt, sessionId, known: null, mayGuess: isOpen(attempt) };
  const ours = await findSessionsOf(suspect, deadline, ports);
  const kept = sessionToKeep(attempt, ours);
  const surplus: string[] = [];
  let surplusLeft: SettledAttempt['surplusLeft'] = null;
  for (const { sessionId } of ours) {
    if (sessionId === kept?.sessionId) continue;
    const end = await endUpstream(sessionId, deadline, ports);
    // Its place stays taken all the same: CXone lists it, and what CXone lists is counted.
    if (!end.isLive) {
      surplus.push(sessionId);
      continue;
    }
    surplusLeft = { sessionId, why: end.reason };
    ports.log.warn({ requestId, ...surplusLeft }, 'a surplus session cannot be ended');
  }
  const isSurplusLeft = surplusLeft !== null;
  return { ...(await ports.sessions.reconcile(attempt, { session: kept, surplus, isSurplusLeft })), surplusLeft };
}

/** Only an attempt that may still have a session keeps one; preferably the one that the books know, or one with its token. */
function sessionToKeep(attempt: GuestSessionRecord, ours: readonly UpstreamSession[]): UpstreamSession | null {
  const known = attempt.status !== 'ENDED' && ours.find(({ sessionId }) => sessionId === attempt.sessionId);
  if (known) return known;
  if (!isOpen(attempt)) return null;
  return ours.find((session) => session.clientToken !== null) ?? ours[0] ?? null;
}

const isOpen = ({ status }: GuestSessionRecord): boolean => status === 'PENDING' || status === 'UNKNOWN';
