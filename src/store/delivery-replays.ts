import type { Actor } from '../guest-session/actor.js';
import { type Batch, type DeliveryPosition, lastOf, readDeliveries, startOf } from './delivery-pages.js';
import { requeue } from './delivery-queue.js';
import type { DeliveryStatus } from './delivery-status.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, subjectOf } from './session-row.js';
import { isEndpointDisabled } from './webhook-endpoint.js';

interface ReplayedRow {
  readonly sequence: number;
  readonly createdAt: number;
  readonly requestId: string;
  readonly eventType: string;
  readonly leaseToken: string | null;
}

const COLUMNS = '"sequence", "createdAt", "requestId", "eventType", "leaseToken"';

/** Who wants it, and when that is. */
interface ReplayOrder {
  readonly actor: Actor;
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
}

/**
 * Queues again at most `limit` deliveries of a status and a time, in the order of their events; none to an endpoint that is
 * disabled.
 * @param order.after where the batch before ended; null for the first
 */
export function replayDeliveries(
  transaction: LedgerTransaction,
  order: ReplayOrder & ReplayRange & { readonly after: DeliveryPosition | null; readonly limit: number },
): Batch {
  const { status, since, until, after, limit } = order;
  if (isEndpointDisabled(transaction.db)) return { queued: 0, last: null };
  const range = { status, above: after ?? startOf(since), below: startOf(until), order: 'ASC', limit } as const;
  const deliveries = readDeliveries<ReplayedRow>(transaction.db, COLUMNS, range);
  for (const delivery of deliveries) replay(transaction, delivery, order);
  return { queued: deliveries.length, last: lastOf(deliveries, limit) };
}

function replay(transaction: LedgerTransaction, delivery: ReplayedRow, { actor, now }: ReplayOrder): void {
  const { db } = transaction;
  const { sequence, requestId, eventType, leaseToken } = delivery;
  // One that is under way goes on: its try is the replay, and the first of a new schedule.
  if (leaseToken === null) requeue(transaction, delivery, now);
  else db.run('UPDATE "WebhookDelivery" SET "failures" = 0 WHERE "sequence" = ?', sequence);
  auditSession(transaction, subjectOf(transaction, requestId, sequence), {
    kind: 'WEBHOOK_REPLAYED',
    status: 'SUCCESS',
    reason: eventType,
    actor,
  });
}
