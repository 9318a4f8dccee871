import type { SessionStatus } from '../../src/guest-session/ports.js';
import { requestIdBound } from '../../src/guest-session/request-id.js';
import type { WebhookEventType } from '../../src/guest-session/session-event.js';
import type { DeliveryStatus } from '../../src/store/delivery-status.js';
import type { Books } from './ledger.js';

export const DAY_MS = 86_400_000;
export const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY_MS);

/** A session that was asked for so many days ago. */
interface OldSession {
  readonly days: number;
  readonly status?: SessionStatus;
  readonly reconcileAt?: Date;
  readonly idempotencyKey?: string;
}

let minted = 0;
const idOf = (days: number): string => {
  minted += 1;
  return `${requestIdBound(daysAgo(days))}-7000-8000-${minted.toString(16).padStart(12, '0')}`;
};

/** Writes sessions as they stand after so long. @returns their ids */
export async function addSessions(books: Books, ...sessions: OldSession[]): Promise<string[]> {
  const rows = sessions.map(({ days, status = 'ENDED', ...own }) => ({ id: idOf(days), days, status, ...own }));
  await books.writer.submit((transaction) => {
    for (const { days, ...row } of rows) {
      transaction.insert('GuestSession', {
        callerName: 'tester',
        guestId: 'gk_1',
        channel: 'WEBCHAT',
        priority: 'NORMAL',
        queueId: 'queue',
        languagePreference: 'en-US',
        fingerprintHmac: 'hmac',
        createdAt: daysAgo(days),
        placeHeldUntil: daysAgo(days),
        ...row,
      });
    }
  });
  return rows.map(({ id }) => id);
}

/** A webhook of an event so many days ago. */
interface OldDelivery {
  readonly days: number;
  readonly status?: DeliveryStatus;
  readonly requestId?: string;
  readonly eventType?: WebhookEventType;
  /** When it was concluded; by default at once. */
  readonly concludedDays?: number;
}

/** Writes webhooks as they stand after so long, each with two tries. */
export const addDeliveries = (books: Books, ...deliveries: OldDelivery[]): Promise<void> =>
  books.writer.submit((transaction) => {
    const { db } = transaction;
    const newest = db.get<{ sequence: number }>(
      'SELECT coalesce(max("sequence"), 0) AS "sequence" FROM "WebhookDelivery"',
    );
    let sequence = newest?.sequence ?? 0;
    for (const { days, status = 'DELIVERED', requestId = 'request', ...own } of deliveries) {
      sequence += 1;
      const id = `delivery-${sequence}`;
      const createdAt = daysAgo(days);
      transaction.insert('WebhookDelivery', {
        sequence,
        id,
        requestId,
        eventType: own.eventType ?? 'SESSION_INITIATED',
        body: '{}',
        status,
        attempts: 2,
        createdAt,
        nextAttemptAt: status === 'PENDING' ? createdAt : null,
        concludedAt: status === 'PENDING' ? null : daysAgo(own.concludedDays ?? days),
      });
      for (const number of [1, 2])
        transaction.insert('WebhookAttempt', { deliveryId: id, number, startedAt: createdAt, durationMs: 1 });
    }
  });

/** Ids of the sessions that others see, the oldest first. */
export const sessionsIn = (books: Books): string[] =>
  books.outside.all<{ id: string }>('SELECT "id" FROM "GuestSession" ORDER BY "id"').map(({ id }) => id);

/** How many rows are removed by each of so many turns. */
export async function removals(
  expiry: { expireDue(limit: number): Promise<number> },
  limit: number,
  turns: number,
): Promise<number[]> {
  const removed = [];
  for (let turn = 0; turn < turns; turn++) removed.push(await expiry.expireDue(limit));
  return removed;
}
