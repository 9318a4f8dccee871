import { randomUUID } from 'node:crypto';
import type { Actor } from '../../src/guest-session/actor.js';
import type { SessionEventRecord, SessionEventType, WebhookEventType } from '../../src/guest-session/session-event.js';
import type { ClaimedDelivery } from '../../src/store/delivery-queue.js';
import type { ReplayRange } from '../../src/store/delivery-replays.js';
import type { DeliveryTry } from '../../src/store/delivery-tries.js';
import type { Books } from './ledger.js';
import { someEvent } from './ledger.js';

/** How a try went. */
const tried = (verdict: DeliveryTry['verdict'], error: string | null = null): DeliveryTry => ({
  startedAt: new Date(),
  durationMs: 12.5,
  statusCode: error === null ? 200 : 503,
  error,
  verdict,
});
export const DELIVERED = tried({ is: 'DELIVERED' });
export const DEAD = tried({ is: 'DEAD' }, 'status 503');
export const GONE = tried({ is: 'GONE' }, 'status 410');
export const retryAt = (at: Date): DeliveryTry => tried({ is: 'RETRY', at }, 'status 503');
export const RETRY_NOW = retryAt(new Date(0));

/** A delivery as it stands in the books. */
export interface DeliveryRow {
  readonly sequence: number;
  readonly id: string;
  readonly requestId: string;
  readonly eventType: WebhookEventType;
  readonly body: string;
  readonly status: string;
  readonly attempts: number;
  readonly failures: number;
  readonly nextAttemptAt: number | null;
  readonly leaseToken: string | null;
  readonly concludedAt: number | null;
}

export const deliveriesIn = (books: Books): DeliveryRow[] =>
  books.outside.all<DeliveryRow>('SELECT * FROM "WebhookDelivery" ORDER BY "sequence"');

export function deliveryOf(books: Books, { id }: { readonly id: string }): DeliveryRow {
  const row = books.outside.get<DeliveryRow>('SELECT * FROM "WebhookDelivery" WHERE "id" = ?', id);
  if (!row) throw new Error(`there is no delivery ${id}`);
  return row;
}

/** Types of the events, in order, from a place in the log on. */
export const eventTypesIn = (books: Books, after = 0): string[] =>
  books.outside
    .all<{ type: string }>('SELECT "type" FROM "SessionEvent" WHERE "sequence" > ? ORDER BY "sequence"', after)
    .map(({ type }) => type);

/** Writes an event into the log, and with it its webhook. */
export const tell = (
  books: Books,
  requestId: string = randomUUID(),
  type: SessionEventType = 'SESSION_INITIATED',
  occurredAt = new Date(),
): Promise<SessionEventRecord> =>
  books.writer.submit((transaction) => transaction.appendEvent(someEvent({ requestId, type, occurredAt })));

/** What the process that writes the books gets to send; fills up. */
export function hearIn(books: Books): ClaimedDelivery[] {
  const heard: ClaimedDelivery[] = [];
  books.outbox.onEnqueued((deliveries) => heard.push(...deliveries));
  return heard;
}

/** A clock that stands still until it is set on. It begins now: what is written without it has the time of the machine. */
export class FakeClock {
  #now = Date.now();
  readonly now = (): Date => new Date(this.#now);

  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Replays all of a range. @returns how many */
export async function replayAll({ outbox }: Books, range: ReplayRange, actor: Actor): Promise<number> {
  let replayed = 0;
  await outbox.replayAll(range, actor, (batch) => {
    replayed += batch;
  });
  return replayed;
}
