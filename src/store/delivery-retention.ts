import { FIRST, readDeliveries, startOf } from './delivery-pages.js';
import { DeliveryStatus } from './delivery-status.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { endpointRow } from './webhook-endpoint.js';

/** Which deliveries are to be removed. */
interface OldDeliveries {
  /** Of events before this time. */
  readonly before: Date;
  readonly limit: number;
}

/** The sequences of at most `limit` deliveries that are concluded and old. What is still to be sent is in no range that is read. */
export function findOldDeliveries(db: SqliteConnection, { before, limit }: OldDeliveries): number[] {
  const endpoint = endpointRow(db);
  // What has died is being brought back for an endpoint that was resumed: it is not known yet which.
  const isReviving = endpoint?.status === 'ACTIVE' && endpoint.reviveSince !== null;
  const concluded = isReviving ? [DeliveryStatus.DELIVERED] : [DeliveryStatus.DELIVERED, DeliveryStatus.DEAD];
  const range = { above: FIRST, below: startOf(before), order: 'ASC', limit } as const;
  return concluded
    .flatMap((status) => readDeliveries<{ sequence: number }>(db, '"sequence", "createdAt"', { ...range, status }))
    .slice(0, limit)
    .map(({ sequence }) => sequence);
}

/** Removes at most `limit` deliveries that are concluded and old, with their tries. @returns how many */
export function removeOldDeliveries({ db }: LedgerTransaction, old: OldDeliveries): number {
  const sequences = findOldDeliveries(db, old);
  for (const sequence of sequences) db.run('DELETE FROM "WebhookDelivery" WHERE "sequence" = ?', sequence);
  return sequences.length;
}
