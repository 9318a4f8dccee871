import type { RefusalStatus } from '../errors.js';
import { type Actor, systemActor } from '../guest-session/actor.js';
import { mintRequestId } from '../guest-session/request-id.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, NO_SESSION, sessionRow } from './session-row.js';

// What changes nothing in the books, and is in the audit trail all the same.

/** An order that came to nothing. */
export interface FailedOrderRow {
  readonly kind: 'SESSION_ENDED' | 'GUEST_ERASED';
  /** The attempt that has opened the session that was meant; null where there is none. */
  readonly sessionOf: string | null;
  /** The guest that was meant. */
  readonly guestId: string | null;
  /** Names this act where there is no session. */
  readonly requestId: string;
  readonly actor: Actor;
  readonly status: RefusalStatus;
  readonly errorCode: string | null;
  readonly reason: string;
}

export function recordFailure(transaction: LedgerTransaction, failed: FailedOrderRow): void {
  const { sessionOf, guestId, requestId, ...news } = failed;
  const session = sessionOf === null ? undefined : sessionRow(transaction, sessionOf);
  // One that somebody else has erased meanwhile must not get a key again by that.
  const isKnown = guestId !== null && transaction.vault.nameOf(guestId) !== null;
  auditSession(transaction, session ?? { ...NO_SESSION, id: requestId, guestId: isKnown ? guestId : null }, news);
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

/** The API keys are others now; `REJECTED`: they should have been. */
interface KeyChangeRow {
  readonly status: 'SUCCESS' | 'REJECTED';
  readonly reason: string;
}

export function recordKeyChange(transaction: LedgerTransaction, change: KeyChangeRow): void {
  const subject = { ...NO_SESSION, id: mintRequestId().id };
  auditSession(transaction, subject, { kind: 'KEYS_CHANGED', ...change, actor: systemActor('server') });
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
