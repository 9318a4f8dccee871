import { randomUUID } from 'node:crypto';
import type { SqlDriverAdapter, SqlQuery } from '@prisma/driver-adapter-utils';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import type { GuestId, GuestSessionRecord } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import { keyExpiry, sessionExpiry } from '../../src/store/expiry.js';
import { SqliteIntentLedger } from '../../src/store/intent-ledger.js';
import { MetricsReader } from '../../src/store/metrics-reader.js';
import { PrismaSqliteReader } from '../../src/store/prisma-sqlite-adapter.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { TokenCipher } from '../../src/store/token-cipher.js';
import { attemptFor, type Books, openBooks, openSession, someAudit, someEvent, TESTER } from './ledger.js';
import { plansOf, type QueryPlan } from './plans.js';

/** A reader whose SQL is heard, as Prisma has it. */
class Listening extends PrismaSqliteReader {
  readonly queries: SqlQuery[] = [];
  explain!: (query: SqlQuery) => Promise<{ sql: string; plan: string[] }>;

  override async connect(): Promise<SqlDriverAdapter> {
    const adapter = await super.connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    this.explain = async ({ sql, ...query }) => {
      const { rows } = await queryRaw({ ...query, sql: `EXPLAIN QUERY PLAN ${sql}` });
      return { sql, plan: rows.map((row) => String(row[3])) };
    };
    adapter.queryRaw = (query) => {
      this.queries.push(query);
      return queryRaw(query);
    };
    return adapter;
  }

  /** How SQLite goes about each query so far. */
  plans(): Promise<{ sql: string; plan: string[] }[]> {
    return Promise.all(this.queries.splice(0).map((query) => this.explain(query)));
  }
}

async function listen(books: Books) {
  const reader = new Listening(books.path);
  const prisma = new PrismaClient({ adapter: reader });
  await prisma.$connect();
  onTestFinished(() => prisma.$disconnect());
  return { reader, prisma };
}

/** What a server has after a while, counted by SQLite: nearly all of it is over and done with. */
async function fill(books: Books): Promise<void> {
  await Promise.all(Array.from({ length: 400 }, () => openSession(books)));
  await books.writer.submit(({ db }) => {
    db.run(`UPDATE "GuestSession" SET "status" = 'EXPIRED' WHERE rowid % 10 > 0`);
    db.run(`UPDATE "GuestSession" SET "status" = 'FAILED' WHERE rowid % 10 = 1`);
    db.run(`UPDATE "WebhookDelivery" SET "status" = 'DELIVERED' WHERE rowid % 10 > 0`);
    db.run(`UPDATE "WebhookDelivery" SET "status" = 'DEAD' WHERE rowid % 10 = 1`);
  });
  await books.writer.submit((transaction) => {
    for (let i = 0; i < 500; i++) {
      const guestId = `guest-${i % 9}`;
      transaction.appendEvent(someEvent({ guestId, type: i % 2 ? 'SESSION_EXPIRED' : 'SESSION_FAILED' }));
      transaction.appendAudit(someAudit({ guestId, kind: i % 2 ? 'CRM_SYNC' : 'SESSION_EXPIRED' }));
    }
  });
}

/** All subsets of some conditions, each merged to one. */
const subsets = <T extends object>(...parts: T[]): Partial<T>[] =>
  parts.reduce<Partial<T>[]>((all, part) => all.flatMap((one) => [one, { ...one, ...part }]), [{}]);

const RANGE = { from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 60_000) };

/** `SCAN` is what SQLite says of reading everything, but also of walking along an index, or a rowid, in the order of the list. */
const isWalk = (step: string, sql: string): boolean =>
  /USING (COVERING )?INDEX/.test(step) || (sql.includes('WHERE 1=1') && sql.includes('LIMIT'));
const isCount = (step: string): boolean => step === 'SCAN sub'; // over what a search has found

/** @param columns conditions on columns that have an index: one of them has to be searched for in it */
async function expectIndexed(reader: Listening, context: object, columns: readonly string[] = []): Promise<void> {
  const plans = await reader.plans();
  expect(plans.length).toBeGreaterThan(0);
  for (const { sql, plan } of plans) {
    const faults = plan.filter(
      (step) => step.includes('TEMP B-TREE') || (step.startsWith('SCAN') && !isCount(step) && !isWalk(step, sql)),
    );
    const isSearched =
      columns.length === 0 ||
      sql.includes('SessionEventLog') || // one row
      columns.some((column) => plan.join().includes(`${column}=?`));
    if (!isSearched && !sql.includes('WHERE 1=1')) faults.push(`none of ${columns} is searched for`);
    expect({ context, sql, plan, faults }).toEqual({ context, sql, plan, faults: [] });
  }
}

/** The column of a filter that selects the fewest rows: that one has to be searched for, and no other. */
function columnsOf(filter: object): string[] {
  const best = ['requestId', 'guestId', 'crmId', 'types', 'kind', 'status'].find((name) => name in filter);
  return best === undefined ? [] : [best === 'types' ? 'type' : best];
}

describe.each([
  ['that is new', async () => undefined],
  // Never with statistics: told that a type is one in three, SQLite walks the whole log for one that is one in a million.
  ['that is full', fill],
])('in a database %s, SQLite sorts nothing and scans nothing', (_, prepare) => {
  const ready = async () => {
    const books = await openBooks();
    await prepare(books);
    books.vault.keyFor('g');
    return { books, ...(await listen(books)) };
  };

  it('for a page of sessions, whatever the filter', async () => {
    const { reader, prisma, books } = await ready();
    const sessions = new SessionReader({ ...books, prisma });
    const filters = subsets<object>({ guestId: 'g' }, { crmId: 'c' }, { status: 'ACTIVE' }, RANGE);
    for (const filter of filters) {
      for (const after of [null, randomUUID()]) {
        await sessions.page(filter, 20, after);
        await expectIndexed(reader, { filter, after }, columnsOf(filter));
      }
    }
  });

  it('for a page of audit entries, whatever the filter', async () => {
    const { reader, prisma, books } = await ready();
    const audits = new AuditReader({ ...books, prisma });
    const filters = subsets<object>(
      { guestId: 'g' },
      { requestId: 'r' },
      { status: 'FAILED' },
      { kind: 'CRM_SYNC' },
      RANGE,
    );
    for (const filter of filters) {
      for (const after of [null, { timestamp: new Date(), sequence: 7 }]) {
        await audits.page(filter, 20, after);
        await expectIndexed(reader, { filter, after }, columnsOf(filter));
      }
    }
  });

  it('for a page of events, whatever the filter', async () => {
    const { reader, prisma, books } = await ready();
    const events = new EventReader({ ...books, prisma });
    for (const filter of subsets<object>({ guestId: 'g' }, { types: ['SESSION_INITIATED', 'SESSION_EXPIRED'] })) {
      await events.eventsAfter(7, filter, 100);
      await expectIndexed(reader, filter, columnsOf(filter));
    }
  });

  it('for one session, the counts, the metrics and the chain', async () => {
    const { reader, prisma, books } = await ready();
    const sessions = new SessionReader({ ...books, prisma });
    const metrics = new MetricsReader(prisma);
    const searches: [() => Promise<unknown>, string][] = [
      [() => sessions.byId('id'), '(id=?)'],
      [() => sessions.bySessionId('cxs'), '(sessionId=?)'],
      [() => sessions.byIds(['a', 'b']), '(id=?)'],
      [() => sessions.countActive(), '(status=? AND expiresAt>?)'],
      [() => metrics.slices(RANGE.from, RANGE.to, 60_000), '(minute>? AND minute<?)'],
      [() => metrics.pendingDeliveries(), '(eventType=? AND status=?)'],
      [() => new AuditReader({ ...books, prisma }).verify(2, 9), '(rowid'],
      [() => new EventReader({ ...books, prisma }).byRequestIds(['a', 'b']), '(requestId=?)'],
      [() => new AuditReader({ ...books, prisma }).byRequestIds(['a', 'b']), '(requestId=?)'],
    ];
    for (const [search, condition] of searches) {
      await search();
      for (const { sql, plan } of await reader.plans()) {
        expect({ sql, plan: plan.join('; ') }).toEqual({ sql, plan: expect.stringContaining(condition) });
      }
    }
  });
});

function expectNoScan(plans: QueryPlan[]): void {
  for (const { sql, plan } of plans) {
    const faults = plan.filter((step) => step.startsWith('SCAN') || step.includes('TEMP B-TREE'));
    expect({ sql, plan, faults }).toEqual({ sql, plan, faults: [] });
  }
}

it('the writer’s own statements search an index too', async () => {
  const books = await openBooks();
  await fill(books);
  await openSession(books);
  books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = 0');
  const plans = await plansOf(books.db, async () => {
    const [claimed] = await books.outbox.claimDue(1);
    await books.outbox.record(claimed!, {
      startedAt: new Date(),
      durationMs: 1,
      statusCode: 200,
      error: null,
      verdict: { is: 'DELIVERED' },
    });
    await books.outbox.release(claimed!);
    await books.outbox.releaseAbandoned();
    const { request } = await openSession(books);
    books.attempts.heldPlaces(request.guestId);
  });
  expect(plans.length).toBeGreaterThan(8);
  expectNoScan(plans);
});

describe('among 2,000 sessions and as many idempotency keys', () => {
  const NOTHING = { session: null, hasSurplus: false };

  /** Sessions and keys of all states, some of them due. */
  async function busyBooks() {
    const books = await openBooks();
    const intents = new SqliteIntentLedger(books.writer, new SessionReader(books), new TokenCipher(Buffer.alloc(32)), {
      instanceId: 'test',
      blindKey: (key) => books.vault.blind('idempotency key', key),
      isAlone: true,
      ttlMs: 3_600_000,
      unwritten: () => [],
      inputKeys: [Buffer.alloc(32)],
    });
    const guestId = randomUUID();
    const reserve = async () => {
      const { attempt, request } = attemptFor(guestId);
      await books.attempts.reserve(attempt, request);
      return (await books.sessions.byId(attempt.requestId)) as GuestSessionRecord;
    };
    await openSession(books, guestId);
    const pending = await reserve();
    const other = await reserve();
    await books.writer.submit(({ db }) => {
      db.exec(`
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO "GuestSession" ("id", "callerName", "guestId", "channel", "priority", "queueId", "languagePreference",
            "fingerprintHmac", "status", "createdAt", "placeHeldUntil", "sessionId", "expiresAt", "reconcileAt")
          SELECT 'id-' || i, 'tester', 'guest-' || (i % 300), 'SMS', 'LOW', 'q', 'en', 'hmac',
            CASE i % 4 WHEN 0 THEN 'ACTIVE' WHEN 1 THEN 'ENDED' WHEN 2 THEN 'EXPIRED' ELSE 'FAILED' END,
            i, i, 'cxs-' || i, 1000000 * i, iif(i % 50 = 0, i, NULL) FROM n;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO "IdempotencyKey" ("callerName", "key", "inputHmac", "state", "requestId", "leaseOwner", "leaseUntil", "expiresAt")
          SELECT 'tester', 'key-' || i, 'hmac', 'SUCCEEDED', 'id-' || i, 'test', i, 1000000000 * i FROM n;`);
    });
    return { books, intents, guestId: guestId as GuestId, pending, other };
  }
  type Busy = Awaited<ReturnType<typeof busyBooks>>;

  it.each<[what: string, work: (busy: Busy) => Promise<unknown>, expected: string[]]>([
    [
      'the sessions that are over',
      ({ books }) => sessionExpiry(books.writer, books.db).expireDue(10),
      ['GuestSession_status_expiresAt_idx (status=? AND expiresAt<?)'],
    ],
    [
      'the keys that are over',
      ({ books }) => keyExpiry(books.writer, books.db).expireDue(10),
      ['IdempotencyKey_expiresAt_idx (expiresAt<?)', 'sqlite_autoindex_IdempotencyKey_1 (callerName=? AND key=?)'],
    ],
    [
      'a key',
      async ({ intents, guestId }) => {
        const { attempt, request } = attemptFor(guestId, { idempotencyKey: 'a new key' });
        await intents.recognise(attempt, request);
      },
      ['sqlite_autoindex_IdempotencyKey_1 (callerName=? AND key=?)'],
    ],
    [
      'the places that a guest holds',
      async ({ books, guestId }) => books.attempts.heldPlaces(guestId),
      ['GuestSession_guestId_placeHeldUntil_idx (guestId=? AND placeHeldUntil>?)'],
    ],
    [
      'how many those are',
      ({ books, guestId }) => openSession(books, guestId),
      ['GuestSession_guestId_placeHeldUntil_idx (guestId=? AND placeHeldUntil>?)'],
    ],
    [
      'the sessions that other attempts own',
      async ({ books }) => books.attempts.ownedByOthers('me', ['cxs-1', 'cxs-2']),
      ['GuestSession_sessionId_idx (sessionId=?)'],
    ],
    [
      'the attempts that have to be looked up',
      ({ books }) => books.sessions.dueForReconciliation(20),
      ['GuestSession_reconcileAt_idx (reconcileAt<?)'],
    ],
    [
      'what an earlier process has left',
      ({ books }) => books.sessions.releaseAbandoned(),
      ['GuestSession_reconcileAt_idx (reconcileAt>?)'],
    ],
    ['the rivals of an attempt', async ({ books, guestId }) => books.attempts.countOpen(guestId, 'me'), ['(guestId=?']],
    [
      'some live session',
      async ({ books }) => books.attempts.someLiveSession(),
      ['GuestSession_status_id_idx (status=?)'],
    ],
    [
      'an attempt that is settled, put off, given up, or whose session is ended',
      async ({ books, pending, other }) => {
        await books.sessions.reconcile(pending, NOTHING);
        await books.sessions.postpone(other);
        await books.sessions.recordSurplus(other.id, ['cxs-late']);
        const { attempt } = await openSession(books);
        await books.sessions.end(attempt.requestId, { actor: TESTER, reason: null, endedUpstream: true });
      },
      ['sqlite_autoindex_GuestSession_1 (id=?)'],
    ],
  ])('SQLite finds %s by an index, and sorts nothing', async (_what, work, expected) => {
    const busy = await busyBooks();
    const plans = await plansOf(busy.books.db, () => work(busy));
    expectNoScan(plans);
    const steps = plans.flatMap(({ plan }) => plan).join('; ');
    for (const search of expected) expect(steps).toContain(search);
  });
});
