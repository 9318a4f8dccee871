import { AttemptError } from '../errors.js';
import type { Attempt } from './attempt.js';
import { findSessionsOf } from './find-sessions-of.js';
import type { CreatedSession, Ports, UpstreamSession, ValidRequest } from './ports.js';

/**
 * What a POST whose answer was lost has opened after all.
 *
 * @param known the guest's sessions at CXone before the first POST
 * @returns the session, or null where there is none
 * @throws AttemptError OUTCOME_UNKNOWN when it cannot be told, or the session is there without its token
 */
export async function findLostAnswer(
  attempt: Attempt,
  { guestId }: ValidRequest,
  known: readonly UpstreamSession[] | 'SKIPPED',
  ports: Ports,
): Promise<CreatedSession | null> {
  attempt.lostAnswers += 1;
  const { requestId, openedAt, deadline } = attempt;
  const before = known === 'SKIPPED' ? null : known;
  const suspect = { requestId, guestId, openedAt, sessionId: null, known: before, mayGuess: true };
  const ours = await findSessionsOf(suspect, deadline, ports);
  const found = ours.find((session) => session.clientToken !== null) ?? ours[0];
  if (!found) return null;
  attempt.found = found;
  const { sessionId, clientToken, expiresAt } = found;
  if (clientToken !== null && expiresAt !== null) return { sessionId, clientToken, expiresAt };
  throw new AttemptError('OUTCOME_UNKNOWN', { detail: `the session ${sessionId} is open, but its token was lost` });
}
