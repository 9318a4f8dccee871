import { isOpen } from './attempt-ending.js';
import type { Deadline } from './deadline.js';
import { endListed } from './end-upstream.js';
import { findSessionsOf } from './find-sessions-of.js';
import type { Settlement } from './ledger-ports.js';
import type { GuestId, GuestSessionRecord, Ports, UpstreamSession } from './ports.js';

/** What has become of an attempt, and what goes on at CXone beside it. */
export interface SettledAttempt extends Settlement {
  /** A surplus session that cannot be ended, and why; null where there is none. */
  readonly surplusLeft: { readonly sessionId: string; readonly why: string } | null;
}

type SettlePorts = Pick<Ports, 'cxone' | 'ledger' | 'sessions' | 'settling' | 'echo' | 'rules' | 'log'>;

/** What a process had on the wire when it died may need so long to show up at CXone. */
const ON_THE_WIRE_MS = 500;

/**
 * Finds out at CXone what has become of an attempt that was interrupted or whose answer was lost, and writes it down. An
 * attempt has one session at most: what a POST has opened beside it, arriving late, is ended. However many ask for the same
 * attempt at once, it is settled once.
 *
 * @throws AttemptError OUTCOME_UNKNOWN when CXone cannot be asked or its answer leaves it open; else what ending a session throws
 */
export const settleAttempt = (
  { id }: Pick<GuestSessionRecord, 'id'>,
  deadline: Deadline,
  ports: SettlePorts,
): Promise<SettledAttempt> => ports.settling.run(id, () => settle(id, deadline, ports));

async function settle(id: string, deadline: Deadline, ports: SettlePorts): Promise<SettledAttempt> {
  const attempt = await ports.sessions.byId(id);
  if (!attempt) throw new Error(`there is no attempt ${id}`);
  // Whose it was nobody knows any more; a guest is erased when all of its attempts are settled.
  if (attempt.erased) return { session: attempt, isAnswer: false, surplusLeft: null };
  const ours = await sessionsOf(attempt, deadline, ports);
  const kept = sessionToKeep(attempt, ours);
  const hasSurplus = ours.length > (kept ? 1 : 0);
  const settlement = await ports.sessions.reconcile(attempt, { session: kept, hasSurplus });
  // By what the books say now: somebody else may have written down another session than we would have kept.
  const surplusLeft = hasSurplus ? await endSurplus(settlement.session, ours, deadline, ports) : null;
  return { ...settlement, surplusLeft };
}

async function sessionsOf(
  attempt: GuestSessionRecord,
  deadline: Deadline,
  ports: SettlePorts,
): Promise<readonly UpstreamSession[]> {
  const { id: requestId, createdAt: openedAt, sessionId } = attempt;
  const guestId = attempt.guestId as GuestId;
  // What is surplus is ended: only the sessions that say whose they are may be taken for that.
  const suspect = { requestId, guestId, openedAt, sessionId, known: null, mayGuess: isOpen(attempt) };
  const ours = await findSessionsOf(suspect, deadline, ports);
  const isYoung = Date.now() - openedAt.getTime() < ports.rules.createDeadlineMs + ON_THE_WIRE_MS;
  if (ours.length > 0 || attempt.status !== 'PENDING' || !isYoung) return ours;
  await new Promise((resolve) => setTimeout(resolve, Math.min(ON_THE_WIRE_MS, deadline.remainingMs)));
  return findSessionsOf(suspect, deadline, ports);
}

/** Only an attempt that may still have a session keeps one; preferably the one that the books know, or one with its token. */
function sessionToKeep(attempt: GuestSessionRecord, ours: readonly UpstreamSession[]): UpstreamSession | null {
  const known = attempt.status !== 'FAILED' && ours.find(({ sessionId }) => sessionId === attempt.sessionId);
  if (known) return known;
  if (!isOpen(attempt)) return null;
  return ours.find((session) => session.clientToken !== null) ?? ours[0] ?? null;
}

async function endSurplus(
  attempt: GuestSessionRecord,
  ours: readonly UpstreamSession[],
  deadline: Deadline,
  ports: SettlePorts,
): Promise<SettledAttempt['surplusLeft']> {
  if (isOpen(attempt)) return null; // somebody else is about to say which one is kept
  const { id: requestId } = attempt;
  const ended: string[] = [];
  let left: SettledAttempt['surplusLeft'] = null;
  for (const { sessionId } of ours) {
    if (attempt.status !== 'FAILED' && sessionId === attempt.sessionId) continue;
    const end = await endListed(sessionId, attempt.guestId as GuestId, deadline, ports);
    // Its place stays taken all the same: CXone lists it, and what CXone lists is counted.
    if (end.isLive) left = { sessionId, why: end.reason };
    else ended.push(sessionId);
  }
  if (ended.length > 0) await ports.sessions.recordSurplus(requestId, ended);
  if (left) ports.log.warn({ requestId, ...left }, 'a surplus session cannot be ended');
  return left;
}
