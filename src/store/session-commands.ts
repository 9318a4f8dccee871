import { AttemptError, type ErrorCode } from '../errors.js';
import { type Actor, systemActor } from '../guest-session/actor.js';
import { isOpen } from '../guest-session/attempt-ending.js';
import type { SessionStatus } from '../guest-session/ports.js';
import type { AuditStatus } from './audit-chain.js';
import { answerKey, isAnswerToKey, purgeToken, settleKeyOf } from './idempotency-commands.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { sealSession } from './sealed-rows.js';
import { auditSession, OWNED_BY_ANOTHER, type SessionRow, sessionRow, tellOfSession } from './session-row.js';

/** Which attempts have to be looked up at CXone; to be asked with the time of the steady clock. */
export const IS_DUE_FOR_RECONCILIATION = '"reconcileAt" <= ?';

/** Which session is over, and why. */
export interface SessionEnding {
  readonly id: string;
  readonly actor: Actor;
  /** For everybody who sees the session's events. */
  readonly reason: string | null;
  /** For operations. */
  readonly detail?: string | null;
  readonly endedUpstream: boolean;
}

/** Ends a live session, and frees its place. @returns false when it was over before: then nothing is written */
export function endSession(transaction: LedgerTransaction, ending: SessionEnding): boolean {
  const session = sessionRow(transaction, ending.id);
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
  settleKeyOf(transaction, session, { isUnsettled: false });
  const { actor, reason, detail } = ending;
  tellOfSession(transaction, { ...session, status: 'ENDED' }, { type: 'SESSION_ENDED', reason, at: now });
  const reasons = [reason, detail].filter((text) => text != null);
  auditSession(transaction, session, {
    kind: 'SESSION_ENDED',
    status: 'SUCCESS',
    reason: reasons.length > 0 ? reasons.join('; ') : null,
    actor,
  });
  return true;
}

/** What was found out about an attempt that was interrupted or whose answer was lost. */
export interface Reconciliation {
  readonly id: string;
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
  /** Whether CXone lists others beside it: then it is looked at again. */
  readonly hasSurplus: boolean;
  /** By the steady clock. */
  readonly now: Date;
}

/** Writes down what was found out. @returns whether its idempotency key gives the session as the answer now */
export function reconcileAttempt(transaction: LedgerTransaction, reconciliation: Reconciliation): boolean {
  const session = sessionRow(transaction, reconciliation.id);
  if (!session?.guestId) return false; // erased since CXone was asked: it was settled then
  // Who was faster may have seen more: a session that came after we had looked must not be taken for one that is gone.
  if (session.status !== reconciliation.was) return isAnswerToKey(transaction, session);
  const { found } = reconciliation;
  if (isOpen(session) && found) return establish(transaction, session, reconciliation, found);
  if (isOpen(session)) fail(transaction, session, reconciliation.reason, waitFrom(reconciliation.now, 0));
  else lookedAgain(transaction, session, reconciliation);
  return isAnswerToKey(transaction, session);
}

/** It was settled before, and this was a look for what arrives late. */
function lookedAgain(
  transaction: LedgerTransaction,
  session: SessionRow,
  { found, hasSurplus, now }: Reconciliation,
): void {
  const isLast = hasSurplus ? session.looks >= MOST_LOOKS : session.looks >= LATE_LOOKS;
  scheduleLook(transaction, session, isLast ? null : now);
  if (!isLast) return;
  // CXone's list may be behind for a while: that it lacks our own session is believed at the last look alone.
  if (session.status === 'ACTIVE' && !found) {
    const reason = 'CXone lists it no longer';
    endSession(transaction, { id: session.id, actor: systemActor('cxone'), reason, endedUpstream: true });
  } else if (session.status !== 'ACTIVE') settleKeyOf(transaction, session, { isUnsettled: false });
}

/** Looks for what arrives late, each after twice the wait of the one before: 2, 4, 8 and 16 seconds. */
const LATE_LOOKS = 3;
const FIRST_WAIT_MS = 2_000;
const MOST_WAIT_MS = 300_000;
/** After so many looks, which takes about an hour, what cannot be found out is given up. */
const MOST_LOOKS = 20;

const waitFrom = (now: Date, looks: number): Date =>
  new Date(now.getTime() + Math.min(FIRST_WAIT_MS * 2 ** looks, MOST_WAIT_MS));

function scheduleLook({ db }: LedgerTransaction, { id, looks }: SessionRow, now: Date | null): void {
  const at = now && waitFrom(now, looks + 1);
  db.run('UPDATE "GuestSession" SET "reconcileAt" = ?, "looks" = ? WHERE "id" = ?', at, at ? looks + 1 : 0, id);
}

function establish(
  transaction: LedgerTransaction,
  before: SessionRow,
  { reason, now }: Reconciliation,
  { sessionId, expiresAt, clientToken }: NonNullable<Reconciliation['found']>,
): boolean {
  const { db, vault } = transaction;
  if (db.get(OWNED_BY_ANOTHER, vault.blind('session id', sessionId), before.id))
    throw new AttemptError('OUTCOME_UNKNOWN', { detail: `the session ${sessionId} is another attempt's` });
  const session = { ...before, status: 'ACTIVE', sessionId, expiresAt: expiresAt.getTime() } as const;
  const { id, guestId, crmId } = before;
  if (guestId === null) throw new Error(`the guest of the attempt ${id} was erased`);
  const sealed = sealSession(vault, id, { guestId, crmId, sessionId });
  closeInterrupted(transaction, before, sessionId, reason, 'OUTCOME_UNKNOWN');
  db.run(
    `UPDATE "GuestSession" SET "status" = 'ACTIVE', "sessionId" = ?, "personal" = ?, "expiresAt" = ?, "placeHeldUntil" = ?, "reconcileAt" = ?,
       "looks" = 0, "attempts" = max("attempts", 1), "failureCode" = NULL WHERE "id" = ?`,
    sealed.sessionId,
    sealed.personal,
    expiresAt,
    expiresAt,
    waitFrom(now, 0),
    id,
  );
  tellOfSession(transaction, session, { type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'SUCCESS', reason);
  // Somebody gets it after all: who follows the sessions that are opened hears of it as of any other.
  const tell = () => tellOfSession(transaction, session, { type: 'SESSION_INITIATED', reason: null }).sequence;
  const isAnswer = clientToken !== null && answerKey(transaction, session, clientToken, tell);
  if (!isAnswer) settleKeyOf(transaction, session, { isUnsettled: true });
  else if (transaction.tellsCrm) {
    db.run(`UPDATE "GuestSession" SET "crmSync" = 'PENDING' WHERE "id" = ?`, id);
  }
  return isAnswer;
}

function fail(
  transaction: LedgerTransaction,
  before: SessionRow,
  reason: string,
  lookAgainAt: Date | null,
  code: ErrorCode = NOTHING_OPENED,
): void {
  const session = { ...before, status: 'FAILED' } as const;
  closeInterrupted(transaction, before, null, reason, code);
  transaction.db.run(
    `UPDATE "GuestSession" SET "status" = 'FAILED', "failureCode" = coalesce("failureCode", ?), "placeHeldUntil" = ?,
       "reconcileAt" = ?, "looks" = 0 WHERE "id" = ?`,
    code,
    new Date(),
    lookAgainAt,
    session.id,
  );
  // A POST may arrive late: until the last look a retry has to look as well.
  settleKeyOf(transaction, session, { isUnsettled: lookAgainAt !== null });
  if (before.status === 'PENDING') tellOfSession(transaction, session, { type: 'SESSION_FAILED', reason: code });
  else tellOfSession(transaction, session, { type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'FAILED', reason);
}

/** What an attempt is called that its process did not live to close, and that has opened nothing. */
const NOTHING_OPENED = 'DEADLINE_EXCEEDED';

/** An attempt that was interrupted has no entry of its own yet, and each has to have one. */
function closeInterrupted(
  transaction: LedgerTransaction,
  session: SessionRow,
  sessionId: string | null,
  reason: string,
  errorCode: ErrorCode,
): void {
  if (session.status !== 'PENDING') return;
  auditSession(
    transaction,
    { ...session, sessionId },
    {
      kind: 'SESSION_INITIATION',
      status: 'FAILED',
      errorCode,
      reason: `interrupted; ${reason}`,
      actor: { name: session.callerName, role: session.callerRole, sourceAddress: session.sourceAddress },
    },
  );
}

function audit(transaction: LedgerTransaction, session: SessionRow, status: AuditStatus, reason: string): void {
  auditSession(transaction, session, { kind: 'SESSION_RECONCILED', status, reason, actor: systemActor('reconciler') });
}

/** Sessions that an attempt has opened beside its own are over. */
export function recordSurplus(
  transaction: LedgerTransaction,
  { id, sessionIds }: { readonly id: string; readonly sessionIds: readonly string[] },
): void {
  const session = sessionRow(transaction, id);
  if (!session?.guestId) return; // erased since: what is written of it now would stand in the clear
  const reason = 'a POST arrived late, and what it opened was ended';
  tellOfSession(transaction, session, { type: 'SESSION_RECONCILED', reason });
  audit(transaction, session, 'SUCCESS', `${reason}: ${sessionIds.join(', ')}`);
}

/** Puts off the next look at an attempt, or gives up finding out what became of it. @returns whether it was given up */
export function postponeReconciliation(
  transaction: LedgerTransaction,
  { id, now }: { readonly id: string; readonly now: Date },
): boolean {
  const session = sessionRow(transaction, id);
  if (!session?.guestId) return false; // erased since
  const isGivenUp = session.looks >= MOST_LOOKS;
  if (!isGivenUp) scheduleLook(transaction, session, now);
  else if (isOpen(session)) {
    fail(transaction, session, 'CXone could not be asked within an hour', null, 'OUTCOME_UNKNOWN');
  } else scheduleLook(transaction, session, null);
  return isGivenUp;
}

/** Makes due what an earlier process has left open, leases of its attempts included: there is one process to a file. */
export function releaseAbandonedAttempts({ db }: LedgerTransaction, { now }: { readonly now: Date }): number {
  return db.run(`UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "reconcileAt" IS NOT NULL`, now);
}
