import { describe, expect, it } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import type { ClaimedDelivery } from '../../src/store/delivery-queue.js';
import type { LedgerTransaction } from '../../src/store/ledger-transaction.js';
import { DEAD, DELIVERED, eventTypesIn, RETRY_NOW, retryAt } from './deliveries.js';
import { type Books, commitsInWal, openBooks, openSession, RULES, someEvent } from './ledger.js';

/** Books in which one session was opened, and its delivery as the process that opened it got it. */
async function oneDelivery() {
  const books = await openBooks();
  const enqueued: ClaimedDelivery[] = [];
  books.outbox.onEnqueued((deliveries) => enqueued.push(...deliveries));
  const { attempt } = await openSession(books);
  return { books, delivery: enqueued[0]!, requestId: attempt.requestId };
}

const deliveryIn = (books: Books) => books.outside.get<Record<string, unknown>>('SELECT * FROM "WebhookDelivery"');
const makeDue = (books: Books) => books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = 0');
const crmSyncIn = (books: Books) =>
  books.outside.get<{ crmSync: string }>('SELECT "crmSync" FROM "GuestSession"')?.crmSync;

describe('a new delivery', () => {
  it('is claimed already by the process that wrote it, and due again when that falls silent', async () => {
    const { books, delivery, requestId } = await oneDelivery();
    expect(deliveryIn(books)).toMatchObject({
      id: delivery.id,
      requestId,
      body: delivery.body,
      status: 'PENDING',
      attempts: 0,
      leaseToken: delivery.leaseToken,
      nextAttemptAt: delivery.leasedUntil.getTime(),
    });
    expect(delivery.leasedUntil.getTime()).toBeGreaterThan(Date.now() + 20_000);
    expect(await books.outbox.claimDue(10)).toEqual([]);
    makeDue(books);
    expect(await books.outbox.claimDue(10)).toMatchObject([{ id: delivery.id, body: delivery.body, attempts: 0 }]);
  });

  it('is heard of after its commit, together with the others of its group', async () => {
    const books = await openBooks();
    const heard: [inMessage: number, committed: number][] = [];
    books.outbox.onEnqueued((deliveries) => heard.push([deliveries.length, books.count('WebhookDelivery')]));
    await Promise.all(Array.from({ length: 10 }, () => openSession(books)));
    expect(heard.at(-1)?.[1]).toBe(10);
    expect(heard.reduce((sum, [n]) => sum + n, 0)).toBe(10);
    for (const [, committed] of heard) expect(committed).toBeGreaterThan(0);
  });
});

describe('claiming', () => {
  it('takes the longest waiting first, no more than asked for, and each only once', async () => {
    const books = await openBooks();
    for (let i = 0; i < 5; i++) await openSession(books);
    const ids = books.outside.all<{ id: string }>('SELECT "id" FROM "WebhookDelivery"').map(({ id }) => id);
    ids.forEach((id, i) => {
      books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = ? WHERE "id" = ?', 1_000 - i, id);
    });
    const [first, second] = await Promise.all([books.outbox.claimDue(2), books.outbox.claimDue(10)]);
    expect(first.map(({ id }) => id)).toEqual([ids[4], ids[3]]);
    expect(second.map(({ id }) => id)).toEqual([ids[2], ids[1], ids[0]]);
    expect(await books.outbox.claimDue(10)).toEqual([]);
  });

  it('commits nothing when there is nothing due', async () => {
    const { books } = await oneDelivery();
    const before = commitsInWal(books.path);
    expect(await books.outbox.claimDue(10)).toEqual([]);
    expect(commitsInWal(books.path)).toBe(before);
  });

  it('leaves alone what is delivered or dead', async () => {
    const { books, delivery } = await oneDelivery();
    await books.outbox.record(delivery, DEAD);
    makeDue(books);
    expect(await books.outbox.claimDue(10)).toEqual([]);
  });
});

describe('a worker whose delivery another has taken over', () => {
  it('cannot write down how its own try went', async () => {
    const { books, delivery: stale } = await oneDelivery();
    makeDue(books);
    const [fresh] = await books.outbox.claimDue(1);
    const before = deliveryIn(books);
    expect(await books.outbox.record(stale, DELIVERED)).toBeNull();
    expect(deliveryIn(books)).toEqual(before);
    expect([books.count('WebhookAttempt'), crmSyncIn(books)]).toEqual([0, 'PENDING']);
    expect(await books.outbox.record(fresh!, DELIVERED)).not.toBeNull();
    expect(await books.outbox.record(stale, DEAD)).toBeNull();
    expect([books.count('WebhookAttempt'), crmSyncIn(books)]).toEqual([1, 'DELIVERED']);
  });

  it('cannot give it back either', async () => {
    const { books, delivery: stale } = await oneDelivery();
    makeDue(books);
    await books.outbox.claimDue(1);
    await books.outbox.release(stale);
    expect(await books.outbox.claimDue(1)).toEqual([]);
  });

  it('cannot write down one try twice', async () => {
    const { books, delivery } = await oneDelivery();
    const outcomes = await Promise.all([books.outbox.record(delivery, DEAD), books.outbox.record(delivery, DELIVERED)]);
    expect(outcomes).toEqual([{ endpoint: null }, null]);
    expect(eventTypesIn(books)).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNC_FAILED']);
  });
});

describe('what a process has left behind', () => {
  it('is due at once after a restart, untried and with the same body', async () => {
    const { books, delivery } = await oneDelivery();
    expect(await books.outbox.releaseAbandoned()).toBe(1);
    expect(await books.outbox.claimDue(10)).toMatchObject([{ id: delivery.id, body: delivery.body, attempts: 0 }]);
    expect(await books.outbox.record(delivery, DELIVERED)).toBeNull();
  });

  it('does not make retries due earlier that wait for their time, nor wake the dead', async () => {
    const { books, delivery } = await oneDelivery();
    await books.outbox.record(delivery, retryAt(new Date(Date.now() + 60_000)));
    await openSession(books);
    const second = books.outside.get<ClaimedDelivery>('SELECT * FROM "WebhookDelivery" WHERE "id" <> ?', delivery.id)!;
    await books.outbox.record(second, DEAD);
    expect(await books.outbox.releaseAbandoned()).toBe(0);
    expect(await books.outbox.claimDue(10)).toEqual([]);
  });
});

describe('what is due later than anything can be', () => {
  it('is due at once after a restart: the clock was wrong', async () => {
    const { books, delivery } = await oneDelivery();
    const at = new Date(Date.now() + 2 * RULES.longestWaitMs);
    await books.outbox.record(delivery, retryAt(at));
    expect(await books.outbox.releaseAbandoned()).toBe(1);
    expect(await books.outbox.claimDue(10)).toHaveLength(1);
  });
});

describe('giving a delivery back', () => {
  it('makes it due at once, untried', async () => {
    const { books, delivery } = await oneDelivery();
    await books.outbox.release(delivery);
    expect(deliveryIn(books)).toMatchObject({ leaseToken: null, attempts: 0, status: 'PENDING' });
    expect(await books.outbox.claimDue(10)).toHaveLength(1);
  });
});

describe('a try', () => {
  it('that failed is kept, and is due again at its time', async () => {
    const { books, delivery } = await oneDelivery();
    const at = new Date(Date.now() + 60_000);
    expect(await books.outbox.record(delivery, retryAt(at))).not.toBeNull();
    expect(deliveryIn(books)).toMatchObject({
      status: 'PENDING',
      attempts: 1,
      leaseToken: null,
      nextAttemptAt: at.getTime(),
      lastError: 'status 503',
      concludedAt: null,
    });
    expect(books.outside.all('SELECT * FROM "WebhookAttempt"')).toMatchObject([
      { deliveryId: delivery.id, number: 1, statusCode: 503, error: 'status 503', durationMs: 12.5 },
    ]);
    expect([crmSyncIn(books), eventTypesIn(books).length, books.count('AuditEntry')]).toEqual(['PENDING', 2, 1]);
  });

  it('that succeeded concludes the matter: session, event, audit entry and metrics in one commit', async () => {
    const { books, delivery, requestId } = await oneDelivery();
    await books.outbox.record(delivery, RETRY_NOW);
    const [again] = await books.outbox.claimDue(1);
    expect(again).toMatchObject({ attempts: 1 });
    const before = commitsInWal(books.path);
    await books.outbox.record(again!, DELIVERED);
    expect(commitsInWal(books.path)).toBe(before + 1);
    expect(deliveryIn(books)).toMatchObject({ status: 'DELIVERED', attempts: 2, lastError: null, leaseToken: null });
    expect(deliveryIn(books)?.concludedAt).toBeGreaterThan(0);
    expect(books.outside.all('SELECT "number", "error" FROM "WebhookAttempt"')).toEqual([
      { number: 1, error: 'status 503' },
      { number: 2, error: null },
    ]);
    expect(crmSyncIn(books)).toBe('DELIVERED');
    const session = books.outside.get<Record<string, unknown>>('SELECT * FROM "GuestSession"')!;
    expect(books.outside.get('SELECT * FROM "SessionEvent" WHERE "sequence" = 3')).toMatchObject({
      type: 'SESSION_CRM_SYNCED',
      requestId,
      guestId: session.guestId,
      crmId: session.crmId,
      sessionId: session.sessionId,
      channel: session.channel,
      status: 'ACTIVE',
      expiresAt: session.expiresAt,
      reason: null,
    });
    expect(books.outside.get('SELECT * FROM "AuditEntry" WHERE "sequence" = 2')).toMatchObject({
      kind: 'CRM_SYNC',
      status: 'SUCCESS',
      requestId,
      crmSynced: 1,
      sessionId: session.sessionId,
    });
    expect(
      JSON.parse(books.outside.get<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket"')!.buckets).crm,
    ).toEqual({
      delivered: 1,
      dead: 0,
    });
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 2 });
  });

  it('that was the last leaves the delivery dead and the session’s sync failed', async () => {
    const { books, delivery, requestId } = await oneDelivery();
    await books.outbox.record(delivery, DEAD);
    expect(deliveryIn(books)).toMatchObject({
      status: 'DEAD',
      attempts: 1,
      lastError: 'status 503',
      concludedAt: expect.any(Number),
    });
    expect(crmSyncIn(books)).toBe('FAILED');
    expect(eventTypesIn(books).at(-1)).toBe('SESSION_CRM_SYNC_FAILED');
    expect(books.outside.get('SELECT * FROM "SessionEvent" WHERE "sequence" = 3')).toMatchObject({
      reason: 'status 503',
      requestId,
    });
    expect(books.outside.get('SELECT * FROM "AuditEntry" WHERE "sequence" = 2')).toMatchObject({
      kind: 'CRM_SYNC',
      status: 'FAILED',
      reason: 'status 503',
      crmSynced: 0,
    });
  });

  it('that cannot be written down leaves the delivery as it was', async () => {
    const { books, delivery } = await oneDelivery();
    const before = deliveryIn(books);
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "SessionEvent" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await expect(books.outbox.record(delivery, DELIVERED)).rejects.toThrow('no more');
    expect(deliveryIn(books)).toEqual(before);
    expect([books.count('WebhookAttempt'), crmSyncIn(books)]).toEqual([0, 'PENDING']);
  });

  it('is written down also where the session is gone', async () => {
    const books = await openBooks();
    const enqueue = (transaction: LedgerTransaction) => {
      transaction.appendEvent(someEvent({ type: 'SESSION_INITIATED' }));
      return transaction.deliveries.at(-1)!;
    };
    const delivery = await books.writer.submit(enqueue);
    expect(await books.outbox.record(delivery, DELIVERED)).not.toBeNull();
    expect(eventTypesIn(books)).toEqual(['SESSION_INITIATED', 'SESSION_CRM_SYNCED']);
  });
});
