import type { SessionStatus } from '../guest-session/ports.js';
import type { AuditStatus } from './audit-chain.js';
import { answerKey, isAnswerToKey, purgeToken, releaseKey } from './idempotency-commands.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { enqueueDelivery, type NewDelivery } from './outbox-commands.js';
import { auditSession, type SessionRow, sessionRow, tellOfSession } from './session-row.js';

/** Which attempts have to be looked up at CXone; to be asked with the time of the steady clock. */
export const IS_DUE_FOR_RECONCILIATION = '"reconcileAt" <= ?';

/** Which session is over, and why. */
export interface SessionEnding {
  readonly id: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly endedUpstream: boolean;
}

/** Ends a live session, and frees its place. @returns false when it was over before: then nothing is written */
export function endSession(transaction: LedgerTransaction, ending: SessionEnding): boolean {
  const session = sessionRow(transaction.db, ending.id);
  if (session?.status !== 'ACTIVE') return false;
  const now = new Date();
  transaction.db.run(
    `UPDATE "GuestSession" SET "status" = 'ENDED', "endedAt" = ?, "placeHeldUntil" = ?, "endedUpstream" = ? WHERE "id" = ?`,
    now,
    now,
    ending.endedUpstream,
    ending.id,
  );
  purgeToken(transaction, session);
  releaseKey(transaction, session, { isUnsettled: false });
  const { actor, reason } = ending;
  tellOfSession(transaction, { ...session, status: 'ENDED' }, { type: 'SESSION_ENDED', reason, at: now });
  auditSession(transaction, session, { kind: 'SESSION_ENDED', status: 'SUCCESS', reason, actor });
  return true;
}

/** What was found out about an attempt that was interrupted or whose answer was lost. */
export interface Reconciliation {
  readonly id: string;
  /** Of the event that tells of it. */
  readonly eventId: string;
  /** What the books said when CXone was asked. */
  readonly was: SessionStatus;
  /** The session that it has opened, if any. */
  readonly found: {
    readonly sessionId: string;
    readonly expiresAt: Date;
    /** Encrypted; null where CXone does not tell it, or no key could ask for it. */
    readonly clientToken: string | null;
  } | null;
  /** For operations. */
  readonly reason: string;
  /** Sessions beside it that were ended at CXone. */
  readonly surplus: readonly string[];
  /** When to look for POSTs that arrive late; null where none can any more. */
  readonly lookAgainAt: Date | null;
  /** The webhook that tells of the session, should it become the answer to its key. */
  readonly delivery: NewDelivery | null;
}

/** Writes down what was found out. @returns whether its idempotency key gives the session as the answer now */
export function reconcileAttempt(transaction: LedgerTransaction, reconciliation: Reconciliation): boolean {
  const session = sessionRow(transaction.db, reconciliation.id);
  if (!session) return false;
  if (reconciliation.surplus.length > 0) auditSurplus(transaction, session, reconciliation.surplus);
  // Who was faster may have seen more: a session that came after we had looked must not be taken for one that is gone.
  if (session.status !== reconciliation.was) return isAnswerToKey(transaction, session);
  const isOpen = session.status === 'PENDING' || session.status === 'UNKNOWN';
  if (isOpen && reconciliation.found) return establish(transaction, session, reconciliation, reconciliation.found);
  if (isOpen) {
    fail(transaction, session, reconciliation.reason, reconciliation.lookAgainAt);
    return false;
  }
  // It was settled before, and this was the look for what arrives late.
  const { lookAgainAt } = reconciliation;
  transaction.db.run('UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "id" = ?', lookAgainAt, session.id);
  if (session.status === 'ACTIVE' && !reconciliation.found) {
    endSession(transaction, {
      id: session.id,
      actor: 'cxone',
      reason: 'CXone lists it no longer',
      endedUpstream: true,
    });
  } else if (session.status !== 'ACTIVE' && lookAgainAt === null) {
    releaseKey(transaction, session, { isUnsettled: false });
  }
  return isAnswerToKey(transaction, session);
}

function establish(
  transaction: LedgerTransaction,
  before: SessionRow,
  { eventId, reason, lookAgainAt, delivery }: Reconciliation,
  { sessionId, expiresAt, clientToken }: NonNullable<Reconciliation['found']>,
): boolean {
  const session = { ...before, status: 'ACTIVE', sessionId, expiresAt: expiresAt.getTime() } as const;
  closeInterrupted(transaction, before, sessionId, reason);
  transaction.db.run(
    `UPDATE "GuestSession" SET "status" = 'ACTIVE', "sessionId" = ?, "expiresAt" = ?, "placeHeldUntil" = ?, "reconcileAt" = ?,
       "attempts" = max("attempts", 1), "failureCode" = NULL WHERE "id" = ?`,
    sessionId,
    expiresAt,
    expiresAt,
    lookAgainAt,
    session.id,
  );
  const { sequence } = tellOfSession(transaction, session, { id: eventId, type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'SUCCESS', reason);
  const isAnswer = clientToken !== null && answerKey(transaction, session, clientToken, sequence);
  if (!isAnswer) releaseKey(transaction, session, { isUnsettled: true });
  else if (delivery) {
    enqueueDelivery(transaction, delivery);
    transaction.db.run(`UPDATE "GuestSession" SET "crmSync" = 'PENDING' WHERE "id" = ?`, session.id);
  }
  return isAnswer;
}

function fail(transaction: LedgerTransaction, before: SessionRow, reason: string, lookAgainAt: Date | null): void {
  const session = { ...before, status: 'FAILED' } as const;
  closeInterrupted(transaction, before, null, reason);
  transaction.db.run(
    `UPDATE "GuestSession" SET "status" = 'FAILED', "failureCode" = coalesce("failureCode", ?), "placeHeldUntil" = ?,
       "reconcileAt" = ? WHERE "id" = ?`,
    INTERRUPTED,
    new Date(),
    lookAgainAt,
    session.id,
  );
  releaseKey(transaction, session, { isUnsettled: false });
  if (before.status === 'PENDING') tellOfSession(transaction, session, { type: 'SESSION_FAILED', reason: INTERRUPTED });
  else tellOfSession(transaction, session, { type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'FAILED', reason);
}

/** What an attempt is called that its process did not live to close. */
const INTERRUPTED = 'DEADLINE_EXCEEDED';

/** An attempt that was interrupted has no entry of its own yet, and each has to have one. */
function closeInterrupted(
  transaction: LedgerTransaction,
  session: SessionRow,
  sessionId: string | null,
  reason: string,
): void {
  if (session.status !== 'PENDING') return;
  auditSession(
    transaction,
    { ...session, sessionId },
    {
      kind: 'SESSION_INITIATION',
      status: 'FAILED',
      errorCode: sessionId === null ? INTERRUPTED : 'OUTCOME_UNKNOWN',
      reason: `interrupted; ${reason}`,
      actor: session.callerName,
    },
  );
}

function audit(transaction: LedgerTransaction, session: SessionRow, status: AuditStatus, reason: string): void {
  auditSession(transaction, session, { kind: 'SESSION_RECONCILED', status, reason, actor: 'reconciler' });
}

function auditSurplus(transaction: LedgerTransaction, session: SessionRow, surplus: readonly string[]): void {
  const reason = `a POST arrived late: ended ${surplus.join(', ')} at CXone`;
  tellOfSession(transaction, session, { type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'SUCCESS', reason);
}

/** Gives up finding out what became of an attempt, and frees its place. */
export function abandonAttempt(
  transaction: LedgerTransaction,
  { id, reason }: { readonly id: string; readonly reason: string },
): void {
  const session = sessionRow(transaction.db, id);
  if (session?.status === 'PENDING' || session?.status === 'UNKNOWN') fail(transaction, session, reason, null);
  else transaction.db.run('UPDATE "GuestSession" SET "reconcileAt" = NULL WHERE "id" = ?', id);
}

/** Puts off the next look. */
export function postponeReconciliation(
  { db }: LedgerTransaction,
  { id, until }: { readonly id: string; readonly until: Date },
): void {
  db.run('UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "id" = ? AND "reconcileAt" IS NOT NULL', until, id);
}

/** Makes due what an earlier process has left open, leases of its attempts included: there is one process to a file. */
export function releaseAbandonedAttempts({ db }: LedgerTransaction, { now }: { readonly now: Date }): number {
  return db.run(`UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "reconcileAt" IS NOT NULL`, now);
}
