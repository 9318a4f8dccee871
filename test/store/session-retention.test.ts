import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { sessionRetention } from '../../src/store/expiry.js';
import { commitsInWal, openBooks, openSession } from './ledger.js';
import { addDeliveries, addSessions, DAY_MS, removals, sessionsIn } from './old-rows.js';

const RETENTION_MS = 30 * DAY_MS;

async function setUp(...sessions: Parameters<typeof addSessions>[1][]) {
  const books = await openBooks();
  const ids = await addSessions(books, ...sessions);
  return { books, ids, retention: sessionRetention(books.writer, books.db, RETENTION_MS) };
}

/** What a key also has, and nobody looks at here. */
const HELD = { inputHmac: 'hmac', leaseOwner: 'test', leaseUntil: 0, expiresAt: 9e12 };

describe('sessions that were kept for long enough', () => {
  it('are removed when they are over, by the time of their request, and others are not', async () => {
    const { books, ids, retention } = await setUp(
      { days: 31 },
      { days: 45, status: 'EXPIRED' },
      { days: 400, status: 'FAILED' },
      { days: 29 },
      { days: 30.01, status: 'FAILED' },
      { days: 29.99, status: 'FAILED' },
      { days: 0 },
    );
    expect(await retention.expireDue(10)).toBe(4);
    expect(sessionsIn(books)).toEqual([ids[5], ids[3], ids[6]].sort());
    expect(await retention.expireDue(10)).toBe(0);
  });

  it('stay while the wall clock says something else than the one that nobody can set', async () => {
    const { books, ids, retention } = await setUp({ days: 2 }, { days: 1 });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 400 * DAY_MS });
    onTestFinished(() => void vi.useRealTimers());
    expect(await retention.expireDue(10)).toBe(0);
    expect(sessionsIn(books)).toEqual(ids);
  });

  it('go in batches, the oldest first, a commit each, and with none when there is nothing to do', async () => {
    const { books, ids, retention } = await setUp(
      { days: 50, status: 'FAILED' },
      { days: 49 },
      { days: 48, status: 'EXPIRED' },
      { days: 47 },
      { days: 46 },
      { days: 1 },
    );
    const before = commitsInWal(books.path);
    expect(await retention.expireDue(2)).toBe(2);
    expect(sessionsIn(books)).toEqual(ids.slice(2));
    expect(await removals(retention, 2, 4)).toEqual([2, 1, 0, 0]);
    expect(sessionsIn(books)).toEqual(ids.slice(5));
    expect(commitsInWal(books.path)).toBe(before + 3);
  });

  it('are removed once where two sweeps meet', async () => {
    const { books, retention } = await setUp({ days: 50 }, { days: 49 }, { days: 48 });
    const other = sessionRetention(books.writer, books.db, RETENTION_MS);
    expect(await Promise.all([retention.expireDue(2), other.expireDue(2)])).toEqual([2, 0]);
    expect(await Promise.all([retention.expireDue(2), other.expireDue(2)])).toEqual([1, 0]);
    expect(sessionsIn(books)).toEqual([]);
  });

  it('leave the audit trail, the events and the metrics as they are', async () => {
    const { books, retention } = await setUp();
    const { attempt } = await openSession(books);
    await books.sessions.end(attempt.requestId, {
      actor: { name: 'tester', role: 'BACKEND', sourceAddress: null },
      reason: null,
      endedUpstream: true,
    });
    const tables = ['AuditEntry', 'SessionEvent', 'MetricBucket', 'GuestKey'];
    const rows = () => tables.map((table) => books.outside.all(`SELECT * FROM "${table}"`));
    const before = rows();
    const soon = sessionRetention(books.writer, books.db, -1_000);
    expect(await soon.expireDue(10)).toBe(0); // its webhook is under way
    books.db.run(`UPDATE "WebhookDelivery" SET "status" = 'DELIVERED', "nextAttemptAt" = NULL`);
    expect([await retention.expireDue(10), await soon.expireDue(10)]).toEqual([0, 1]);
    expect(sessionsIn(books)).toEqual([]);
    expect(rows()).toEqual(before);
    expect(before.map(({ length }) => length)).toEqual([2, 3, 1, 1]);
  });
});

describe('a session is kept, however old,', () => {
  it.each(['PENDING', 'ACTIVE', 'UNKNOWN'] as const)('while it is %s, and keeps none behind it', async (status) => {
    const { books, ids, retention } = await setUp(
      { days: 400, status },
      { days: 399 },
      { days: 50, status, reconcileAt: new Date() },
      { days: 40 },
    );
    expect(await retention.expireDue(10)).toBe(2);
    expect(sessionsIn(books)).toEqual([ids[0], ids[2]]);
    books.db.run(`UPDATE "GuestSession" SET "status" = 'ENDED'`);
    expect(await retention.expireDue(10)).toBe(1);
    expect(sessionsIn(books)).toEqual([ids[2]]);
  });

  it('while CXone has to be asked about it', async () => {
    const { books, ids, retention } = await setUp(
      { days: 50, status: 'FAILED', reconcileAt: new Date() },
      { days: 40 },
    );
    expect(await retention.expireDue(10)).toBe(1);
    expect(sessionsIn(books)).toEqual([ids[0]]);
    books.db.run('UPDATE "GuestSession" SET "reconcileAt" = NULL');
    expect(await retention.expireDue(10)).toBe(1);
  });

  it('until all its webhooks are concluded', async () => {
    const { books, ids, retention } = await setUp({ days: 50 }, { days: 40 });
    await addDeliveries(
      books,
      { days: 50, requestId: ids[0]! },
      { days: 50, requestId: ids[0]!, status: 'DEAD' },
      { days: 1, requestId: ids[0]!, status: 'PENDING' },
      { days: 1, requestId: ids[1]!, status: 'DEAD' },
    );
    expect(await retention.expireDue(10)).toBe(1);
    expect(sessionsIn(books)).toEqual([ids[0]]);
    books.db.run(`UPDATE "WebhookDelivery" SET "status" = 'DEAD'`);
    expect(await retention.expireDue(10)).toBe(1);
  });

  it.each(['requestId', 'unsettledRequestId'])('while an idempotency key names it as its %s', async (column) => {
    const { books, ids, retention } = await setUp({ days: 50, idempotencyKey: 'k' }, { days: 40, idempotencyKey: 'k' });
    const key = {
      callerName: 'tester',
      key: 'k',
      state: 'SUCCEEDED',
      requestId: 'another',
      ...HELD,
      [column]: ids[0]!,
    };
    const names = Object.keys(key).map((name) => `"${name}"`);
    books.db.run(
      `INSERT INTO "IdempotencyKey" (${names}) VALUES (${names.map(() => '?')})`,
      ...Object.values<string | number>(key),
    );
    expect(await retention.expireDue(10)).toBe(1);
    expect(sessionsIn(books)).toEqual([ids[0]]);
    books.db.run('DELETE FROM "IdempotencyKey"');
    expect(await retention.expireDue(10)).toBe(1);
  });

  it('when it is needed again between the look and the removal', async () => {
    const { books, ids, retention } = await setUp({ days: 50 }, { days: 40 });
    await addDeliveries(books, { days: 50, requestId: ids[0]!, status: 'DEAD' });
    const replay = books.writer.submit(({ db }) => db.run(`UPDATE "WebhookDelivery" SET "status" = 'PENDING'`));
    expect(await retention.expireDue(10)).toBe(1);
    await replay;
    expect(sessionsIn(books)).toEqual([ids[0]]);
  });
});

describe('where thousands of old sessions are kept', () => {
  const KEPT = 2_500;
  const many = <T>(count: number, one: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => one(i));

  it('open ones are not even looked at', async () => {
    const { books, retention } = await setUp(...many(KEPT, () => ({ days: 400, status: 'ACTIVE' as const })), {
      days: 31,
    });
    expect(await retention.expireDue(10)).toBe(1);
    expect(books.count('GuestSession')).toBe(KEPT);
  });

  it('each turn looks at a thousand that wait for webhooks, and the next goes on behind them, round and round', async () => {
    const { books, ids, retention } = await setUp(
      ...many(KEPT, (i) => ({ days: 400 - i / KEPT })),
      ...many(3, () => ({ days: 31 })),
    );
    const waiting = ids.slice(0, KEPT);
    await addDeliveries(books, ...waiting.map((requestId) => ({ days: 1, requestId, status: 'PENDING' as const })));
    const looked: number[] = [];
    const { all } = books.db;
    books.db.all = <Row>(sql: string, ...values: Parameters<typeof all>[1][]): Row[] => {
      const rows = all.call(books.db, sql, ...values) as Row[];
      if (sql.includes('isRemovable')) looked.push(rows.length);
      return rows;
    };
    expect(await removals(retention, 2, 4)).toEqual([0, 0, 2, 1]);
    expect(await removals(retention, 2, 3)).toEqual([0, 0, 0]);
    expect(looked).toEqual([1_000, 1_000, 503, 1, 1_000, 1_000, 500]);
    expect(sessionsIn(books)).toEqual(waiting);

    // One of the first is removed in the next lap; those that grow old meanwhile, too.
    books.db.run(`UPDATE "WebhookDelivery" SET "status" = 'DEAD' WHERE "requestId" = ?`, waiting[7]!);
    await addSessions(books, { days: 31 });
    expect(await removals(retention, 2, 3)).toEqual([1, 0, 1]);
    expect(sessionsIn(books)).toEqual(waiting.filter((id) => id !== waiting[7]));
  });

  it('the oldest are tried again in the next lap also where they could not be removed', async () => {
    const { books, retention } = await setUp({ days: 40 }, { days: 39 });
    books.db.exec(`CREATE TRIGGER "full" BEFORE DELETE ON "GuestSession" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await expect(retention.expireDue(1)).rejects.toThrow('no more');
    books.db.exec('DROP TRIGGER "full"');
    expect(await removals(retention, 1, 3)).toEqual([1, 1, 0]);
  });
});
