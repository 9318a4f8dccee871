import { WEBHOOK_EVENT_TYPES } from '../guest-session/session-event.js';
import { DeliveryStatus } from './delivery-status.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Where a delivery stands in the order of their events' times. */
export interface DeliveryPosition {
  readonly createdAt: Date;
  readonly sequence: number;
}

/** Before the first delivery of a moment, and behind those of the moment before. */
export const startOf = (createdAt: Date): DeliveryPosition => ({ createdAt, sequence: 0 });

/** Before and behind all: the first and the last moment of JavaScript. */
export const FIRST = startOf(new Date(-8_640_000_000_000_000));
export const LAST = startOf(new Date(8_640_000_000_000_000));

/** What to read of the deliveries. */
export interface DeliveryRange {
  /** Null: of all types. */
  readonly eventType?: string | null | undefined;
  /** Null: in all states. */
  readonly status?: DeliveryStatus | null | undefined;
  /** Behind this one. */
  readonly above: DeliveryPosition;
  /** Before this one. */
  readonly below: DeliveryPosition;
  readonly order: 'ASC' | 'DESC';
  readonly limit: number;
}

/**
 * Reads deliveries in the order of their events' times: all ranges of the index that are asked for, merged. It is one statement,
 * and by that one state of the books: with a query for each range, a delivery that is concluded between two of them would be
 * in neither. No range is read for more than the limit.
 */
export function readDeliveries<Row>(db: SqliteConnection, columns: string, range: DeliveryRange): Row[] {
  const { eventType, status, above, below, order, limit } = range;
  const types = eventType == null ? WEBHOOK_EVENT_TYPES : [eventType];
  const statuses = status == null ? Object.values(DeliveryStatus) : [status];
  const inOrder = `ORDER BY "createdAt" ${order}, "sequence" ${order} LIMIT ?`;
  const ofRange = `SELECT * FROM (SELECT ${columns} FROM "WebhookDelivery" WHERE "eventType" = ? AND "status" = ?
    AND ("createdAt", "sequence") > (?, ?) AND ("createdAt", "sequence") < (?, ?) ${inOrder})`;
  const bounds = [above.createdAt, above.sequence, below.createdAt, below.sequence, limit];
  const ranges = types.flatMap((type) => statuses.map((status) => [type, status, ...bounds]));
  return db.all<Row>(`${ranges.map(() => ofRange).join(' UNION ALL ')} ${inOrder}`, ...ranges.flat(), limit);
}

/** What came of a piece of work that goes through the deliveries in batches. */
export interface Batch {
  /** Deliveries that were queued again. */
  readonly queued: number;
  /** Where to go on; null when that was all. */
  readonly last: DeliveryPosition | null;
}

/** Where a batch ends; null when it was not full. */
export function lastOf(
  batch: readonly { readonly createdAt: number; readonly sequence: number }[],
  limit: number,
): DeliveryPosition | null {
  const last = batch.at(-1);
  if (!last || batch.length < limit) return null;
  return { createdAt: new Date(last.createdAt), sequence: last.sequence };
}

/** The earlier of two. */
export const earlier = (a: DeliveryPosition, b: DeliveryPosition): DeliveryPosition =>
  (a.createdAt.getTime() - b.createdAt.getTime() || a.sequence - b.sequence) < 0 ? a : b;
