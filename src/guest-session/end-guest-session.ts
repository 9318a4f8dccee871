import { AttemptError, type FieldProblem, InternalError, type PipelineStage } from '../errors.js';
import { Deadline } from './deadline.js';
import { endUpstream } from './end-upstream.js';
import { maySee } from './may-see.js';
import type { Caller, EndGuestSessionRequest, GuestSessionRecord, Ports } from './ports.js';
import { recordFailure } from './record-failure.js';
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
 * nothing and gives the same answer again. An order that comes to nothing is in the audit trail before it is answered.
 *
 * @throws InternalError on a bug of ours
 */
export async function endGuestSession(
  request: EndGuestSessionRequest,
  caller: Caller,
  ports: Ports,
): Promise<EndConclusion> {
  const order: EndOrder = { requestId: mintRequestId().id, request, caller, session: null, stage: 'VALIDATE' };
  try {
    const session = await end(order, ports);
    return { session, endedUpstream: session.endedUpstream ?? false, error: null, stage: order.stage };
  } catch (cause) {
    const error = cause instanceof AttemptError ? notYet(cause) : asInternal(cause, order);
    const { requestId, session: meant } = order;
    await recordFailure({ kind: 'SESSION_ENDED', requestId, session: meant, actor: caller, error }, ports);
    if (error instanceof InternalError) throw error;
    const session = isHidden(order) ? null : order.session;
    return { session, endedUpstream: false, error, stage: order.stage };
  }
}

/** One order to end a session, and what became known on the way. */
interface EndOrder {
  readonly requestId: string;
  readonly request: EndGuestSessionRequest;
  readonly caller: Caller;
  /** The session that is meant. */
  session: GuestSessionRecord | null;
  /** The step at work, or the one that refused. */
  stage: PipelineStage;
}

async function end(order: EndOrder, ports: Ports): Promise<GuestSessionRecord> {
  const { request, caller } = order;
  const deadline = new Deadline(ports.rules.createDeadlineMs);
  validate(request);
  let session = await find(order, ports);
  order.stage = 'END';
  if (session.status === 'UNKNOWN') ({ session } = await settleAttempt(session, deadline, ports));
  order.session = session;
  if (session.status === 'PENDING') throw new AttemptError('OUTCOME_UNKNOWN', { detail: 'it is being opened' });
  if (session.status === 'FAILED') throw new AttemptError('NOT_FOUND', { detail: 'it was never opened' });
  if (session.status !== 'ACTIVE' || session.sessionId === null) return session;
  const { endedUpstream, reason: how } = await endUpstream(session.sessionId, deadline, ports);
  const ending = { actor: caller, reason: request.reason?.trim() || null, detail: endedUpstream ? null : how };
  return ports.sessions.end(session.id, { ...ending, endedUpstream });
}

const asInternal = (error: unknown, { requestId }: EndOrder): InternalError =>
  error instanceof InternalError ? error : new InternalError(requestId, { cause: error });

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

async function find(order: EndOrder, { sessions }: Ports): Promise<GuestSessionRecord> {
  const { id, sessionId } = order.request;
  order.session = id != null ? await sessions.byId(id) : await sessions.bySessionId(sessionId ?? '');
  if (!order.session) throw new AttemptError('NOT_FOUND');
  if (isHidden(order)) throw new AttemptError('NOT_FOUND', { detail: 'another caller has opened it' });
  return order.session;
}

const isHidden = ({ session, caller }: EndOrder): boolean => session !== null && !maySee(caller, session);
