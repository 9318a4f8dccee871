import { randomUUID } from 'node:crypto';
import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import type { LedgerWriter } from './ledger-writer.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** How long a worker may be silent about a delivery before it is due again. */
const LEASE_MS = 30_000;

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

/** The webhooks to be sent, in the books: no session goes untold, whatever becomes of the process or the CRM. */
export class Outbox {
  readonly #writer: LedgerWriter;
  readonly #db: SqliteConnection;
  readonly #bodyOf: (event: SessionEventRecord) => string;

  /** @param bodyOf the JSON to be sent for an event */
  constructor(writer: LedgerWriter, db: SqliteConnection, bodyOf: (event: SessionEventRecord) => string) {
    this.#writer = writer;
    this.#db = db;
    this.#bodyOf = bodyOf;
  }

  /** Queues a webhook in the transaction that writes its event, and claims its first try for this process. */
  enqueue(event: SessionEventRecord, transaction: LedgerTransaction): void {
    const claimed = {
      id: event.id,
      requestId: event.requestId,
      body: this.#bodyOf(event),
      attempts: 0,
      leaseToken: randomUUID(),
    };
    const leasedUntil = leaseFrom(event.occurredAt);
    transaction.insert('WebhookDelivery', {
      ...claimed,
      eventType: event.type,
      createdAt: event.occurredAt,
      nextAttemptAt: leasedUntil,
    });
    transaction.deliveries.push({ ...claimed, leasedUntil });
  }

  /** Hears of new deliveries, claimed already, after their commit. */
  onEnqueued(listener: (deliveries: readonly ClaimedDelivery[]) => void): void {
    this.#writer.onCommit(({ deliveries }) => {
      if (deliveries.length > 0) listener(deliveries);
    });
  }

  /** Makes due again what an earlier process had claimed: it is gone, since there is one process to a file. */
  releaseAbandoned(): Promise<number> {
    return this.#writer.submit(({ db }) =>
      db.run(
        `UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ? WHERE "status" = 'PENDING' AND "leaseToken" IS NOT NULL`,
        new Date(),
      ),
    );
  }

  /** Claims deliveries that are due, the longest waiting first. */
  async claimDue(limit: number): Promise<ClaimedDelivery[]> {
    const now = new Date();
    if (!this.#db.get(`SELECT 1 FROM "WebhookDelivery" WHERE ${IS_DUE} LIMIT 1`, now)) return []; // no commit for nothing
    return this.#writer.submit(({ db }) => {
      const leasedUntil = leaseFrom(now);
      const due = db.all<Omit<ClaimedDelivery, 'leaseToken' | 'leasedUntil'>>(
        `SELECT "id", "requestId", "body", "attempts" FROM "WebhookDelivery" WHERE ${IS_DUE} ORDER BY "nextAttemptAt" LIMIT ?`,
        now,
        limit,
      );
      return due.map((delivery) => {
        const leaseToken = randomUUID();
        db.run(CLAIM, leaseToken, leasedUntil, delivery.id);
        return { ...delivery, leaseToken, leasedUntil };
      });
    });
  }

  /** Makes a claimed delivery due at once again, untried. */
  release({ id, leaseToken }: ClaimedDelivery): Promise<void> {
    return this.#writer.submit(({ db }) => {
      db.run(
        'UPDATE "WebhookDelivery" SET "leaseToken" = NULL, "nextAttemptAt" = ? WHERE "id" = ? AND "leaseToken" = ?',
        new Date(),
        id,
        leaseToken,
      );
    });
  }

  /**
   * Writes down how a try went, and what follows for the session.
   * @returns false when another worker has taken the delivery over: then nothing is written
   */
  record(delivery: ClaimedDelivery, attempt: DeliveryTry): Promise<boolean> {
    return this.#writer.submit((transaction) => recordTry(transaction, delivery, attempt), { linger: true });
  }
}

const leaseFrom = (start: Date): Date => new Date(start.getTime() + LEASE_MS);

const IS_DUE = `"status" = 'PENDING' AND "nextAttemptAt" <= ?`;
const CLAIM = 'UPDATE "WebhookDelivery" SET "leaseToken" = ?, "nextAttemptAt" = ? WHERE "id" = ?';

function recordTry(transaction: LedgerTransaction, delivery: ClaimedDelivery, attempt: DeliveryTry): boolean {
  const { verdict, statusCode, error, startedAt, durationMs } = attempt;
  const number = delivery.attempts + 1;
  const isOurs = transaction.db.run(
    `UPDATE "WebhookDelivery" SET "status" = ?, "attempts" = ?, "nextAttemptAt" = ?, "leaseToken" = NULL, "deliveredAt" = ?, "lastError" = ?
       WHERE "id" = ? AND "leaseToken" = ? AND "status" = 'PENDING'`,
    verdict.is === 'RETRY' ? 'PENDING' : verdict.is,
    number,
    verdict.is === 'RETRY' ? verdict.at : startedAt,
    verdict.is === 'DELIVERED' ? new Date() : null,
    error,
    delivery.id,
    delivery.leaseToken,
  );
  if (isOurs === 0) return false;
  transaction.insert('WebhookAttempt', { deliveryId: delivery.id, number, startedAt, durationMs, statusCode, error });
  if (verdict.is !== 'RETRY') concludeSync(transaction, delivery.requestId, verdict.is === 'DELIVERED', error);
  return true;
}

type SyncedSession = Pick<SessionEventRecord, 'guestId' | 'crmId' | 'sessionId' | 'channel' | 'status'> & {
  readonly expiresAt: number | null;
};

function concludeSync(
  transaction: LedgerTransaction,
  requestId: string,
  delivered: boolean,
  error: string | null,
): void {
  const { db } = transaction;
  db.run('UPDATE "GuestSession" SET "crmSync" = ? WHERE "id" = ?', delivered ? 'DELIVERED' : 'FAILED', requestId);
  const session = db.get<SyncedSession>(
    'SELECT "guestId", "crmId", "sessionId", "channel", "status", "expiresAt" FROM "GuestSession" WHERE "id" = ?',
    requestId,
  );
  if (!session) return;
  const now = new Date();
  transaction.appendEvent({
    type: delivered ? 'SESSION_CRM_SYNCED' : 'SESSION_CRM_SYNC_FAILED',
    occurredAt: now,
    requestId,
    ...session,
    reason: error,
    expiresAt: session.expiresAt === null ? null : new Date(session.expiresAt),
  });
  transaction.appendAudit({
    requestId,
    kind: 'CRM_SYNC',
    status: delivered ? 'SUCCESS' : 'FAILED',
    reason: error,
    errorCode: null,
    guestId: session.guestId,
    sessionId: session.sessionId,
    actor: 'crm-outbox',
    durationMs: null,
    fraudScore: null,
    attempts: null,
    capacityCheck: null,
    crmSynced: delivered,
  });
  transaction.measurements.push({ of: 'crm', at: now, delivered });
}
