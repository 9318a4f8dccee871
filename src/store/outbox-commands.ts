import { randomUUID } from 'node:crypto';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, sessionRow, tellOfSession } from './session-row.js';

/** How long a worker may be silent about a delivery before it is due again: longer than a wait and a try (CRM_TIMEOUT_MS). */
const LEASE_MS = 60_000;

/** Which deliveries are due; to be asked with the time. */
export const IS_DUE = `"status" = 'PENDING' AND "nextAttemptAt" <= ?`;

/** A webhook to be sent. */
export interface NewDelivery {
  /** The id of the event that it tells of. */
  readonly id: string;
  readonly requestId: string;
  readonly eventType: string;
  readonly body: string;
  readonly createdAt: Date;
}

/** A delivery that its holder alone may try, as long as nobody else has taken it over. */
export interface ClaimedDelivery {
  readonly id: string;
  readonly requestId: string;
  readonly body: string;
  /** Tries so far. */
  readonly attempts: number;
  readonly leaseToken: string;
  readonly leasedUntil: Date;
}

/** One try, and what comes of it. */
export interface DeliveryTry {
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly statusCode: number | null;
  /** Null when the CRM took it. */
  readonly error: string | null;
  readonly verdict:
    | { readonly is: 'DELIVERED' }
    | { readonly is: 'RETRY'; readonly at: Date }
    | { readonly is: 'DEAD' };
}

/** Queues a webhook in the transaction that writes its event, and claims its first try for this process. */
export function enqueueDelivery(transaction: LedgerTransaction, delivery: NewDelivery): void {
  const leaseToken = randomUUID();
  const leasedUntil = leaseFrom(delivery.createdAt);
  transaction.insert('WebhookDelivery', { ...delivery, leaseToken, nextAttemptAt: leasedUntil });
  const { id, requestId, body } = delivery;
  transaction.deliveries.push({ id, requestId, body, attempts: 0, leaseToken, leasedUntil });
}

/** Claims deliveries that are due, the longest waiting first. */
export function claimDeliveries({ db }: LedgerTransaction, { limit }: { readonly limit: number }): ClaimedDelivery[] {
  const now = new Date();
  const leasedUntil = leaseFrom(now);
  const due = db.all<Omit<ClaimedDelivery, 'leaseToken' | 'leasedUntil'>>(
    `SELECT "id", "requestId", "body", "attempts" FROM "WebhookDelivery" WHERE ${IS_DUE} ORDER BY "nextAttemptAt" LIMIT ?`,
    now,
    limit,
  );
  return due.map((delivery) => {
    const leaseToken = randomUUID();
    const claim = 'UPDATE "WebhookDelivery" SET "leaseToken" = ?, "nextAttemptAt" = ? WHERE "id" = ?';
    db.run(claim, leaseToken, leasedUntil, delivery.id);
    return { ...delivery, leaseToken, leasedUntil };
  });
}

/** Makes a claimed delivery due at once again, untried. */
export function releaseDelivery(
  { db }: LedgerTransaction,
  { id, leaseToken }: Pick<ClaimedDelivery, 'id' | 'leaseToken'>,
): void {
  db.run(
    'UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ? WHERE "id" = ? AND "leaseToken" = ?',
    new Date(),
    id,
    leaseToken,
  );
}

/** Makes due again what an earlier process had claimed: it is gone, since there is one process to a file. */
export function releaseAbandonedDeliveries({ db }: LedgerTransaction, _: null): number {
  return db.run(
    `UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ? WHERE "status" = 'PENDING' AND "leaseToken" IS NOT NULL`,
    new Date(),
  );
}

/**
 * Writes down how a try went, and what follows for the session.
 * @returns false when another worker has taken the delivery over: then nothing is written
 */
export function recordTry(
  transaction: LedgerTransaction,
  tried: {
    readonly delivery: Pick<ClaimedDelivery, 'id' | 'requestId' | 'attempts' | 'leaseToken'>;
    readonly attempt: DeliveryTry;
  },
): boolean {
  const { id, requestId, attempts, leaseToken } = tried.delivery;
  const { verdict, statusCode, error, startedAt, durationMs } = tried.attempt;
  const number = attempts + 1;
  const isOurs = transaction.db.run(
    `UPDATE "WebhookDelivery" SET "status" = ?, "attempts" = ?, "nextAttemptAt" = ?, "leaseToken" = NULL, "deliveredAt" = ?, "lastError" = ?
       WHERE "id" = ? AND "leaseToken" = ? AND "status" = 'PENDING'`,
    verdict.is === 'RETRY' ? 'PENDING' : verdict.is,
    number,
    verdict.is === 'RETRY' ? verdict.at : startedAt,
    verdict.is === 'DELIVERED' ? new Date() : null,
    error,
    id,
    leaseToken,
  );
  if (isOurs === 0) return false;
  transaction.insert('WebhookAttempt', { deliveryId: id, number, startedAt, durationMs, statusCode, error });
  if (verdict.is !== 'RETRY') concludeSync(transaction, requestId, verdict.is === 'DELIVERED', error);
  return true;
}

const leaseFrom = (start: Date): Date => new Date(start.getTime() + LEASE_MS);

function concludeSync(
  transaction: LedgerTransaction,
  requestId: string,
  delivered: boolean,
  error: string | null,
): void {
  const { db } = transaction;
  db.run('UPDATE "GuestSession" SET "crmSync" = ? WHERE "id" = ?', delivered ? 'DELIVERED' : 'FAILED', requestId);
  const session = sessionRow(db, requestId);
  if (!session) return;
  const at = new Date();
  const type = delivered ? 'SESSION_CRM_SYNCED' : 'SESSION_CRM_SYNC_FAILED';
  tellOfSession(transaction, session, { type, reason: error, at });
  auditSession(transaction, session, {
    kind: 'CRM_SYNC',
    status: delivered ? 'SUCCESS' : 'FAILED',
    reason: error,
    actor: 'crm-outbox',
    crmSynced: delivered,
  });
  transaction.measurements.push({ of: 'crm', at, delivered });
}
