import { IS_OF_STATUS, queueAgain } from './delivery-queue.js';
import type { DeliveryStatus } from './delivery-status.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, subjectOf } from './session-row.js';

interface ReplayedRow {
  readonly sequence: number;
  readonly requestId: string;
  readonly eventType: string;
  readonly leaseToken: string | null;
}

const COLUMNS = '"sequence", "requestId", "eventType", "leaseToken"';

/** Who wants it, and when that is. */
interface ReplayOrder {
  readonly actor: string;
  readonly now: Date;
}

/** Queues one delivery again, under its `webhook-id`. @returns false where there is none of that id */
export function replayDelivery(transaction: LedgerTransaction, order: ReplayOrder & { readonly id: string }): boolean {
  const sql = `SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE "id" = ?`;
  const delivery = transaction.db.get<ReplayedRow>(sql, order.id);
  if (delivery) replay(transaction, delivery, order);
  return delivery !== undefined;
}

/** Which deliveries are to be replayed. */
export interface ReplayRange {
  readonly status: DeliveryStatus;
  /** Inclusive. */
  readonly since: Date;
  /** Exclusive. */
  readonly until: Date;
  /** Those after this sequence. */
  readonly after: number;
}

/**
 * Queues again at most `limit` deliveries of a status and a time, in the order of their events.
 * @returns how many, and the sequence to go on after; null when that was all
 */
export function replayDeliveries(
  transaction: LedgerTransaction,
  order: ReplayOrder & ReplayRange & { readonly limit: number },
): { readonly replayed: number; readonly last: number | null } {
  const { status, since, until, after, limit } = order;
  const sql = `SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE ${IS_OF_STATUS} AND "createdAt" >= ? AND "createdAt" < ? AND "sequence" > ?
    ORDER BY +"sequence" LIMIT ?`;
  const deliveries = transaction.db.all<ReplayedRow>(sql, status, since, until, after, limit);
  for (const delivery of deliveries) replay(transaction, delivery, order);
  return {
    replayed: deliveries.length,
    last: deliveries.length < limit ? null : (deliveries.at(-1)?.sequence ?? null),
  };
}

function replay(transaction: LedgerTransaction, delivery: ReplayedRow, { actor, now }: ReplayOrder): void {
  const { db } = transaction;
  const { sequence, requestId, eventType, leaseToken } = delivery;
  // One that is under way goes on: its try is the replay.
  if (leaseToken === null) {
    db.run(
      `UPDATE "WebhookDelivery" SET "status" = 'PENDING', "failures" = 0, "concludedAt" = NULL WHERE "sequence" = ?`,
      sequence,
    );
    if (eventType === 'SESSION_INITIATED') {
      db.run(`UPDATE "GuestSession" SET "crmSync" = 'PENDING' WHERE "id" = ?`, requestId);
    }
    queueAgain(transaction, delivery, now);
  }
  auditSession(transaction, subjectOf(db, requestId, sequence), {
    kind: 'WEBHOOK_REPLAYED',
    status: 'SUCCESS',
    reason: eventType,
    actor,
  });
}
