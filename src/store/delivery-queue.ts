import { randomUUID } from 'node:crypto';
import { webhookBody } from '../crm/webhook-body.js';
import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { openBody, type SealedBody, sealBody } from './sealed-body.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { isEndpointDisabled } from './webhook-endpoint.js';

/** How long a worker may be silent about a delivery before it is due again: longer than a wait and a try (CRM_TIMEOUT_MS). */
const LEASE_MS = 60_000;

/** Which deliveries are due; to be asked with the time. */
export const IS_DUE = `"nextAttemptAt" <= ? AND "status" = 'PENDING'`;

/** A delivery that its holder alone may try, as long as nobody else has taken it over. */
export interface ClaimedDelivery {
  /** Of the event that it tells of. */
  readonly sequence: number;
  /** The id of the event that it tells of. */
  readonly id: string;
  readonly requestId: string;
  readonly eventType: string;
  readonly body: string;
  /** Tries so far. */
  readonly attempts: number;
  /** Those of them that failed since it was queued. */
  readonly failures: number;
  readonly leaseToken: string;
  readonly leasedUntil: Date;
}

const COLUMNS = '"sequence", "id", "requestId", "guestId", "eventType", "body", "createdAt", "attempts", "failures"';
type Unclaimed = Omit<ClaimedDelivery, 'leaseToken' | 'leasedUntil'>;
type UnclaimedRow = Unclaimed & SealedBody;

/**
 * Queues the webhook of an event in the transaction that writes the event, and claims its first try for this process.
 *
 * The CRM hears of one session in the order of its log: of the deliveries of a session that are PENDING, the first alone has
 * a time at which it is due. The next one gets its own when the first is delivered or dead. So one session that the CRM
 * does not take holds up itself, and what waits behind it costs nobody a look.
 */
export function enqueueDelivery(transaction: LedgerTransaction, event: SessionEventRecord): void {
  const { sequence, id, requestId, type: eventType, occurredAt: createdAt } = event;
  const delivery = { sequence, id, requestId, eventType, body: webhookBody(event) };
  const sealed = sealBody(transaction.vault, delivery, event.guestId);
  const isFirst = firstPending(transaction.db, requestId) === undefined;
  const leaseToken = isFirst ? randomUUID() : null;
  const leasedUntil = leaseFrom(new Date());
  transaction.insert('WebhookDelivery', {
    ...delivery,
    ...sealed,
    createdAt,
    leaseToken,
    nextAttemptAt: isFirst ? leasedUntil : null,
  });
  if (leaseToken) transaction.deliveries.push({ ...delivery, attempts: 0, failures: 0, leaseToken, leasedUntil });
}

/** Of a session's deliveries, the one that has to be told next. */
function firstPending(db: SqliteConnection, requestId: string) {
  return db.get<UnclaimedRow & { readonly nextAttemptAt: number | null }>(
    `SELECT ${COLUMNS}, "nextAttemptAt" FROM "WebhookDelivery" WHERE "requestId" = ? AND "status" = 'PENDING' ORDER BY "sequence" LIMIT 1`,
    requestId,
  );
}

/** After a delivery is concluded the next one of its session is due now, and claimed for this process if it may be sent. */
export function queueNext(transaction: LedgerTransaction, requestId: string, now: Date): void {
  const next = firstPending(transaction.db, requestId);
  if (next?.nextAttemptAt !== null) return;
  if (isEndpointDisabled(transaction.db)) queueAgain(transaction, next, now);
  else transaction.deliveries.push(claim(transaction, next, now));
}

/**
 * After a delivery became PENDING again: it is due now, unless an earlier one of its session has to come first, and those
 * behind wait. One that is under way already is left alone.
 */
function queueAgain(
  { db }: LedgerTransaction,
  { sequence, requestId }: Pick<ClaimedDelivery, 'sequence' | 'requestId'>,
  now: Date,
): void {
  db.run(
    `UPDATE "WebhookDelivery" SET "nextAttemptAt" = iif("sequence" = ?, iif("sequence" = ?, ?, coalesce("nextAttemptAt", ?)), NULL)
       WHERE "requestId" = ? AND "status" = 'PENDING' AND "leaseToken" IS NULL`,
    firstPending(db, requestId)?.sequence,
    sequence,
    now,
    now,
    requestId,
  );
}

/** Queues a delivery again that was concluded, or waits for its next try: its schedule begins anew. */
export function requeue(
  transaction: LedgerTransaction,
  delivery: Pick<ClaimedDelivery, 'sequence' | 'requestId' | 'eventType'>,
  now: Date,
): void {
  transaction.db.run(
    `UPDATE "WebhookDelivery" SET "status" = 'PENDING', "failures" = 0, "concludedAt" = NULL WHERE "sequence" = ?`,
    delivery.sequence,
  );
  if (delivery.eventType === 'SESSION_INITIATED') {
    // What the CRM has once taken stays taken.
    const sql = `UPDATE "GuestSession" SET "crmSync" = 'PENDING' WHERE "id" = ? AND "crmSync" <> 'DELIVERED'`;
    transaction.db.run(sql, delivery.requestId);
  }
  queueAgain(transaction, delivery, now);
}

/** Claims deliveries that are due, the longest waiting first; none while the endpoint is disabled. */
export function claimDeliveries(
  transaction: LedgerTransaction,
  { limit, now }: { readonly limit: number; readonly now: Date },
): ClaimedDelivery[] {
  const { db } = transaction;
  if (isEndpointDisabled(db)) return []; // since it was last looked
  const sql = `SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE ${IS_DUE} ORDER BY "nextAttemptAt" LIMIT ?`;
  const due = db.all<UnclaimedRow>(sql, now, limit);
  return due.flatMap((delivery) => {
    if (firstPending(db, delivery.requestId)?.sequence === delivery.sequence) return claim(transaction, delivery, now);
    // An earlier one was replayed while this one was under way.
    db.run(
      'UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = NULL WHERE "sequence" = ?',
      delivery.sequence,
    );
    return [];
  });
}

function claim({ db, vault }: LedgerTransaction, row: UnclaimedRow, now: Date): ClaimedDelivery {
  const { sequence, id, requestId, eventType, attempts, failures } = row;
  const leaseToken = randomUUID();
  const leasedUntil = leaseFrom(now);
  db.run(
    'UPDATE "WebhookDelivery" SET "leaseToken" = ?, "nextAttemptAt" = ? WHERE "sequence" = ?',
    leaseToken,
    leasedUntil,
    sequence,
  );
  const body = openBody(row, vault.reader());
  return { sequence, id, requestId, eventType, body, attempts, failures, leaseToken, leasedUntil };
}

/** Makes a claimed delivery due at once again, untried. */
export function releaseDelivery(
  { db }: LedgerTransaction,
  { sequence, leaseToken, now }: Pick<ClaimedDelivery, 'sequence' | 'leaseToken'> & { readonly now: Date },
): void {
  db.run(
    'UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ? WHERE "sequence" = ? AND "leaseToken" = ?',
    now,
    sequence,
    leaseToken,
  );
}

/**
 * Makes due again what an earlier process had claimed: it is gone, since there is one process to a file. And what is due later
 * than anything can be: the clock was wrong when that was written.
 */
export function releaseAbandonedDeliveries(
  { db }: LedgerTransaction,
  { now, longestWaitMs }: { readonly now: Date; readonly longestWaitMs: number },
): number {
  return db.run(
    `UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ?
       WHERE "nextAttemptAt" >= 0 AND ("leaseToken" IS NOT NULL OR "nextAttemptAt" > ?)`,
    now,
    new Date(now.getTime() + longestWaitMs),
  );
}

const leaseFrom = (start: Date): Date => new Date(start.getTime() + LEASE_MS);
