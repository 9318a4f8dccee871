import { AttemptError, type FieldProblem, InternalError, type PipelineStage } from '../errors.js';
import { Deadline } from './deadline.js';
import { endUpstream } from './end-upstream.js';
import type { Caller, EndGuestSessionRequest, GuestSessionRecord, Ports } from './ports.js';
import { mintRequestId } from './request-id.js';
import { settleAttempt } from './settle-attempt.js';
import { isPrintable } from './validate-request.js';

/** What came of ending a session. */
export interface EndConclusion {
  /** As it stands now; null where there is no such session. */
  readonly session: GuestSessionRecord | null;
  /** Whether CXone has ended it as well. */
  readonly endedUpstream: boolean;
  /** Null when the session is over. */
  readonly error: AttemptError | null;
  /** The step that went wrong. */
  readonly stage: PipelineStage;
}

const MAX_REASON_LENGTH = 200;

/**
 * Ends one guest session: at CXone, and then in the books, which frees its place. To end a session that is over changes
 * nothing and gives the same answer again.
 *
 * @throws InternalError on a bug of ours
 */
export async function endGuestSession(
  request: EndGuestSessionRequest,
  caller: Caller,
  ports: Ports,
): Promise<EndConclusion> {
  let session: GuestSessionRecord | null = null;
  let stage: PipelineStage = 'VALIDATE';
  try {
    const deadline = new Deadline(ports.rules.createDeadlineMs);
    validate(request);
    session = await find(request, caller, ports);
    stage = 'END';
    if (session.status === 'UNKNOWN') ({ session } = await settleAttempt(session, deadline, ports));
    if (session.status === 'PENDING') throw new AttemptError('OUTCOME_UNKNOWN', { detail: 'it is being opened' });
    if (session.status === 'FAILED') throw new AttemptError('NOT_FOUND', { detail: 'it was never opened' });
    if (session.status === 'ACTIVE' && session.sessionId !== null) {
      const { endedUpstream, reason: how } = await endUpstream(session.sessionId, deadline, ports);
      const end = { actor: caller, reason: request.reason?.trim() || null, detail: endedUpstream ? null : how };
      session = await ports.sessions.end(session.id, { ...end, endedUpstream });
    }
    return { session, endedUpstream: session.endedUpstream ?? false, error: null, stage };
  } catch (error) {
    if (error instanceof AttemptError) return { session, endedUpstream: false, error: notYet(error), stage };
    throw error instanceof InternalError ? error : new InternalError(mintRequestId().id, { cause: error });
  }
}

/** Whoever ends a session has no lost answer of its own: that of the one who opened it is meant. */
function notYet(error: AttemptError): AttemptError {
  if (error.code !== 'OUTCOME_UNKNOWN') return error;
  const { detail, retryAfterSeconds = 1, cause } = error;
  const message = 'Whether this session was opened cannot be told yet. Try again in a moment.';
  return new AttemptError('OUTCOME_UNKNOWN', { message, detail, retryAfterSeconds, cause, retryable: true });
}

function validate({ id, sessionId, reason }: EndGuestSessionRequest): void {
  const problems: FieldProblem[] = [];
  if ((id == null) === (sessionId == null)) {
    problems.push({ field: ['input', 'id'], message: 'must be given, or else sessionId: one of the two' });
  }
  if (reason != null && !isPrintable(reason, MAX_REASON_LENGTH)) {
    const message = `must be 1 to ${MAX_REASON_LENGTH} printable characters`;
    problems.push({ field: ['input', 'reason'], message });
  }
  if (problems.length > 0) throw new AttemptError('INVALID_INPUT', { problems });
}

async function find(
  { id, sessionId }: EndGuestSessionRequest,
  caller: Caller,
  { sessions }: Ports,
): Promise<GuestSessionRecord> {
  const session = id != null ? await sessions.byId(id) : await sessions.bySessionId(sessionId ?? '');
  // Whoever may end only its own is not told that there are others.
  if (!session || (caller.seesOwnOnly && session.callerName !== caller.name)) throw new AttemptError('NOT_FOUND');
  return session;
}
