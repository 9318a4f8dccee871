import { systemActor } from '../guest-session/actor.js';
import { type ClaimedDelivery, queueNext } from './delivery-queue.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, subjectOf, tellOfSession } from './session-row.js';
import {
  disableEndpoint,
  type EndpointNews,
  type EndpointRules,
  endpointFailed,
  endpointRow,
  endpointTook,
} from './webhook-endpoint.js';

/** One try, and what comes of it. */
export interface DeliveryTry {
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly statusCode: number | null;
  /** Null when the CRM took it. */
  readonly error: string | null;
  /** GONE: the endpoint wants no webhooks any more. */
  readonly verdict:
    | { readonly is: 'DELIVERED' }
    | { readonly is: 'RETRY'; readonly at: Date }
    | { readonly is: 'DEAD' }
    | { readonly is: 'GONE' };
}

/** A try of a claimed delivery, to be written down. */
interface Tried {
  readonly delivery: Pick<
    ClaimedDelivery,
    'sequence' | 'id' | 'requestId' | 'eventType' | 'attempts' | 'failures' | 'leaseToken'
  >;
  readonly attempt: DeliveryTry;
  readonly rules: EndpointRules;
  readonly now: Date;
}

/** What was written down of a try. */
export interface TryRecord {
  /** What became known of the endpoint by it; null where nothing new. */
  readonly endpoint: EndpointNews | null;
}

/**
 * Writes down how a try went, and what follows for the session and for the endpoint.
 * @returns null when another worker has taken the delivery over: then nothing is written
 */
export function recordTry(transaction: LedgerTransaction, tried: Tried): TryRecord | null {
  const { delivery, attempt, now } = tried;
  const verdict = verdictOn(transaction, tried);
  const { statusCode, error, startedAt, durationMs } = attempt;
  const number = delivery.attempts + 1;
  const retriesAt = verdict.is === 'RETRY' ? verdict.at : null;
  const isOurs = transaction.db.run(
    `UPDATE "WebhookDelivery" SET "status" = ?, "attempts" = ?, "failures" = "failures" + ?, "nextAttemptAt" = ?,
       "leaseToken" = NULL, "concludedAt" = ?, "lastError" = ? WHERE "sequence" = ? AND "leaseToken" = ? AND "status" = 'PENDING'`,
    retriesAt ? 'PENDING' : verdict.is === 'DELIVERED' ? 'DELIVERED' : 'DEAD',
    number,
    error === null ? 0 : 1,
    retriesAt,
    retriesAt ? null : now,
    error,
    delivery.sequence,
    delivery.leaseToken,
  );
  if (isOurs === 0) return null;
  transaction.insert('WebhookAttempt', { deliveryId: delivery.id, number, startedAt, durationMs, statusCode, error });
  if (!retriesAt) conclude(transaction, delivery, error, now);
  const endpoint = judgeEndpoint(transaction, tried);
  // Behind that: to an endpoint that is disabled by this very try the next one is not sent.
  if (!retriesAt) queueNext(transaction, delivery.requestId, now);
  return { endpoint };
}

/** One that was replayed while it was under way has a new schedule, which its failure begins. */
function verdictOn({ db }: LedgerTransaction, { delivery, attempt: { verdict }, now }: Tried): DeliveryTry['verdict'] {
  if (delivery.failures === 0 || (verdict.is !== 'RETRY' && verdict.is !== 'DEAD')) return verdict;
  const sql = 'SELECT "failures" FROM "WebhookDelivery" WHERE "sequence" = ?';
  const isReplayed = db.get<{ failures: number }>(sql, delivery.sequence)?.failures === 0;
  return isReplayed ? { is: 'RETRY', at: now } : verdict;
}

/** What a try tells of the endpoint. */
function judgeEndpoint(transaction: LedgerTransaction, { delivery, attempt, rules, now }: Tried): EndpointNews | null {
  const { error, verdict } = attempt;
  if (error === null) {
    endpointTook(transaction);
    return null;
  }
  const trouble = { requestId: delivery.requestId, error, now };
  if (verdict.is === 'GONE') return disableEndpoint(transaction, trouble);
  return endpointFailed(transaction, trouble, rules);
}

/** What nobody is trying; to be asked with the time, at which leases run out. */
export const IS_BURIABLE = `"nextAttemptAt" >= 0 AND ("leaseToken" IS NULL OR "nextAttemptAt" <= ?)`;

/** What is not sent because the endpoint is disabled dies of that; {@link reviveDeliveries} brings it back. @returns how many did */
export function buryDeliveries(
  transaction: LedgerTransaction,
  { limit, now }: { readonly limit: number; readonly now: Date },
): number {
  const endpoint = endpointRow(transaction.db);
  if (endpoint?.status !== 'DISABLED') return 0; // it was resumed just now
  // Who resumes it asks what has died since; a clock that goes back must not hide any.
  const diedAt = new Date(Math.max(now.getTime(), endpoint.disabledAt ?? 0));
  const waiting = transaction.db.all<Pick<ClaimedDelivery, 'sequence' | 'requestId' | 'eventType'>>(
    `SELECT "sequence", "requestId", "eventType" FROM "WebhookDelivery"
       WHERE ${IS_BURIABLE} ORDER BY "nextAttemptAt" LIMIT ?`,
    now,
    limit,
  );
  const error = 'not sent: the endpoint is disabled';
  for (const delivery of waiting) {
    transaction.db.run(
      `UPDATE "WebhookDelivery" SET "status" = 'DEAD', "nextAttemptAt" = NULL, "leaseToken" = NULL, "concludedAt" = ?, "lastError" = ?
         WHERE "sequence" = ?`,
      diedAt,
      error,
      delivery.sequence,
    );
    conclude(transaction, delivery, error, now);
    queueNext(transaction, delivery.requestId, now); // it dies next
  }
  return waiting.length;
}

/** A delivery is delivered, or dead: everybody is told. */
function conclude(
  transaction: LedgerTransaction,
  { sequence, requestId, eventType }: Pick<ClaimedDelivery, 'sequence' | 'requestId' | 'eventType'>,
  error: string | null,
  now: Date,
): void {
  const { db } = transaction;
  const delivered = error === null;
  const isOfTheSession = eventType === 'SESSION_INITIATED';
  if (isOfTheSession) {
    const crmSync = delivered ? 'DELIVERED' : 'FAILED';
    // What the CRM has once taken stays taken, also when it does not take it again.
    db.run(`UPDATE "GuestSession" SET "crmSync" = ? WHERE "id" = ? AND "crmSync" <> 'DELIVERED'`, crmSync, requestId);
  }
  const subject = subjectOf(transaction, requestId, sequence);
  const about = isOfTheSession ? null : eventType;
  const reason = [about, error].filter((text) => text !== null).join(': ') || null;
  if (delivered && isOfTheSession) tellOfSession(transaction, subject, { type: 'SESSION_CRM_SYNCED', reason, at: now });
  if (!delivered) tellOfSession(transaction, subject, { type: 'SESSION_CRM_SYNC_FAILED', reason, at: now });
  auditSession(transaction, subject, {
    kind: 'CRM_SYNC',
    status: delivered ? 'SUCCESS' : 'FAILED',
    reason,
    actor: systemActor('crm-outbox'),
    crmSynced: delivered,
  });
  transaction.measurements.push({ of: 'crm', at: now, delivered });
}
