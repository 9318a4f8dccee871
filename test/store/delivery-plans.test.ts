import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DeliveryReader } from '../../src/store/delivery-reader.js';
import { eventExpiry } from '../../src/store/expiry.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { DELIVERED, GONE, replayAll, retryAt, tell } from './deliveries.js';
import { type Books, openBooks, TESTER } from './ledger.js';
import { plansOf, type QueryPlan } from './plans.js';

const BY_ID = 'WebhookDelivery_id_key (id=?)';
const BY_REQUEST = 'WebhookDelivery_requestId_idx (requestId=?)';
const BY_TIME_DUE = 'WebhookDelivery_nextAttemptAt_idx (nextAttemptAt';
const BY_STATUS = 'WebhookDelivery_eventType_status_createdAt_idx (eventType=? AND status=?';
const BY_SEQUENCE = 'USING INTEGER PRIMARY KEY (rowid';

/** A server's outbox after a while: 3,000 webhooks, nearly all of which are over and done with. */
async function busyBooks(): Promise<Books> {
  const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'] });
  // By a connection of its own: the writer sees that somebody has written, and looks where the log ends.
  const other = new SqliteConnection(books.path);
  other.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId")
      SELECT i, 'event-' || i, iif(i % 2, 'SESSION_INITIATED', 'SESSION_ENDED'), i, 'request-' || (i / 2) FROM n;
    INSERT INTO "WebhookDelivery" ("sequence", "id", "requestId", "eventType", "body", "status", "createdAt", "nextAttemptAt", "concludedAt")
      SELECT "sequence", "id", "requestId", "type", '{}', CASE "sequence" % 50 WHEN 0 THEN 'DEAD' WHEN 1 THEN 'PENDING' ELSE 'DELIVERED' END,
        "occurredAt", iif("sequence" % 50 = 1, "sequence", NULL), iif("sequence" % 50 = 1, NULL, "sequence") FROM "SessionEvent";`);
  other.close();
  await books.writer.submit(() => undefined);
  return books;
}

/** A row or two are read as they stand, and what was found before; of the tables that grow nothing is. */
const isSmall = (step: string): boolean =>
  /^SCAN (SessionEventLog|WebhookEndpoint|CONSTANT ROW|\(subquery-\d+\))/.test(step);

function expectIndexed(plans: readonly QueryPlan[], searches: readonly string[]): void {
  for (const { sql, plan } of plans) {
    const faults = plan.filter((step) => step.startsWith('SCAN') && !isSmall(step));
    expect({ sql, plan, faults }).toEqual({ sql, plan, faults: [] });
  }
  const steps = plans.flatMap(({ plan }) => plan).join('; ');
  for (const search of searches) expect(steps).toContain(search);
}

async function claimOne(books: Books) {
  await books.outbox.releaseAbandoned();
  const [delivery] = await books.outbox.claimDue(1);
  return delivery!;
}

const disable = async (books: Books) => void (await books.outbox.record(await claimOne(books), GONE));

describe('among 3,000 webhooks SQLite scans nothing', () => {
  it.each<[what: string, work: (books: Books) => Promise<unknown>, searches: string[]]>([
    ['to claim those that are due', (books) => books.outbox.claimDue(5), [BY_TIME_DUE, BY_REQUEST, BY_SEQUENCE]],
    ['to queue a new one', (books) => tell(books), [BY_REQUEST]],
    ['to queue the next one', async (books) => books.outbox.record(await claimOne(books), DELIVERED), [BY_REQUEST]],
    [
      'to try one again',
      async (books) => books.outbox.record(await claimOne(books), retryAt(new Date())),
      [BY_SEQUENCE],
    ],
    ['to give one back', async (books) => books.outbox.release(await claimOne(books)), [BY_SEQUENCE]],
    ['to release what is abandoned', (books) => books.outbox.releaseAbandoned(), [BY_TIME_DUE]],
    [
      'to bury what waits',
      async (books) => {
        await disable(books);
        expect(await books.outbox.bury(20)).toBe(20);
      },
      [BY_TIME_DUE, BY_REQUEST],
    ],
    ['to replay one', (books) => books.outbox.replay('event-7', TESTER), [BY_ID, BY_REQUEST, BY_SEQUENCE]],
    [
      'to replay many',
      async (books) => {
        const range = { status: 'DEAD', since: new Date(100), until: new Date(2_000) } as const;
        expect(await replayAll(books, range, TESTER)).toBeGreaterThan(30);
      },
      [`${BY_STATUS} AND (createdAt,rowid)>(?,?) AND (createdAt,rowid)<(?,?))`, BY_REQUEST],
    ],
    [
      'to resume the endpoint',
      async (books) => {
        await disable(books);
        expect(await books.outbox.resumeEndpoint(TESTER)).toBe(1);
      },
      [BY_STATUS, BY_REQUEST],
    ],
    [
      'to remove old events',
      async (books) => {
        expect(await eventExpiry(books.writer, books.db, Date.now() - 1_000).expireDue(50)).toBe(50);
      },
      [
        'SessionEvent USING INTEGER PRIMARY KEY (rowid=?)',
        'SessionEvent USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)',
      ],
    ],
  ])('%s', async (_, work, searches) => {
    const books = await busyBooks();
    expectIndexed(await plansOf(books.db, () => work(books)), searches);
  });

  it('for a page of them, whatever the filter', async () => {
    const books = await busyBooks();
    const reader = new DeliveryReader(books);
    const range = { from: new Date(100), to: new Date(2_000) };
    const position = { createdAt: new Date(1_500), sequence: 1_500 };
    for (const own of [
      {},
      { status: 'PENDING' },
      { eventType: 'SESSION_ENDED' },
      { status: 'DEAD', eventType: 'SESSION_ENDED' },
    ] as const) {
      for (const time of [{}, range]) {
        for (const after of [null, position]) {
          const filter = { ...own, ...time };
          expectIndexed(await plansOf(books.db, () => reader.page(filter, 20, after)), [BY_STATUS]);
          const requestId = randomUUID();
          expectIndexed(await plansOf(books.db, () => reader.page({ ...filter, requestId }, 20, after)), [BY_REQUEST]);
          const sessionId = 'cxs';
          expectIndexed(await plansOf(books.db, () => reader.page({ ...filter, sessionId }, 20, after)), [
            BY_REQUEST,
            'GuestSession_sessionId_idx (sessionId=?)',
          ]);
        }
      }
    }
    expectIndexed(await plansOf(books.db, () => reader.byId('event-7')), [BY_ID]);
  });
});
