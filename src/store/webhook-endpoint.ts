import { systemActor } from '../guest-session/actor.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, NO_SESSION, tellOfSession } from './session-row.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Shares of the time after which a failing endpoint is disabled, in percent, at which everybody is told. */
const MARKS = [50, 70, 90, 100] as const;

/** How the CRM's end of the webhooks does. Times are milliseconds since 1970. */
interface EndpointRow {
  readonly urlHash: string;
  readonly status: 'ACTIVE' | 'DISABLED';
  readonly failingSince: number | null;
  readonly lastFailureAt: number | null;
  readonly warnedPercent: number;
  readonly disabledAt: number | null;
  readonly reviveSince: number | null;
}

/** When a failing endpoint is disabled. */
export interface EndpointRules {
  /** How long it may fail, without a success between, until it is disabled. */
  readonly disableAfterMs: number;
  /** Longer than any wait between two tries: where nothing was tried for so long, nobody knows whether it went on failing. */
  readonly longestWaitMs: number;
}

/** What became known of the endpoint. */
export interface EndpointNews {
  readonly isDisabled: boolean;
  readonly reason: string;
}

/** A try that failed. */
export interface EndpointTrouble {
  /** The attempt that the webhook told of. */
  readonly requestId: string;
  readonly error: string;
  readonly now: Date;
}

export const endpointRow = (db: SqliteConnection): EndpointRow | undefined =>
  db.get<EndpointRow>(
    `SELECT "urlHash", "status", "failingSince", "lastFailureAt", "warnedPercent", "disabledAt", "reviveSince"
       FROM "WebhookEndpoint" WHERE "id" = 1`,
  );

/** Whether nothing may be sent. */
export const isEndpointDisabled = (db: SqliteConnection): boolean => endpointRow(db)?.status === 'DISABLED';

/** The CRM has taken a webhook: whatever failed before is over. */
export function endpointTook({ db }: LedgerTransaction): void {
  const endpoint = endpointRow(db);
  // Of a disabled one it is still to be known since when: a try was under way.
  if (endpoint?.status !== 'ACTIVE' || endpoint.failingSince === null) return;
  db.run(
    'UPDATE "WebhookEndpoint" SET "failingSince" = NULL, "lastFailureAt" = NULL, "warnedPercent" = 0 WHERE "id" = 1',
  );
}

/** The CRM has not: an endpoint that has failed for too long, without a success between, is disabled. */
export function endpointFailed(
  transaction: LedgerTransaction,
  trouble: EndpointTrouble,
  { disableAfterMs, longestWaitMs }: EndpointRules,
): EndpointNews | null {
  const { db } = transaction;
  const { requestId, error, now } = trouble;
  const endpoint = endpointRow(db);
  if (endpoint?.status !== 'ACTIVE') return null;
  const silentMs = now.getTime() - (endpoint.lastFailureAt ?? 0);
  if (endpoint.failingSince === null || silentMs > longestWaitMs) {
    const begin =
      'UPDATE "WebhookEndpoint" SET "failingSince" = ?, "lastFailureAt" = ?, "warnedPercent" = 0 WHERE "id" = 1';
    db.run(begin, now, now);
    return null;
  }
  db.run('UPDATE "WebhookEndpoint" SET "lastFailureAt" = ? WHERE "id" = 1', now);
  const percent = (100 * (now.getTime() - endpoint.failingSince)) / disableAfterMs;
  const mark = MARKS.findLast((mark) => mark <= percent);
  if (mark === undefined || mark <= endpoint.warnedPercent) return null;
  const since = new Date(endpoint.failingSince).toISOString();
  if (mark === 100) {
    return disableEndpoint(transaction, { ...trouble, error: `nothing was taken since ${since}; last: ${error}` });
  }
  const reason = `nothing was taken since ${since}, which is ${mark} % of the time after which it is disabled; last: ${error}`;
  db.run('UPDATE "WebhookEndpoint" SET "warnedPercent" = ? WHERE "id" = 1', mark);
  tellOfSession(transaction, { ...NO_SESSION, id: requestId }, { type: 'WEBHOOK_ENDPOINT_FAILING', reason, at: now });
  return { isDisabled: false, reason };
}

/** Nothing is sent any more until somebody resumes it. */
export function disableEndpoint(
  transaction: LedgerTransaction,
  { requestId, error: reason, now }: EndpointTrouble,
): EndpointNews | null {
  const disabled = transaction.db.run(
    `UPDATE "WebhookEndpoint" SET "status" = 'DISABLED', "disabledAt" = ?, "disabledReason" = ? WHERE "id" = 1 AND "status" = 'ACTIVE'`,
    now,
    reason,
  );
  if (disabled === 0) return null;
  const subject = { ...NO_SESSION, id: requestId };
  tellOfSession(transaction, subject, { type: 'WEBHOOK_ENDPOINT_DISABLED', reason, at: now });
  auditSession(transaction, subject, {
    kind: 'WEBHOOK_ENDPOINT_DISABLED',
    status: 'FAILED',
    reason,
    actor: systemActor('crm-outbox'),
  });
  return { isDisabled: true, reason };
}
