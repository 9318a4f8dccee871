import { randomUUID } from 'node:crypto';
import type { SqlDriverAdapter, SqlQuery } from '@prisma/driver-adapter-utils';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import { SessionExpiry } from '../../src/store/expiry.js';
import { MetricsReader } from '../../src/store/metrics-reader.js';
import { PrismaSqliteReader } from '../../src/store/prisma-sqlite-adapter.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { type Books, openBooks, openSession, someAudit, someEvent } from './ledger.js';

/** A reader whose SQL is heard, as Prisma has it. */
class Listening extends PrismaSqliteReader {
  readonly queries: SqlQuery[] = [];
  adapter!: SqlDriverAdapter;

  override async connect(): Promise<SqlDriverAdapter> {
    const adapter = await super.connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    this.adapter = Object.assign(Object.create(adapter), {
      queryRaw,
    });
    adapter.queryRaw = (query) => {
      this.queries.push(query);
      return queryRaw(query);
    };
    return adapter;
  }

  /** How SQLite goes about each query so far. */
  async plans(): Promise<{ sql: string; plan: string[] }[]> {
    const queries = this.queries.splice(0);
    return Promise.all(
      queries.map(async (query) => {
        const { rows } = await this.adapter.queryRaw({ ...query, sql: `EXPLAIN QUERY PLAN ${query.sql}` });
        return { sql: query.sql, plan: rows.map((row) => String(row[3])) };
      }),
    );
  }
}

async function listen(books: Books) {
  const reader = new Listening(books.path);
  const prisma = new PrismaClient({ adapter: reader });
  await prisma.$connect();
  onTestFinished(() => prisma.$disconnect());
  return { reader, prisma };
}

/** Enough rows that SQLite has something to judge by once it has counted them. */
async function fill(books: Books): Promise<void> {
  for (let i = 0; i < 40; i++) await openSession(books);
  await books.writer.submit((transaction) => {
    for (let i = 0; i < 500; i++) {
      transaction.appendEvent(
        someEvent({ guestId: `guest-${i % 9}`, type: i % 2 ? 'SESSION_INITIATED' : 'SESSION_FAILED' }),
      );
      transaction.appendAudit(someAudit({ guestId: `guest-${i % 9}`, kind: i % 2 ? 'CRM_SYNC' : 'SESSION_EXPIRED' }));
    }
  });
  books.db.exec('ANALYZE');
}

/** All subsets of some conditions, each merged to one. */
const subsets = <T extends object>(...parts: T[]): Partial<T>[] =>
  parts.reduce<Partial<T>[]>((all, part) => [...all, ...all.map((one) => ({ ...one, ...part }))], [{}]);

const RANGE = { from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 60_000) };

const expectIndexed = async (reader: Listening, context: object): Promise<void> => {
  const plans = await reader.plans();
  expect(plans.length).toBeGreaterThan(0);
  for (const { sql, plan } of plans) {
    const faults = plan.filter(
      (step) => /^SCAN (?!CONSTANT ROW)|TEMP B-TREE/.test(step) && !/^SCAN .* USING (COVERING )?INDEX/.test(step),
    );
    expect({ context, sql, plan, faults }).toEqual({ context, sql, plan, faults: [] });
  }
};

/** A walk through an index in the order of the list, instead of a search in it: fine for a list without conditions alone. */
const expectSearched = async (reader: Listening, context: object): Promise<void> => {
  for (const { sql, plan } of await reader.plans()) {
    const faults = plan.filter((step) => /^SCAN|TEMP B-TREE/.test(step));
    expect({ context, sql, plan, faults }).toEqual({ context, sql, plan, faults: [] });
  }
};

describe.each([
  ['that is new', async () => undefined],
  ['that is full, with statistics', fill],
])('in a database %s, SQLite sorts nothing and scans nothing', (_, prepare) => {
  const ready = async () => {
    const books = await openBooks();
    await prepare(books);
    return { books, ...(await listen(books)) };
  };

  it('for a page of sessions, whatever the filter', async () => {
    const { reader, prisma } = await ready();
    const sessions = new SessionReader(prisma);
    const position = { createdAt: new Date(), id: randomUUID() };
    const filters = subsets<object>({ guestId: 'g' }, { crmId: 'c' }, { status: 'ACTIVE' }, { channel: 'SMS' }, RANGE);
    for (const filter of filters) {
      for (const after of [null, position]) {
        await sessions.page(filter, 20, after);
        await expectIndexed(reader, { filter, after });
      }
    }
  });

  it('for a page of audit entries, whatever the filter', async () => {
    const { reader, prisma } = await ready();
    const audits = new AuditReader(prisma);
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
        await expectIndexed(reader, { filter, after });
      }
    }
  });

  it('for a page of events, whatever the filter', async () => {
    const { reader, prisma } = await ready();
    const events = new EventReader(prisma);
    for (const filter of subsets<object>({ guestId: 'g' }, { types: ['SESSION_INITIATED', 'SESSION_EXPIRED'] })) {
      await events.eventsAfter(7, filter, 100);
      await expectSearched(reader, filter);
    }
  });

  it('for one session, the counts, the metrics and the chain', async () => {
    const { reader, prisma } = await ready();
    const sessions = new SessionReader(prisma);
    await sessions.byId('id');
    await sessions.bySessionId('cxs');
    await sessions.byIds(['a', 'b']);
    await sessions.countActive();
    const metrics = new MetricsReader(prisma);
    await metrics.slices(RANGE.from, RANGE.to, 60_000);
    await metrics.pendingDeliveries();
    await new AuditReader(prisma).verify(2, 9);
    await expectSearched(reader, {});
  });
});

it('the writer’s own statements search an index too', async () => {
  const books = await openBooks();
  await fill(books);
  const statements: string[] = [];
  const { db } = books;
  const { all, get, run } = db;
  const hear =
    <F extends (sql: string, ...rest: never[]) => unknown>(method: F) =>
    (...args: Parameters<F>): ReturnType<F> => {
      statements.push(args[0]);
      return method.apply(db, args) as ReturnType<F>;
    };
  Object.assign(db, { all: hear(all), get: hear(get), run: hear(run) });
  await openSession(books);
  books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = 0');
  statements.length = 0;
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
  books.db.run(`UPDATE "GuestSession" SET "expiresAt" = 1 WHERE "id" = 'nobody'`);
  await new SessionExpiry(books.writer, books.db).expireDue(10);
  Object.assign(db, { all, get, run });

  const looked = [...new Set(statements)].filter((sql) => /^\s*(SELECT|UPDATE|DELETE)/.test(sql));
  expect(looked.length).toBeGreaterThan(8);
  for (const sql of looked) {
    const plan = db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).map(({ detail }) => detail);
    expect({ sql, plan, scans: plan.filter((step) => step.startsWith('SCAN')) }).toEqual({ sql, plan, scans: [] });
  }
});
