import { AttemptError, InternalError, type PipelineStage } from '../errors.js';
import { Deadline } from './deadline.js';
import { endUpstream } from './end-upstream.js';
import type { Erasure, OpenAttempt } from './ledger-ports.js';
import type { Caller, GuestId, Ports } from './ports.js';
import { recordFailure } from './record-failure.js';
import { mintRequestId } from './request-id.js';
import { settleAttempt } from './settle-attempt.js';
import { guestIdOf, NO_GUEST_ID } from './validate-request.js';

/** What came of erasing a guest. */
export interface EraseConclusion {
  /** Names the act in the audit trail. */
  readonly requestId: string;
  /** Whether there was something to erase, and it is gone. */
  readonly erased: boolean;
  /** Live sessions that were ended for it, also where it could not be finished. */
  readonly endedSessions: number;
  /** Audit entries from before personal data was sealed: they hold the guest's id, and cannot be changed. */
  readonly entriesInTheClear: number;
  /** Null when nothing is kept of the guest any more. */
  readonly error: AttemptError | null;
  /** The step that went wrong. */
  readonly stage: PipelineStage;
}

/** A guest that goes on opening sessions meanwhile has to be asked for again. */
const MAX_ROUNDS = 4;
const REASON = 'the guest is erased';

/**
 * Forgets who a guest is, for good. What is live is ended first, at CXone and in the books. As long as anything cannot be ended, or
 * an attempt is under way or may still open something, nobody is forgotten: what is live and belongs to nobody could not be found
 * again. The books look once more in the transaction that forgets, so that nothing is opened in between.
 *
 * To erase a guest twice changes nothing: `erased` is false then, without an error and without an entry in the audit trail. A
 * guest that nobody has heard of gets the same answer, since the two cannot be told apart.
 *
 * @throws InternalError on a bug of ours
 */
export async function eraseGuest(guestId: string, caller: Caller, ports: Ports): Promise<EraseConclusion> {
  const requestId = mintRequestId().id;
  let stage: PipelineStage = 'VALIDATE';
  let endedSessions = 0;
  let guest: GuestId | null = null;
  let erasure: Erasure | null = null;
  const concluded = (error: AttemptError | null): EraseConclusion => {
    const entriesInTheClear = erasure?.entriesInTheClear ?? 0;
    return { requestId, erased: erasure?.is === 'ERASED', endedSessions, entriesInTheClear, error, stage };
  };
  try {
    const deadline = new Deadline(ports.rules.createDeadlineMs);
    guest = validate(guestId);
    stage = 'ERASE';
    for (let round = 1; ; round += 1) {
      erasure = await ports.sessions.eraseGuest(guest, requestId, caller);
      if (erasure.is !== 'OPEN') return concluded(null);
      if (round > MAX_ROUNDS || !erasure.attempts.some(canBeClosed)) throw notYet(erasure.attempts);
      for (const attempt of erasure.attempts.filter(canBeClosed)) {
        if (await close(attempt, caller, deadline, ports)) endedSessions += 1;
      }
    }
  } catch (error) {
    const isOurs = error instanceof AttemptError || error instanceof InternalError;
    const failure = isOurs ? error : new InternalError(requestId, { cause: error });
    if (guest)
      await recordFailure({ kind: 'GUEST_ERASED', requestId, guestId: guest, actor: caller, error: failure }, ports);
    if (failure instanceof InternalError) throw failure;
    return concluded(inOurWords(failure));
  }
}

function validate(value: string): GuestId {
  const guestId = guestIdOf(value);
  if (guestId !== null) return guestId;
  throw new AttemptError('INVALID_INPUT', { problems: [{ field: ['guestId'], message: NO_GUEST_ID }] });
}

const canBeClosed = ({ status }: OpenAttempt): boolean => status === 'ACTIVE' || status === 'UNKNOWN';

/** Ends a live session; finds out of an attempt whose outcome is unknown what became of it. @returns whether a session was ended */
async function close({ id }: OpenAttempt, caller: Caller, deadline: Deadline, ports: Ports): Promise<boolean> {
  let session = await ports.sessions.byId(id);
  if (session?.status === 'UNKNOWN') ({ session } = await settleAttempt(session, deadline, ports));
  if (session?.status !== 'ACTIVE' || session.sessionId === null) return false;
  const { endedUpstream, reason: how } = await endUpstream(session.sessionId, deadline, ports);
  const detail = endedUpstream ? null : how;
  await ports.sessions.end(id, { actor: caller, reason: REASON, detail, endedUpstream });
  return true;
}

function notYet(attempts: readonly OpenAttempt[]): AttemptError {
  // One that is under way is closed in a moment; a look for what arrives late has its time.
  const waitsMs = attempts.map(({ status, lookInMs }) => (status === 'PENDING' ? 0 : (lookInMs ?? 0)));
  return new AttemptError('OUTCOME_UNKNOWN', {
    detail: `open: ${attempts.map(({ id, status }) => `${id} (${status})`).join(', ')}`,
    retryAfterSeconds: Math.ceil(Math.max(...waitsMs) / 1_000) + 1,
  });
}

/** Whoever erases a guest opens no session: that of the guest is meant. */
function inOurWords(error: AttemptError): AttemptError {
  const { code, detail, cause, retryAfterSeconds } = error;
  if (code === 'OUTCOME_UNKNOWN') {
    const message =
      'A session of the guest is being opened, or may still appear at CXone. Nothing was erased. Try again in a moment.';
    return new AttemptError(code, {
      message,
      detail,
      cause,
      retryAfterSeconds: retryAfterSeconds ?? 1,
      retryable: true,
    });
  }
  if (code === 'DEADLINE_EXCEEDED') {
    const message =
      'The sessions of the guest could not all be ended in time. Nothing was erased. Try again: the rest is ended then.';
    return new AttemptError(code, { message, detail, cause, retryAfterSeconds });
  }
  return error;
}
