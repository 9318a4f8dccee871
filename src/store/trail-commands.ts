import type { RefusalStatus } from '../errors.js';
import { type Actor, systemActor } from '../guest-session/actor.js';
import { mintRequestId } from '../guest-session/request-id.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, NO_SESSION, sessionRow } from './session-row.js';

// What changes nothing in the books, and is in the audit trail all the same.

/** An order to end a session that came to nothing. */
export interface FailedEndRow {
  /** The session that was meant; null where there is none. */
  readonly id: string | null;
  /** Names this act where there is no session. */
  readonly requestId: string;
  readonly actor: Actor;
  readonly status: RefusalStatus;
  readonly errorCode: string | null;
  readonly reason: string;
}

export function recordFailedEnd(transaction: LedgerTransaction, failed: FailedEndRow): void {
  const { id, requestId, ...news } = failed;
  const session = id === null ? undefined : sessionRow(transaction, id);
  auditSession(transaction, session ?? { ...NO_SESSION, id: requestId }, { kind: 'SESSION_ENDED', ...news });
}

/** Callers that were turned away for their key or their role, all for one reason. */
export interface RefusedAccess {
  readonly actor: Actor;
  readonly reason: string;
  /** How often. */
  readonly attempts: number;
}

export function recordRefusals(transaction: LedgerTransaction, refusals: readonly RefusedAccess[]): void {
  for (const refused of refusals) {
    const subject = { ...NO_SESSION, id: mintRequestId().id };
    auditSession(transaction, subject, { kind: 'ACCESS_REFUSED', status: 'REJECTED', ...refused });
  }
}

/** The server begins. */
export function recordStart(transaction: LedgerTransaction, { reason }: { readonly reason: string }): void {
  const subject = { ...NO_SESSION, id: mintRequestId().id };
  auditSession(transaction, subject, {
    kind: 'SERVER_STARTED',
    status: 'SUCCESS',
    reason,
    actor: systemActor('server'),
  });
}
