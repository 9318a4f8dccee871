import { v7 as uuidv7 } from 'uuid';
import { AttemptError } from '../errors.js';
import type { EndConclusion } from '../guest-session/end-guest-session.js';
import type { EraseConclusion } from '../guest-session/erase-guest.js';
import type { Conclusion } from '../guest-session/ledger-ports.js';
import type { EraseGuestPayload } from './guest-types.js';
import { eventCursor } from './relay.js';
import type { CreateGuestSessionPayload, EndGuestSessionPayload, UserError } from './session-types.js';

/** The answer of `createGuestSession`: the only place where a client token leaves the server. */
export function toCreatePayload({
  requestId,
  outcome,
  session,
  eventSequence,
  replayed,
}: Conclusion): CreateGuestSessionPayload {
  const cursor = eventSequence === null ? null : eventCursor.of({ sequence: eventSequence });
  const answer = { requestId, eventCursor: cursor, replayed };
  if (outcome.status === 'SUCCESS') {
    return { ...answer, session, clientToken: outcome.created.clientToken, userErrors: [] };
  }
  const { error, stage } = outcome;
  const userErrors = error instanceof AttemptError ? toUserErrors(error, stage) : [];
  return { ...answer, session: null, clientToken: null, userErrors };
}

/**
 * The answer of `createGuestSession` to who asks for too many sessions. It is no attempt: a flood would fill the books. And it is
 * no error of GraphQL, which would take the other sessions of the request with it, and their tokens.
 */
export const asksTooOften = (retryAfterSeconds: number): CreateGuestSessionPayload => ({
  requestId: uuidv7(),
  eventCursor: null,
  replayed: false,
  session: null,
  clientToken: null,
  userErrors: toUserErrors(
    new AttemptError('RATE_LIMITED', {
      retryAfterSeconds,
      message: 'Too many sessions are asked for by this device, or from this address. Try again later.',
    }),
    'VALIDATE',
  ),
});

/** The answer of `endGuestSession`. */
export const toEndPayload = ({ session, endedUpstream, error, stage }: EndConclusion): EndGuestSessionPayload => ({
  session,
  upstreamEnded: endedUpstream,
  userErrors: error ? toUserErrors(error, stage) : [],
});

/** The answer of `eraseGuest`. */
export const toErasePayload = ({ error, stage, ...conclusion }: EraseConclusion): EraseGuestPayload => ({
  ...conclusion,
  userErrors: error ? toUserErrors(error, stage) : [],
});

/** Does something about webhooks: what it gave, or why it was refused. */
export async function orRefused<T>(
  work: Promise<T>,
): Promise<{ readonly value: T | null; readonly userErrors: UserError[] }> {
  try {
    return { value: await work, userErrors: [] };
  } catch (error) {
    if (error instanceof AttemptError) return { value: null, userErrors: toUserErrors(error, 'REPLAY') };
    throw error;
  }
}

function toUserErrors(error: AttemptError, stage: UserError['stage']): UserError[] {
  const { code, message, retryable } = error;
  const retryAfterSeconds = error.retryAfterSeconds ?? null;
  if (error.problems.length === 0) return [{ code, message, field: null, stage, retryable, retryAfterSeconds }];
  return error.problems.map((problem) => ({
    code,
    message: `${problem.field.at(-1)} ${problem.message}.`,
    field: [...problem.field],
    stage,
    retryable,
    retryAfterSeconds,
  }));
}
