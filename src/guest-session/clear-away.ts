import { AttemptError } from '../errors.js';
import { systemActor } from './actor.js';
import { isOpen } from './attempt-ending.js';
import type { Deadline } from './deadline.js';
import { endListed } from './end-upstream.js';
import type { GuestId, GuestSessionRecord, Ports } from './ports.js';
import { settleAttempt } from './settle-attempt.js';

/**
 * Makes room for a retry: finds out what an earlier attempt of the same intent has left at CXone, and ends it there, so that
 * the guest is not charged twice.
 *
 * @returns `ADOPTED` where the session was found with its token, and so is the answer; `CLEAR` where there is nothing (more)
 * @throws AttemptError OUTCOME_UNKNOWN when that cannot be found out, or the session cannot be ended
 */
export async function clearAway(
  earlier: GuestSessionRecord,
  deadline: Deadline,
  ports: Ports,
): Promise<'ADOPTED' | 'CLEAR'> {
  try {
    const { session, isAnswer, surplusLeft } = await settleAttempt(earlier, deadline, ports);
    if (isAnswer) return 'ADOPTED';
    if (surplusLeft) throw stillThere(surplusLeft.sessionId, surplusLeft.why);
    if (isOpen(session)) throw stillThere(null, 'it is not settled');
    if (session.status !== 'ACTIVE' || session.sessionId === null) return 'CLEAR';
    const end = await endListed(session.sessionId, session.guestId as GuestId, deadline, ports);
    if (end.isLive) throw stillThere(session.sessionId, end.reason);
    await ports.sessions.end(session.id, {
      actor: systemActor('retry'),
      reason: 'its token was lost with the answer, and the caller has asked again',
      endedUpstream: end.endedUpstream,
    });
    return 'CLEAR';
  } catch (error) {
    if (!(error instanceof AttemptError) || error.code === 'OUTCOME_UNKNOWN') throw error;
    throw stillThere(earlier.sessionId, error.detail ?? error.message, error.retryAfterSeconds);
  }
}

const stillThere = (sessionId: string | null, why: string, retryAfterSeconds?: number): AttemptError =>
  new AttemptError('OUTCOME_UNKNOWN', {
    detail: `an earlier attempt may have left the session ${sessionId ?? '(unknown)'} at CXone: ${why}`,
    retryAfterSeconds,
  });
