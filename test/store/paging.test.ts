import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import { requestIdBound } from '../../src/guest-session/request-id.js';
import type { AuditRecord } from '../../src/store/audit-chain.js';
import { type AuditFilter, AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import type { LedgerTransaction } from '../../src/store/ledger-transaction.js';
import type { Page } from '../../src/store/page.js';
import { PrismaSqliteReader } from '../../src/store/prisma-sqlite-adapter.js';
import { sealSession } from '../../src/store/sealed-rows.js';
import { type SessionFilter, SessionReader } from '../../src/store/session-reader.js';
import { type Books, openBooks, someEvent } from './ledger.js';

const NOON = new Date('2026-11-22T12:00:00Z').getTime();
const GUESTS = ['guest-a', 'guest-b', 'guest-c'];
const pick = <T>(list: readonly T[], i: number): T => list[i % list.length]!;

const momentOf = (i: number): Date => new Date(NOON + (i % 7) * 1_000);
const idAt = (at: Date): string => requestIdBound(at) + randomUUID().slice(13);

/** Few moments for many rows, so that most of them share theirs with others; within one the ids are in no order. */
const SESSIONS = Array.from({ length: 200 }, (_, i) => ({
  id: idAt(momentOf(i)),
  callerName: 'tester',
  guestId: pick(GUESTS, i),
  crmId: i % 5 === 0 ? null : pick(['crm-1', 'crm-2'], i),
  channel: pick(['WEBCHAT', 'SMS'] as const, i >> 1),
  priority: 'NORMAL' as const,
  queueId: 'queue',
  languagePreference: 'en-US',
  fingerprintHmac: 'hmac',
  status: pick(['ACTIVE', 'EXPIRED', 'FAILED'] as const, i >> 2),
  createdAt: momentOf(i),
  placeHeldUntil: new Date(NOON),
}));

type Session = (typeof SESSIONS)[number];

function insertSession(transaction: LedgerTransaction, session: Session, sessionId: string | null = null): void {
  const { id, guestId, crmId } = session;
  transaction.insert('GuestSession', {
    ...session,
    ...sealSession(transaction.vault, id, { guestId, crmId, sessionId }),
  });
}

async function withSessions(): Promise<SessionReader> {
  const books = await openBooks();
  await books.writer.submit((transaction) => {
    for (const session of SESSIONS) insertSession(transaction, session);
  });
  return new SessionReader(books);
}

/** Walks a list to its end. */
async function walk<Row, Position>(
  page: (after: Position | null) => Promise<Page<Row>>,
  positionOf: (row: Row) => Position,
  first: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  let after: Position | null = null;
  for (;;) {
    const { rows: next, hasNextPage } = await page(after);
    rows.push(...next);
    if (!hasNextPage) return rows;
    expect(next).toHaveLength(first);
    after = positionOf(next.at(-1)!);
  }
}

const newestFirst = (a: Session, b: Session): number => (a.id < b.id ? 1 : -1);

const inRange = (at: Date, { from, to }: { from?: Date | null; to?: Date | null }): boolean =>
  (from == null || at >= from) && (to == null || at < to);

const SESSION_FILTERS: [string, SessionFilter][] = [
  ['all', {}],
  ['one guest’s', { guestId: 'guest-b' }],
  ['one account’s', { crmId: 'crm-2' }],
  ['those of a status', { status: 'ACTIVE' }],
  ['those from a moment on', { from: new Date(NOON + 3_000) }],
  ['those before a moment', { to: new Date(NOON + 3_000) }],
  ['those of one moment', { from: new Date(NOON + 2_000), to: new Date(NOON + 2_001) }],
  ['everything at once', { guestId: 'guest-a', crmId: 'crm-1', status: 'FAILED', from: new Date(NOON) }],
  ['one guest’s of a status in a range', { guestId: 'guest-c', status: 'EXPIRED', to: new Date(NOON + 5_000) }],
  ['those of nobody', { guestId: 'guest-z' }],
  ['all, with every condition left open', { guestId: null, crmId: undefined, status: null, from: null, to: null }],
];

describe('paging through sessions', () => {
  it.each(SESSION_FILTERS)('gives %s exactly once, newest first, though most share their time', async (_, filter) => {
    const reader = await withSessions();
    const expected = SESSIONS.filter(
      (session) =>
        (filter.guestId == null || session.guestId === filter.guestId) &&
        (filter.crmId == null || session.crmId === filter.crmId) &&
        (filter.status == null || session.status === filter.status) &&
        inRange(session.createdAt, filter as { from?: Date | null; to?: Date | null }),
    )
      .sort(newestFirst)
      .map(({ id }) => id);
    for (const first of [1, 7, 100]) {
      if (first === 1 && expected.length > 50) continue;
      const rows = await walk(
        (after: string | null) => reader.page(filter, first, after),
        ({ id }) => id,
        first,
      );
      expect(rows.map(({ id }) => id)).toEqual(expected);
    }
  });

  it('knows whether there is more at the very end of a full page', async () => {
    const reader = await withSessions();
    expect(await reader.page({}, 199, null)).toMatchObject({ hasNextPage: true });
    expect(await reader.page({}, 200, null)).toMatchObject({ hasNextPage: false });
  });

  it('goes on from a position whose row is gone', async () => {
    const reader = await withSessions();
    const { rows } = await reader.page({}, 5, requestIdBound(new Date(NOON + 6_000)));
    expect(rows[0]?.createdAt).toEqual(new Date(NOON + 5_000));
  });

  it('is not upset by sessions that are opened meanwhile', async () => {
    const books = await openBooks();
    const reader = new SessionReader(books);
    const insert = (rows: readonly Session[]) =>
      books.writer.submit((transaction) => {
        for (const session of rows) insertSession(transaction, session);
      });
    await insert(SESSIONS.slice(0, 50));
    const rows = await walk(
      async (after: string | null) => {
        const page = await reader.page({}, 10, after);
        await insert([{ ...SESSIONS[0]!, id: idAt(new Date(NOON + 60_000)) }]);
        return page;
      },
      ({ id }) => id,
      10,
    );
    expect(rows.map(({ id }) => id)).toEqual(
      SESSIONS.slice(0, 50)
        .sort(newestFirst)
        .map(({ id }) => id),
    );
  });
});

describe('finding sessions', () => {
  it('works by our id, by CXone’s, and by many of ours', async () => {
    const books = await openBooks();
    const reader = new SessionReader(books);
    const [one, two] = SESSIONS;
    await books.writer.submit((transaction) => {
      insertSession(transaction, one!, 'cxs-1');
      insertSession(transaction, two!, 'cxs-2');
    });
    expect(await reader.byId(two!.id)).toMatchObject({ id: two!.id, sessionId: 'cxs-2', createdAt: two!.createdAt });
    expect(await reader.bySessionId('cxs-1')).toMatchObject({ id: one!.id });
    expect([await reader.byId('none'), await reader.bySessionId('none')]).toEqual([null, null]);
    expect((await reader.byIds([two!.id, 'none', one!.id])).map(({ id }) => id).sort()).toEqual(
      [one!.id, two!.id].sort(),
    );
  });

  it('counts as active what is marked so and not over', async () => {
    const books = await openBooks();
    await books.writer.submit((transaction) => {
      const insert = (status: Session['status'], expiresAt: Date | null) =>
        transaction.insert('GuestSession', { ...SESSIONS[0]!, id: randomUUID(), status, expiresAt });
      insert('ACTIVE', new Date(Date.now() + 60_000));
      insert('ACTIVE', new Date(Date.now() - 60_000));
      insert('EXPIRED', new Date(Date.now() + 60_000));
      insert('ACTIVE', null);
    });
    expect(await new SessionReader(books).countActive()).toBe(1);
  });
});

const ENTRIES = Array.from({ length: 150 }, (_, i) => ({
  guestId: i % 4 === 0 ? null : pick(GUESTS, i),
  requestId: `request-${i % 10}`,
  status: pick(['SUCCESS', 'REJECTED', 'FAILED'] as const, i),
  kind: pick(['SESSION_INITIATION', 'CRM_SYNC'] as const, i >> 1),
  actor: 'tester',
  sequence: i + 1,
  id: randomUUID(),
  // The clock was set back in the middle.
  timestamp: new Date(NOON + (i < 75 ? (i >> 4) * 1_000 : (i >> 5) * 1_000)),
  previousHash: '',
  hash: `hash-${i}`,
}));

type Entry = (typeof ENTRIES)[number];

/** The first of them are from before personal data was sealed. */
function insertEntry(transaction: LedgerTransaction, entry: Entry): void {
  const { id, guestId } = entry;
  const key = guestId === null || entry.sequence < 60 ? null : transaction.vault.keyFor(guestId);
  if (!key) transaction.insert('AuditEntry', entry);
  else {
    const personal = key.sealPersonal({ guestId: guestId ?? '' }, `audit:${id}`);
    transaction.insert('AuditEntry', { ...entry, version: 2, guestId: key.name, personal });
  }
}

const AUDIT_FILTERS: [string, AuditFilter][] = [
  ['all', {}],
  ['one guest’s', { guestId: 'guest-b' }],
  ['one attempt’s', { requestId: 'request-3' }],
  ['those of a status', { status: 'FAILED' }],
  ['those of a kind', { kind: 'CRM_SYNC' }],
  ['those of a kind and a status', { kind: 'CRM_SYNC', status: 'SUCCESS' }],
  ['those of a range', { from: new Date(NOON + 1_000), to: new Date(NOON + 3_000) }],
  [
    'everything at once',
    { guestId: 'guest-a', requestId: 'request-3', status: 'SUCCESS', kind: 'CRM_SYNC', from: new Date(NOON) },
  ],
];

describe('paging through the audit trail', () => {
  it.each(AUDIT_FILTERS)('gives %s exactly once, newest first, though most share their time', async (_, filter) => {
    const books = await openBooks();
    await books.writer.submit((transaction: LedgerTransaction) => {
      for (const entry of ENTRIES) insertEntry(transaction, entry);
    });
    const reader = new AuditReader(books);
    const expected = ENTRIES.filter(
      (entry) =>
        (filter.guestId == null || entry.guestId === filter.guestId) &&
        (filter.requestId == null || entry.requestId === filter.requestId) &&
        (filter.status == null || entry.status === filter.status) &&
        (filter.kind == null || entry.kind === filter.kind) &&
        inRange(entry.timestamp, filter as { from?: Date | null; to?: Date | null }),
    )
      .sort((a, b) => b.timestamp.getTime() - a.timestamp.getTime() || b.sequence - a.sequence)
      .map(({ sequence }) => sequence);
    expect(expected.length).toBeGreaterThan(0);
    for (const first of [3, 100]) {
      const positionOf = ({ timestamp, sequence }: AuditRecord) => ({ timestamp, sequence });
      const rows = await walk((after) => reader.page(filter, first, after), positionOf, first);
      expect(rows.map(({ sequence }) => sequence)).toEqual(expected);
    }
  });

  it('finds the entries of many attempts in the order in which they were written', async () => {
    const books = await openBooks();
    await books.writer.submit((transaction) => {
      for (const entry of ENTRIES) insertEntry(transaction, entry);
    });
    const rows = await new AuditReader(books).byRequestIds(['request-7', 'request-2', 'none']);
    const expected = ENTRIES.filter(({ requestId }) => ['request-7', 'request-2'].includes(requestId));
    expect(rows.map(({ sequence }) => sequence)).toEqual(expected.map(({ sequence }) => sequence));
  });
});

const TYPES = ['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_REJECTED'] as const;

async function withEvents(): Promise<Books> {
  const books = await openBooks();
  await books.writer.submit((transaction) => {
    for (let i = 0; i < 120; i++) {
      transaction.appendEvent(
        someEvent({
          type: pick(TYPES, i),
          guestId: i % 5 === 0 ? null : pick(GUESTS, i >> 1),
          requestId: `request-${i % 6}`,
        }),
      );
    }
  });
  return books;
}

describe('paging through the lifecycle log', () => {
  it.each([
    ['all', {}],
    ['those of one type', { types: ['SESSION_INITIATED'] }],
    ['those of two types', { types: ['SESSION_REJECTED', 'SESSION_REQUESTED'] }],
    ['a type that was named twice', { types: ['SESSION_INITIATED', 'SESSION_INITIATED'] }],
    ['one guest’s', { guestId: 'guest-b' }],
    ['one guest’s of two types', { guestId: 'guest-a', types: ['SESSION_INITIATED', 'SESSION_REQUESTED'] }],
    ['none where no type is wanted', { types: [] }],
  ] as const)('gives %s exactly once, oldest first', async (_, filter) => {
    const books = await withEvents();
    const reader = new EventReader(books);
    const { types, guestId } = filter as { types?: readonly string[]; guestId?: string };
    const expected = books.outside
      .all<{ sequence: number; type: string; guestId: string | null }>(
        'SELECT * FROM "SessionEvent" ORDER BY "sequence"',
      )
      .filter((event) => (!types || types.includes(event.type)) && (!guestId || event.guestId === guestId))
      .map(({ sequence }) => sequence);
    for (const limit of [1, 7, 1_000]) {
      const found: number[] = [];
      for (let after = 0; ; after = found.at(-1)!) {
        const rows = await reader.eventsAfter(after, filter, limit);
        found.push(...rows.map(({ sequence }) => sequence));
        if (rows.length < limit) break;
      }
      expect(found).toEqual(expected);
    }
  });

  it('sees one state of the log, though it takes a query for each type while others write', async () => {
    const books = await openBooks();
    /** A database that others write to before each answer. */
    class Contended extends PrismaSqliteReader {
      override async connect() {
        const adapter = await super.connect();
        const queryRaw = adapter.queryRaw.bind(adapter);
        let asked = 0;
        adapter.queryRaw = async (query) => {
          // Queries that were sent at one moment are answered at different ones.
          for (let commits = asked++ % 4; commits > 0; commits--) {
            await books.writer.submit((transaction) => {
              for (const type of TYPES) transaction.appendEvent(someEvent({ type }));
            });
          }
          return queryRaw(query);
        };
        return adapter;
      }
    }
    const prisma = new PrismaClient({ adapter: new Contended(books.path) });
    onTestFinished(() => prisma.$disconnect());
    const reader = new EventReader({ ...books, prisma });
    for (let after = 0; after < 60; ) {
      const found = (await reader.eventsAfter(after, { types: TYPES }, 1_000)).map(({ sequence }) => sequence);
      expect(found).toEqual(found.map((_, i) => after + 1 + i));
      after = found.at(-1) ?? after;
    }
  });

  it('finds the events of many attempts in the order in which they happened', async () => {
    const books = await withEvents();
    const rows = await new EventReader(books).byRequestIds(['request-5', 'request-1']);
    expect(rows).toHaveLength(40);
    expect(rows.map(({ sequence }) => sequence)).toEqual(rows.map(({ sequence }) => sequence).sort((a, b) => a - b));
  });
});
