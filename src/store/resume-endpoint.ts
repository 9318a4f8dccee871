import { IS_OF_STATUS } from './delivery-queue.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, NO_SESSION, tellOfSession } from './session-row.js';
import { endpointRow } from './webhook-endpoint.js';

/** Who wants the endpoint back, and when that is. */
export interface Resumption {
  readonly actor: string;
  /** Names this act. */
  readonly requestId: string;
  readonly reason: string | null;
  readonly now: Date;
}

/**
 * Makes a disabled endpoint active again, and queues what has died since it was disabled.
 * @returns how many deliveries were queued; null where it was not disabled
 */
export function resumeEndpoint(transaction: LedgerTransaction, resumption: Resumption): number | null {
  const { db } = transaction;
  const { actor, requestId, reason, now } = resumption;
  const endpoint = endpointRow(db);
  if (endpoint?.status !== 'DISABLED' || endpoint.disabledAt === null) return null;
  db.run(
    `UPDATE "WebhookEndpoint" SET "status" = 'ACTIVE', "failingSince" = NULL, "warnedPercent" = 0, "disabledAt" = NULL,
       "disabledReason" = NULL WHERE "id" = 1`,
  );
  const revived = revive(transaction, new Date(endpoint.disabledAt), now);
  const subject = { ...NO_SESSION, id: requestId };
  tellOfSession(transaction, subject, { type: 'WEBHOOK_ENDPOINT_RESUMED', reason, at: now });
  auditSession(transaction, subject, { kind: 'WEBHOOK_ENDPOINT_RESUMED', status: 'SUCCESS', reason, actor });
  return revived;
}

/** What has died since a time is sent after all, each session's in its order. */
function revive({ db }: LedgerTransaction, since: Date, now: Date): number {
  const HAS_DIED = `${IS_OF_STATUS} AND "concludedAt" >= ?`;
  db.run(
    `UPDATE "GuestSession" SET "crmSync" = 'PENDING' WHERE "id" IN
       (SELECT "requestId" FROM "WebhookDelivery" WHERE ${HAS_DIED} AND "eventType" = 'SESSION_INITIATED')`,
    'DEAD',
    since,
  );
  // concludedAt stays for the next statement, which knows by it whom it is about.
  const sql = `UPDATE "WebhookDelivery" SET "status" = 'PENDING', "failures" = 0 WHERE ${HAS_DIED}`;
  const revived = db.run(sql, 'DEAD', since);
  db.run(
    `UPDATE "WebhookDelivery" AS d SET "concludedAt" = NULL, "nextAttemptAt" = iif(EXISTS (SELECT 1 FROM "WebhookDelivery" e
       WHERE e."requestId" = d."requestId" AND e."status" = 'PENDING' AND e."sequence" < d."sequence"), NULL, ?) WHERE ${HAS_DIED}`,
    now,
    'PENDING',
    since,
  );
  return revived;
}

/**
 * Gets to know the endpoint at the start of a process. A new address is a new endpoint: it is not failing yet, and if the one
 * before was disabled, it gets what that one did not.
 * @returns what {@link resumeEndpoint} does
 */
export function meetEndpoint(
  transaction: LedgerTransaction,
  { urlHash, ...resumption }: Omit<Resumption, 'reason'> & { readonly urlHash: string },
): number | null {
  const { db } = transaction;
  const known = endpointRow(db);
  if (known?.urlHash === urlHash) return null;
  if (!known) {
    db.run('INSERT INTO "WebhookEndpoint" ("id", "urlHash") VALUES (1, ?)', urlHash);
    return null;
  }
  const revived = resumeEndpoint(transaction, { ...resumption, reason: 'it has a new address' });
  db.run(
    'UPDATE "WebhookEndpoint" SET "urlHash" = ?, "failingSince" = NULL, "warnedPercent" = 0 WHERE "id" = 1',
    urlHash,
  );
  return revived;
}
