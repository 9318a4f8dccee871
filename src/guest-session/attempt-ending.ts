import { AttemptError, type ErrorCode } from '../errors.js';
import type { Attempt } from './attempt.js';
import type { CrmSyncStatus, GuestSessionRecord, Outcome, SessionStatus } from './ports.js';
import type { SessionEventType } from './session-event.js';

/** What the books say of an outcome. */
export interface AttemptEnding {
  readonly eventType: SessionEventType;
  readonly sessionStatus: SessionStatus;
  readonly sessionId: string | null;
  readonly expiresAt: Date | null;
  readonly errorCode: ErrorCode | null;
  /** For operations. */
  readonly reason: string | null;
  readonly durationMs: number;
}

/** Whether it is open what has become of an attempt: it is under way, or was interrupted, or its answer was lost. */
export const isOpen = ({ status }: { readonly status: SessionStatus }): boolean =>
  status === 'PENDING' || status === 'UNKNOWN';

export function endingOf(attempt: Attempt, outcome: Outcome): AttemptEnding {
  const durationMs = attempt.elapsedMs;
  if (outcome.status === 'SUCCESS') {
    const { sessionId, expiresAt } = outcome.created;
    return {
      eventType: 'SESSION_INITIATED',
      sessionStatus: 'ACTIVE',
      sessionId,
      expiresAt,
      errorCode: null,
      // A session that was opened unscored must not look like one of a harmless guest.
      reason: attempt.risk?.degraded ? `the fraud check was skipped: ${attempt.risk.reasons.join(', ')}` : null,
      durationMs,
    };
  }
  const { error } = outcome;
  const errorCode = error instanceof AttemptError ? error.code : null;
  const isUnknown = errorCode === 'OUTCOME_UNKNOWN';
  return {
    eventType: outcome.status === 'REJECTED' ? 'SESSION_REJECTED' : 'SESSION_FAILED',
    // Whether there is a session is not known, so its place stays held.
    sessionStatus: isUnknown ? 'UNKNOWN' : 'FAILED',
    sessionId: (isUnknown && attempt.found?.sessionId) || null,
    expiresAt: (isUnknown && attempt.found?.expiresAt) || null,
    errorCode,
    reason: error instanceof AttemptError ? (error.detail ?? error.message) : 'internal error',
    durationMs,
  };
}

/** The session as a query would answer it, without asking the database; null where the attempt never reached a place. */
export function recordOf(attempt: Attempt, ending: AttemptEnding, crmSync: CrmSyncStatus): GuestSessionRecord | null {
  const { request } = attempt;
  if (!attempt.reserved || !request) return null;
  return {
    id: attempt.requestId,
    callerName: attempt.caller.name,
    guestId: request.guestId,
    crmId: request.crmId,
    channel: request.channel,
    status: ending.sessionStatus,
    createdAt: attempt.openedAt,
    sessionId: ending.sessionId,
    expiresAt: ending.expiresAt,
    endedAt: null,
    endedUpstream: null,
    durationMs: ending.durationMs,
    attempts: attempt.posts,
    crmSync,
    fraudScore: attempt.risk?.score ?? null,
    failureCode: ending.errorCode,
    erased: false,
  };
}
