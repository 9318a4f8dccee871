import type { Actor } from '../guest-session/actor.js';
import { type Batch, type DeliveryPosition, FIRST, LAST, lastOf, readDeliveries } from './delivery-pages.js';
import { requeue } from './delivery-queue.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, NO_SESSION, tellOfSession } from './session-row.js';
import { endpointRow } from './webhook-endpoint.js';

/** Who wants the endpoint back, and when that is. */
export interface Resumption {
  readonly actor: Actor;
  /** Names this act. */
  readonly requestId: string;
  readonly reason: string | null;
  readonly now: Date;
}

/**
 * Makes a disabled endpoint active again. What has died since it began to fail is to be brought back by
 * {@link reviveDeliveries}, from the beginning should the process die over it.
 * @returns false where it was not disabled
 */
export function resumeEndpoint(transaction: LedgerTransaction, resumption: Resumption): boolean {
  const { actor, requestId, reason, now } = resumption;
  const resumed = transaction.db.run(
    `UPDATE "WebhookEndpoint" SET "status" = 'ACTIVE', "reviveSince" = min(coalesce("reviveSince", "disabledAt"),
       coalesce("failingSince", "disabledAt"), "disabledAt"), "failingSince" = NULL, "lastFailureAt" = NULL, "warnedPercent" = 0,
       "disabledAt" = NULL, "disabledReason" = NULL WHERE "id" = 1 AND "status" = 'DISABLED'`,
  );
  if (resumed === 0) return false;
  const subject = { ...NO_SESSION, id: requestId };
  tellOfSession(transaction, subject, { type: 'WEBHOOK_ENDPOINT_RESUMED', reason, at: now });
  auditSession(transaction, subject, { kind: 'WEBHOOK_ENDPOINT_RESUMED', status: 'SUCCESS', reason, actor });
  return true;
}

interface DeadRow {
  readonly sequence: number;
  readonly createdAt: number;
  readonly requestId: string;
  readonly eventType: string;
  readonly concludedAt: number;
}

const COLUMNS = '"sequence", "createdAt", "requestId", "eventType", "concludedAt"';

/**
 * Looks at `limit` deliveries that are dead, and queues those again that have died since the endpoint began to fail; none once
 * it is disabled again.
 * @param order.after where the batch before ended; null for the first
 */
export function reviveDeliveries(
  transaction: LedgerTransaction,
  { after, limit, now }: { readonly after: DeliveryPosition | null; readonly limit: number; readonly now: Date },
): Batch {
  const { db } = transaction;
  const endpoint = endpointRow(db);
  const since = endpoint?.status === 'ACTIVE' ? endpoint.reviveSince : null;
  if (since === null) return { queued: 0, last: null };
  const range = { status: 'DEAD', above: after ?? FIRST, below: LAST, order: 'ASC', limit } as const;
  const dead = readDeliveries<DeadRow>(db, COLUMNS, range);
  const missed = dead.filter(({ concludedAt }) => concludedAt >= since);
  for (const delivery of missed) requeue(transaction, delivery, now);
  const last = lastOf(dead, limit);
  if (last === null) db.run('UPDATE "WebhookEndpoint" SET "reviveSince" = NULL WHERE "id" = 1');
  return { queued: missed.length, last };
}

/**
 * Gets to know the endpoint at the start of a process. A new address is a new endpoint: it is not failing yet, and if the one
 * before was disabled, it gets what that one did not.
 * @returns whether one was resumed by that
 */
export function meetEndpoint(
  transaction: LedgerTransaction,
  { urlHash, ...resumption }: Omit<Resumption, 'reason'> & { readonly urlHash: string },
): boolean {
  const { db } = transaction;
  const known = endpointRow(db);
  if (known?.urlHash === urlHash) return false;
  if (!known) {
    db.run('INSERT INTO "WebhookEndpoint" ("id", "urlHash") VALUES (1, ?)', urlHash);
    return false;
  }
  const isResumed = resumeEndpoint(transaction, { ...resumption, reason: 'it has a new address' });
  db.run(
    'UPDATE "WebhookEndpoint" SET "urlHash" = ?, "failingSince" = NULL, "lastFailureAt" = NULL, "warnedPercent" = 0 WHERE "id" = 1',
    urlHash,
  );
  return isResumed;
}
