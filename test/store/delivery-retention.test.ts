import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { deliveryRetention } from '../../src/store/expiry.js';
import { DEAD, DELIVERED, deliveriesIn, hearIn, tell } from './deliveries.js';
import { type Books, commitsInWal, openBooks, TESTER } from './ledger.js';
import { addDeliveries, DAY_MS, daysAgo, removals } from './old-rows.js';

const RETENTION_MS = 30 * DAY_MS;

async function setUp(...deliveries: Parameters<typeof addDeliveries>[1][]) {
  const books = await openBooks();
  await addDeliveries(books, ...deliveries);
  return { books, retention: deliveryRetention(books.writer, books.db, RETENTION_MS) };
}

const sequencesIn = (books: Books): number[] => deliveriesIn(books).map(({ sequence }) => sequence);
const triesIn = (books: Books): string[] =>
  books.outside
    .all<{ deliveryId: string }>('SELECT DISTINCT "deliveryId" FROM "WebhookAttempt" ORDER BY "deliveryId"')
    .map(({ deliveryId }) => deliveryId);

/** The endpoint stands like this. */
const setEndpoint = (books: Books, status: 'ACTIVE' | 'DISABLED', reviveSince: Date | null): void =>
  void books.db.run(
    'UPDATE "WebhookEndpoint" SET "status" = ?, "disabledAt" = ?, "reviveSince" = ?',
    status,
    status === 'DISABLED' ? daysAgo(50) : null,
    reviveSince,
  );

describe('webhooks that were kept for long enough', () => {
  it('are removed with their tries when they are concluded, whatever they tell of, and others are not', async () => {
    const { books, retention } = await setUp(
      { days: 31 },
      { days: 400, status: 'DEAD', eventType: 'SESSION_ENDED' },
      { days: 400, status: 'PENDING' },
      { days: 29 },
      { days: 40, eventType: 'SESSION_RECONCILED' },
      { days: 29.99, status: 'DEAD' },
      { days: 31, concludedDays: 2 },
    );
    expect(await retention.expireDue(10)).toBe(4);
    expect(sequencesIn(books)).toEqual([3, 4, 6]);
    expect(triesIn(books)).toEqual(['delivery-3', 'delivery-4', 'delivery-6']);
    expect(books.count('WebhookAttempt')).toBe(6);
    expect(await retention.expireDue(10)).toBe(0);
  });

  it('stay while the wall clock says something else than the one that nobody can set', async () => {
    const { books, retention } = await setUp({ days: 2 });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 400 * DAY_MS });
    onTestFinished(() => void vi.useRealTimers());
    expect(await retention.expireDue(10)).toBe(0);
    expect(sequencesIn(books)).toEqual([1]);
  });

  it('go in batches, a commit each, and with none when there is nothing to do', async () => {
    const { books, retention } = await setUp(
      { days: 50 },
      { days: 49, status: 'DEAD' },
      { days: 48 },
      { days: 47, status: 'DEAD' },
      { days: 46, eventType: 'SESSION_ENDED' },
      { days: 1 },
    );
    const before = commitsInWal(books.path);
    expect(await removals(retention, 2, 5)).toEqual([2, 2, 1, 0, 0]);
    expect(sequencesIn(books)).toEqual([6]);
    expect(commitsInWal(books.path)).toBe(before + 3);
  });

  it('are removed once where two sweeps meet', async () => {
    const { books, retention } = await setUp({ days: 50 }, { days: 49 }, { days: 48 });
    expect(await Promise.all([retention.expireDue(2), retention.expireDue(2)])).toEqual([2, 1]);
    expect(sequencesIn(books)).toEqual([]);
  });

  it('let the next of their session have its turn, as before', async () => {
    const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED', 'SESSION_EXPIRED'] });
    const heard = hearIn(books);
    await tell(books, 'request', 'SESSION_INITIATED', daysAgo(50));
    await tell(books, 'request', 'SESSION_ENDED', daysAgo(49));
    await tell(books, 'request', 'SESSION_EXPIRED', daysAgo(48));
    const retention = deliveryRetention(books.writer, books.db, RETENTION_MS);
    expect(await retention.expireDue(10)).toBe(0); // the first is being tried, the others wait
    for (const [turn, conclusion] of [DELIVERED, DEAD, DELIVERED].entries()) {
      const delivery = heard[turn]!;
      expect(delivery.id).toBe(deliveriesIn(books)[0]?.id);
      await books.outbox.record(delivery, conclusion);
      expect(await retention.expireDue(10)).toBe(1);
    }
    expect(deliveriesIn(books)).toEqual([]);
  });
});

describe('a webhook that was removed', () => {
  it('cannot be replayed, and one that is replayed in time is kept until it is concluded again', async () => {
    const { books, retention } = await setUp({ days: 50 }, { days: 49, status: 'DEAD' });
    expect(await books.outbox.replay('delivery-2', TESTER)).toBe(true);
    expect(await retention.expireDue(10)).toBe(1);
    expect(await books.outbox.replay('delivery-1', TESTER)).toBe(false);
    expect(deliveriesIn(books)).toMatchObject([{ id: 'delivery-2', status: 'PENDING' }]);
    await books.outbox.record((await books.outbox.claimDue(1))[0]!, DELIVERED);
    expect(await retention.expireDue(10)).toBe(1);
  });

  it('leaves no trace of a session that is gone as well but its audit entries', async () => {
    const { books } = await setUp({ days: 20, requestId: 'a session that is gone' });
    await books.outbox.replay('delivery-1', TESTER);
    await books.outbox.record((await books.outbox.claimDue(1))[0]!, DEAD);
    expect(books.outside.all('SELECT "requestId", "kind", "guestId" FROM "AuditEntry" ORDER BY "sequence"')).toEqual([
      { requestId: 'a session that is gone', kind: 'WEBHOOK_REPLAYED', guestId: null },
      { requestId: 'a session that is gone', kind: 'CRM_SYNC', guestId: null },
    ]);
  });
});

describe('what has died for an endpoint that was disabled', () => {
  it('is not removed while it is being brought back', async () => {
    const { books, retention } = await setUp(
      { days: 45, status: 'DEAD', concludedDays: 1 },
      { days: 44 },
      { days: 43, status: 'DEAD', concludedDays: 42 },
    );
    setEndpoint(books, 'ACTIVE', daysAgo(2));
    expect(await retention.expireDue(10)).toBe(1);
    expect(sequencesIn(books)).toEqual([1, 3]);
    expect(await books.outbox.revive()).toBe(1);
    expect(await retention.expireDue(10)).toBe(1);
    expect(deliveriesIn(books)).toMatchObject([{ sequence: 1, status: 'PENDING' }]);
  });

  it('is kept no longer than other webhooks while nobody resumes it', async () => {
    const { books, retention } = await setUp({ days: 45, status: 'DEAD' }, { days: 29, status: 'DEAD' });
    setEndpoint(books, 'DISABLED', daysAgo(50));
    expect(await retention.expireDue(10)).toBe(1);
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(1);
    expect(deliveriesIn(books)).toMatchObject([{ sequence: 2, status: 'PENDING' }]);
  });
});
