import { AttemptError, InternalError } from '../errors.js';
import { Attempt } from './attempt.js';
import { endingOf, recordOf } from './attempt-ending.js';
import { buildSessionPayload } from './build-session-payload.js';
import { checkCapacity } from './check-capacity.js';
import type { Caller, Closed, CreatedSession, CreateGuestSessionRequest, Outcome, Ports } from './ports.js';
import { refuseRisk } from './score-fraud-risk.js';
import { validateRequest } from './validate-request.js';

/** How an attempt ended, and what the books made of it. */
export interface Conclusion extends Closed {
  readonly requestId: string;
  readonly outcome: Outcome;
}

/**
 * Opens one CXone guest session. Every attempt ends in exactly one outcome, which is in the books before it is answered.
 *
 * @throws InternalError on a bug of ours, or when a refusal cannot be written down
 */
export async function createGuestSession(
  request: CreateGuestSessionRequest,
  caller: Caller,
  ports: Ports,
): Promise<Conclusion> {
  const attempt = new Attempt(caller, ports.rules.createDeadlineMs);
  const outcome = await establish(request, attempt, ports).then(established, (error) => refused(error, attempt, ports));
  const closed = await close(attempt, outcome, ports);
  if (outcome.status !== 'SUCCESS' && outcome.error instanceof InternalError) throw outcome.error;
  return { requestId: attempt.requestId, outcome, ...closed };
}

async function establish(
  untrusted: CreateGuestSessionRequest,
  attempt: Attempt,
  { scorer, cxone, ledger, rules }: Ports,
): Promise<CreatedSession> {
  const { deadline, requestId } = attempt;

  const request = await attempt.during('VALIDATE', () => validateRequest(untrusted, rules));
  attempt.request = request;
  await attempt.during('FRAUD', async () => {
    attempt.risk = await scorer.score(request, deadline);
    refuseRisk(attempt.risk, rules.fraudThreshold);
  });
  await attempt.during('RESERVE', () => ledger.reserve(attempt, request));
  attempt.reserved = true;
  await attempt.during('AUTHENTICATE', () => cxone.authenticate(deadline));
  await attempt.during('CAPACITY', async () => {
    const upstream = await cxone.listActiveSessions(request.guestId, deadline);
    attempt.capacityCheck = upstream === 'SKIPPED' ? 'SKIPPED' : 'CHECKED';
    // Where CXone knows of no session, the reservation has counted all there is. Ours are read after CXone's: a session that
    // is opened in between is then seen at least once.
    if (upstream.length === 0) return;
    checkCapacity(requestId, upstream, ledger.heldPlaces(request.guestId), rules.maxConcurrentSessions);
  });
  const payload = buildSessionPayload(request, requestId, attempt.openedAt);
  return attempt.during('CREATE', () =>
    cxone.createSession(payload, deadline, () => {
      attempt.posts += 1;
    }),
  );
}

const established = (created: CreatedSession): Outcome => ({ status: 'SUCCESS', created });

function refused(error: unknown, attempt: Attempt, { log }: Ports): Outcome {
  const { requestId, stage, posts } = attempt;
  if (error instanceof AttemptError) return { status: error.status, error, stage };
  log.error({ err: error, requestId, stage }, 'an attempt failed on a bug of ours');
  // A bug after a POST leaves open whether there is a session, and the guest's place has to stay held.
  if (posts > 0) return { status: 'FAILED', error: new AttemptError('OUTCOME_UNKNOWN', { cause: error }), stage };
  return { status: 'FAILED', error: new InternalError(requestId, { cause: error }), stage };
}

async function close(attempt: Attempt, outcome: Outcome, { ledger, log }: Ports): Promise<Closed> {
  try {
    return await attempt.during('CLOSE', () => ledger.close(attempt, outcome));
  } catch (error) {
    const { requestId } = attempt;
    const created = outcome.status === 'SUCCESS' ? { ...outcome.created, clientToken: undefined } : undefined;
    log.error({ err: error, requestId, outcome: outcome.status, created }, 'an outcome could not be written');
    if (outcome.status !== 'SUCCESS') throw new InternalError(requestId, { cause: error });
    // CXone has accepted: the guest has a session, whatever our books say. The PENDING row goes on holding its place.
    return { session: recordOf(attempt, endingOf(attempt, outcome), 'DISABLED'), eventSequence: null };
  }
}
