import type { Actor } from '../guest-session/actor.js';
import { keyIdIn } from './encryption-key.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, type SessionRow, sessionRow } from './session-row.js';

/** An attempt that asks for an idempotency key. */
export interface KeyClaim {
  readonly callerName: string;
  /** The same, for the audit trail. */
  readonly actor: Actor;
  readonly guestId: string;
  readonly crmId: string | null;
  readonly key: string;
  /**
   * Keyed hashes of the input, the one that is written first; the others are of older encryption keys. Each begins with the id
   * of its key and a dot.
   */
  readonly inputHmacs: readonly [string, ...string[]];
  readonly requestId: string;
  readonly leaseOwner: string;
  /** By the steady clock. */
  readonly now: Date;
  readonly leaseUntil: Date;
  readonly expiresAt: Date;
  /** True where no other process can be at work on this file: what others have leased is void. */
  readonly isAlone: boolean;
  /** Attempts of this process that have ended and could not be written down yet: theirs does not lapse. */
  readonly unwritten: readonly string[];
}

/** What became of a claim. */
export type KeyClaimResult =
  | { readonly is: 'NEW' }
  | { readonly is: 'CONFLICT' }
  /** Whether the input is the same cannot be told: its hash was made with a key that we do not have. */
  | { readonly is: 'UNREADABLE'; readonly encryptionKeyId: string }
  | { readonly is: 'IN_FLIGHT'; readonly requestId: string }
  | { readonly is: 'UNSETTLED'; readonly requestId: string }
  | {
      readonly is: 'SETTLED';
      readonly requestId: string;
      readonly succeeded: boolean;
      readonly eventSequence: number | null;
      readonly clientToken: string | null;
    };

interface KeyRow {
  readonly inputHmac: string;
  readonly state: 'IN_FLIGHT' | 'SUCCEEDED' | 'BLOCKED' | 'OPEN';
  readonly requestId: string;
  readonly leaseOwner: string;
  readonly leaseUntil: number;
  readonly expiresAt: number;
  readonly unsettledRequestId: string | null;
  readonly eventSequence: number | null;
  readonly clientToken: string | null;
}

/**
 * Gives an attempt its idempotency key, unless another attempt holds it or has settled it. To be told that it is settled is to
 * be answered: that leaves an entry, and whoever was told does not ask again.
 */
export function claimKey(transaction: LedgerTransaction, claim: KeyClaim): KeyClaimResult {
  const { db } = transaction;
  const { callerName, key, requestId, inputHmacs } = claim;
  const known = db.get<KeyRow>(
    `SELECT "inputHmac", "state", "requestId", "leaseOwner", "leaseUntil", "expiresAt", "unsettledRequestId", "eventSequence",
       "clientToken" FROM "IdempotencyKey" WHERE "callerName" = ? AND "key" = ?`,
    callerName,
    key,
  );
  const isHeld = known?.state === 'IN_FLIGHT' && known.requestId !== requestId && !hasLapsed(known, claim);
  const isExpired = known !== undefined && known.expiresAt <= Date.now() && !isHeld;
  if (!known || isExpired) {
    hold(transaction, claim, null);
    return { is: 'NEW' };
  }
  if (!inputHmacs.includes(known.inputHmac)) {
    const encryptionKeyId = keyIdIn(known.inputHmac);
    const isReadable = inputHmacs.some((hmac) => keyIdIn(hmac) === encryptionKeyId);
    return isReadable ? { is: 'CONFLICT' } : { is: 'UNREADABLE', encryptionKeyId };
  }
  if (isHeld) return { is: 'IN_FLIGHT', requestId: known.requestId };
  if (known.state === 'SUCCEEDED' || known.state === 'BLOCKED') {
    const { eventSequence, clientToken } = known;
    const succeeded = known.state === 'SUCCEEDED';
    auditReplay(transaction, claim, known.requestId, succeeded);
    return { is: 'SETTLED', requestId: known.requestId, succeeded, eventSequence, clientToken };
  }
  const unsettled = unsettledAttempt(transaction, known);
  hold(transaction, claim, unsettled);
  return unsettled === null ? { is: 'NEW' } : { is: 'UNSETTLED', requestId: unsettled };
}

/** Whom it was given to, and what it said. */
function auditReplay(
  transaction: LedgerTransaction,
  { actor, guestId, crmId }: KeyClaim,
  answeredId: string,
  succeeded: boolean,
): void {
  const sessionId = sessionRow(transaction, answeredId)?.sessionId ?? null;
  auditSession(
    transaction,
    { id: answeredId, guestId, crmId, sessionId },
    {
      kind: 'SESSION_REPLAYED',
      status: succeeded ? 'SUCCESS' : 'REJECTED',
      errorCode: succeeded ? null : 'FRAUD_BLOCKED',
      reason: null,
      actor,
    },
  );
}

function hasLapsed(
  { requestId, leaseOwner, leaseUntil }: KeyRow,
  { isAlone, now, leaseOwner: self, unwritten }: KeyClaim,
): boolean {
  if (unwritten.includes(requestId)) return false;
  return leaseUntil <= now.getTime() || (isAlone && leaseOwner !== self);
}

/** The attempt of this key that may have left a session at CXone: the one whose lease has lapsed, or one before it. */
function unsettledAttempt({ db }: LedgerTransaction, { state, requestId, unsettledRequestId }: KeyRow): string | null {
  for (const id of [state === 'IN_FLIGHT' ? requestId : null, unsettledRequestId]) {
    if (id === null) continue;
    const sql = `SELECT 1 FROM "GuestSession" WHERE "id" = ? AND ("status" IN ('PENDING', 'UNKNOWN', 'ACTIVE') OR "reconcileAt" IS NOT NULL)`;
    if (db.get(sql, id)) return id;
  }
  return null;
}

function hold({ db }: LedgerTransaction, claim: KeyClaim, unsettledRequestId: string | null): void {
  const { callerName, key, inputHmacs, requestId, leaseOwner, leaseUntil, expiresAt } = claim;
  db.run(
    `INSERT OR REPLACE INTO "IdempotencyKey"
       ("callerName", "key", "inputHmac", "state", "requestId", "leaseOwner", "leaseUntil", "expiresAt", "unsettledRequestId")
       VALUES (?, ?, ?, 'IN_FLIGHT', ?, ?, ?, ?, ?)`,
    callerName,
    key,
    inputHmacs[0],
    requestId,
    leaseOwner,
    leaseUntil,
    expiresAt,
    unsettledRequestId,
  );
}

/** What an idempotency key stands for after an attempt. */
export interface KeySettlement {
  readonly callerName: string;
  readonly key: string;
  readonly state: 'SUCCEEDED' | 'BLOCKED' | 'OPEN';
  /** Encrypted. */
  readonly clientToken: string | null;
  /** Whether the attempt itself may have left something at CXone. */
  readonly isUnsettled: boolean;
}

/** Writes down what the key stands for, if the attempt still holds it. */
export function settleKey(
  { db }: LedgerTransaction,
  requestId: string,
  { callerName, key, state, clientToken, isUnsettled }: KeySettlement,
  eventSequence: number,
): void {
  db.run(
    `UPDATE "IdempotencyKey" SET "state" = ?, "eventSequence" = ?, "clientToken" = ?,
       "unsettledRequestId" = iif(?, "requestId", "unsettledRequestId")
       WHERE "callerName" = ? AND "key" = ? AND "requestId" = ? AND "state" = 'IN_FLIGHT'`,
    state,
    eventSequence,
    clientToken,
    isUnsettled,
    callerName,
    key,
    requestId,
  );
}

type Keyed = Pick<SessionRow, 'id' | 'callerName' | 'idempotencyKey'>;

/**
 * The session of an attempt was found with its token: it is what the key stands for, whoever holds it now.
 * @param tell appends the event that tells of the answer, and gives its sequence
 * @returns false where the key stands for something else: then nobody is told
 */
export function answerKey(
  { db }: LedgerTransaction,
  { id, callerName, idempotencyKey }: Keyed,
  clientToken: string,
  tell: () => number,
): boolean {
  const isWanting = `"callerName" = ? AND "key" = ? AND ("requestId" = ? OR "unsettledRequestId" = ?) AND "state" IN ('IN_FLIGHT', 'OPEN')`;
  const key = [callerName, idempotencyKey, id, id];
  if (!db.get(`SELECT 1 FROM "IdempotencyKey" WHERE ${isWanting}`, ...key)) return false;
  db.run(
    `UPDATE "IdempotencyKey" SET "state" = 'SUCCEEDED', "requestId" = ?, "eventSequence" = ?, "clientToken" = ?,
       "unsettledRequestId" = NULL WHERE ${isWanting}`,
    id,
    tell(),
    clientToken,
    ...key,
  );
  return true;
}

/** Whether an attempt's key gives its session, and the token, as the answer. */
export function isAnswerToKey({ db }: LedgerTransaction, { id, callerName, idempotencyKey }: Keyed): boolean {
  if (idempotencyKey === null) return false;
  const sql = `SELECT 1 FROM "IdempotencyKey"
    WHERE "callerName" = ? AND "key" = ? AND "requestId" = ? AND "state" = 'SUCCEEDED' AND "clientToken" IS NOT NULL`;
  return db.get(sql, callerName, idempotencyKey, id) !== undefined;
}

/** An attempt holds its key no more. @param isUnsettled whether a retry has to find out first what it has left at CXone */
export function settleKeyOf(
  { db }: LedgerTransaction,
  { id, callerName, idempotencyKey }: Keyed,
  { isUnsettled }: { readonly isUnsettled: boolean },
): void {
  if (idempotencyKey === null) return;
  db.run(
    `UPDATE "IdempotencyKey" SET "state" = iif("state" = 'IN_FLIGHT' AND "requestId" = ?, 'OPEN', "state"),
       "unsettledRequestId" = iif(?, ?, iif("unsettledRequestId" = ?, NULL, "unsettledRequestId"))
       WHERE "callerName" = ? AND "key" = ? AND ("requestId" = ? OR "unsettledRequestId" = ?)`,
    id,
    isUnsettled,
    id,
    id,
    callerName,
    idempotencyKey,
    id,
    id,
  );
}

/** A session is over, and nothing needs its token any more. */
export function purgeToken({ db }: LedgerTransaction, { id, callerName, idempotencyKey }: Keyed): void {
  if (idempotencyKey === null) return;
  db.run(
    `UPDATE "IdempotencyKey" SET "clientToken" = NULL WHERE "callerName" = ? AND "key" = ? AND "requestId" = ? AND "clientToken" IS NOT NULL`,
    callerName,
    idempotencyKey,
    id,
  );
}

/** Which keys are over; to be asked with the time and with that of the steady clock. One that an attempt holds outlives its time. */
export const IS_FORGETTABLE = `"expiresAt" <= ? AND ("state" <> 'IN_FLIGHT' OR "leaseUntil" <= ?)`;

/** Forgets at most `limit` keys whose time is over. @returns how many */
export function forgetKeys(
  { db }: LedgerTransaction,
  { limit, now }: { readonly limit: number; readonly now: Date },
): number {
  const sql = `DELETE FROM "IdempotencyKey" WHERE ("callerName", "key") IN
    (SELECT "callerName", "key" FROM "IdempotencyKey" WHERE ${IS_FORGETTABLE} ORDER BY "expiresAt" LIMIT ?)`;
  return db.run(sql, new Date(), now, limit);
}
