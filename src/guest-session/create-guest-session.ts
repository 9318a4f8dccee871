import { AttemptError, InternalError, loggable } from '../errors.js';
import { Attempt } from './attempt.js';
import { endingOf, recordOf } from './attempt-ending.js';
import { withBelievedConnection } from './believed-connection.js';
import { buildSessionPayload } from './build-session-payload.js';
import { checkCapacity } from './check-capacity.js';
import { findLostAnswer } from './find-lost-answer.js';
import type { Closed, Conclusion } from './ledger-ports.js';
import { lookUpstream } from './look-upstream.js';
import type { Caller, CreateGuestSessionRequest, OpenedSession, Outcome, Ports } from './ports.js';
import { recogniseIntent } from './recognise-intent.js';
import { reservePlace } from './reserve-place.js';
import { refuseRisk } from './score-fraud-risk.js';
import { validateRequest } from './validate-request.js';

/**
 * Opens one CXone guest session. Every attempt ends in exactly one outcome, which is in the books before it is answered.
 *
 * @throws InternalError on a bug of ours
 */
export async function createGuestSession(
  request: CreateGuestSessionRequest,
  caller: Caller,
  ports: Ports,
): Promise<Conclusion> {
  const attempt = new Attempt(caller, ports.rules.createDeadlineMs);
  const result = await establish(request, attempt, ports).catch((error: unknown) => refused(error, attempt, ports));
  if ('replayed' in result) return result; // its own attempt has written it down
  const closed = await close(attempt, result, ports);
  if (result.status !== 'SUCCESS' && result.error instanceof InternalError) throw result.error;
  return { requestId: attempt.requestId, outcome: result, replayed: false, ...closed };
}

async function establish(
  untrusted: CreateGuestSessionRequest,
  attempt: Attempt,
  ports: Ports,
): Promise<Outcome | Conclusion> {
  const { scorer, cxone, ledger, rules } = ports;
  const { deadline, requestId } = attempt;

  const request = await attempt.during('VALIDATE', () =>
    validateRequest(withBelievedConnection(untrusted, attempt.caller), rules),
  );
  attempt.request = request;
  const answer = await attempt.during('RECOGNISE', () => recogniseIntent(attempt, request, ports));
  if (answer) return answer;
  await attempt.during('FRAUD', async () => {
    attempt.risk = await scorer.score(request, deadline);
    refuseRisk(attempt.risk, rules.fraudThreshold);
  });
  await attempt.during('RESERVE', () => reservePlace(attempt, request, ports));
  attempt.reserved = true;
  await attempt.during('AUTHENTICATE', () => cxone.authenticate(deadline));
  const known = await attempt.during('CAPACITY', async () => {
    const { upstream } = await lookUpstream(request.guestId, deadline, ports);
    attempt.capacityCheck = upstream === 'SKIPPED' ? 'SKIPPED' : 'CHECKED';
    // Where CXone knows of no session, the reservation has counted all there is. Ours are read after CXone's: a session that
    // is opened in between is then seen at least once.
    if (upstream === 'SKIPPED' || upstream.length === 0) return upstream;
    checkCapacity(requestId, upstream, ledger.heldPlaces(request.guestId), rules.maxConcurrentSessions);
    return upstream;
  });
  const payload = buildSessionPayload(request, requestId, attempt.openedAt);
  const created = await attempt.during('CREATE', () =>
    cxone.createSession(payload, deadline, {
      onPost: () => {
        attempt.posts += 1;
      },
      findLost: () => findLostAnswer(attempt, request, known, ports),
    }),
  );
  return established(created);
}

const established = (created: OpenedSession): Outcome => ({ status: 'SUCCESS', created });

function refused(error: unknown, attempt: Attempt, { log }: Ports): Outcome {
  const { requestId, stage, posts } = attempt;
  if (error instanceof AttemptError) {
    if (error.status === 'FAILED') log.warn({ requestId, stage, ...loggable(error) }, 'an attempt failed');
    return { status: error.status, error: withKey(error, attempt), stage };
  }
  log.error({ err: error, requestId, stage }, 'an attempt failed on a bug of ours');
  // A bug after a POST leaves open whether there is a session, and the guest's place has to stay held.
  const isOpen = posts > 0 && new AttemptError('OUTCOME_UNKNOWN', { cause: error });
  if (isOpen) return { status: 'FAILED', error: withKey(isOpen, attempt), stage };
  return { status: 'FAILED', error: new InternalError(requestId, { cause: error }), stage };
}

/** With its key a lost answer can be asked for again; without it, asking again could open a second session. */
function withKey(error: AttemptError, { request }: Attempt): AttemptError {
  if (error.code !== 'OUTCOME_UNKNOWN' || !request?.idempotencyKey) return error;
  const { detail, retryAfterSeconds, cause } = error;
  return new AttemptError('OUTCOME_UNKNOWN', { detail, retryAfterSeconds, cause, retryable: true });
}

async function close(attempt: Attempt, outcome: Outcome, { ledger, log }: Ports): Promise<Closed> {
  try {
    return await attempt.during('CLOSE', () => ledger.close(attempt, outcome));
  } catch (error) {
    const { requestId } = attempt;
    const created = outcome.status === 'SUCCESS' ? { ...outcome.created, clientToken: undefined } : undefined;
    // That the database cannot be written is no bug: it is said once, and not with a stack for every attempt.
    const why = error instanceof AttemptError ? { reason: error.detail } : { err: error };
    log.error({ ...why, requestId, outcome: outcome.status, created }, 'an outcome could not be written');
    // The PENDING row goes on holding its place until it can be written, and each attempt has its audit entry in the end.
    ledger.closeLater(attempt, outcome);
    // What CXone has accepted the guest has, whatever our books say; and a refusal stays one.
    if (outcome.status !== 'SUCCESS' && outcome.error instanceof InternalError) throw outcome.error;
    return { session: recordOf(attempt, endingOf(attempt, outcome), 'DISABLED'), eventSequence: null };
  }
}
