import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CursorExpiredError } from '../../src/errors.js';
import { EventReader } from '../../src/store/event-reader.js';
import { eventExpiry } from '../../src/store/expiry.js';
import { deliveriesIn, tell } from './deliveries.js';
import { type Books, commitsInWal, openBooks, someEvent } from './ledger.js';

const DAY_MS = 86_400_000;
const RETENTION_MS = 30 * DAY_MS;

/** Books with events of these ages, in days, in the order of their sequence. */
async function withEvents(...ages: number[]) {
  const books = await openBooks();
  await append(books, ...ages);
  return { books, reader: new EventReader(books), expiry: expiryOf(books) };
}

const append = (books: Books, ...ages: number[]) =>
  books.writer.submit((transaction) => {
    for (const days of ages) {
      const type = days % 2 ? 'SESSION_REQUESTED' : 'SESSION_FAILED';
      transaction.appendEvent(someEvent({ type, guestId: 'g', occurredAt: new Date(Date.now() - days * DAY_MS) }));
    }
  });
const expiryOf = (books: Books) => eventExpiry(books.writer, books.db, RETENTION_MS);
const sequencesIn = (books: Books): number[] =>
  books.outside
    .all<{ sequence: number }>('SELECT "sequence" FROM "SessionEvent" ORDER BY "sequence"')
    .map(({ sequence }) => sequence);
const firstSequence = (books: Books) =>
  books.outside.get<{ firstSequence: number }>('SELECT "firstSequence" FROM "SessionEventLog"')?.firstSequence;

describe('events that were kept for long enough', () => {
  it('stay while the wall clock says something else than the one that nobody can set', async () => {
    const { books, expiry } = await withEvents(2, 1, 0);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 400 * DAY_MS });
    onTestFinished(() => void vi.useRealTimers());
    expect(await expiry.expireDue(10)).toBe(0);
    expect(sequencesIn(books)).toEqual([1, 2, 3]);
  });

  it('go from the old end of the log alone: one that is kept keeps all that come after it', async () => {
    const { books, expiry } = await withEvents(50, 40, 29, 45, 31, 0);
    expect(await expiry.expireDue(10)).toBe(2);
    expect([sequencesIn(books), firstSequence(books)]).toEqual([[3, 4, 5, 6], 3]);
    expect(await expiry.expireDue(10)).toBe(0);
  });

  it('go in batches, a commit each, and with none when there is nothing to do', async () => {
    const { books, expiry } = await withEvents(50, 49, 48, 47, 46, 1);
    const before = commitsInWal(books.path);
    const removed = [];
    for (let i = 0; i < 4; i++) removed.push(await expiry.expireDue(2));
    expect(removed).toEqual([2, 2, 1, 0]);
    expect(commitsInWal(books.path)).toBe(before + 3);
    expect([sequencesIn(books), firstSequence(books)]).toEqual([[6], 6]);
  });

  it('are looked at again where two sweeps meet', async () => {
    const { books, expiry } = await withEvents(50, 49, 48, 1);
    const removed = await Promise.all([expiry.expireDue(2), expiry.expireDue(2)]);
    expect([removed, sequencesIn(books)]).toEqual([[2, 1], [4]]);
  });

  it('leave their webhooks behind', async () => {
    const books = await openBooks();
    await tell(books, undefined, 'SESSION_INITIATED', new Date(Date.now() - 40 * DAY_MS));
    expect(await expiryOf(books).expireDue(10)).toBe(1);
    expect(deliveriesIn(books)).toMatchObject([{ sequence: 1, status: 'PENDING' }]);
  });

  it('leave the numbers where they were, also when none is left, and after a restart', async () => {
    const { books, expiry } = await withEvents(50, 49, 48);
    expect(await expiry.expireDue(10)).toBe(3);
    expect([sequencesIn(books), firstSequence(books)]).toEqual([[], 4]);
    expect(await expiry.expireDue(10)).toBe(0);
    await append(books, 0);
    expect(sequencesIn(books)).toEqual([4]);
    await append(books, 50);
    expect(sequencesIn(books)).toEqual([4, 5]);

    const { path } = books;
    books.db.run('UPDATE "SessionEventLog" SET "firstSequence" = 6');
    books.db.run('DELETE FROM "SessionEvent"');
    await books[Symbol.asyncDispose]();
    const next = await openBooks({ path });
    expect(next.writer.eventSequence).toBe(5);
    await append(next, 0);
    expect([sequencesIn(next), next.writer.eventSequence]).toEqual([[6], 6]);
  });
});

describe('the log', () => {
  it('lets nobody remove an event that is not before its beginning', async () => {
    const { books, expiry } = await withEvents(50, 49, 3, 2);
    const remove = (where: string) => () => books.db.run(`DELETE FROM "SessionEvent" WHERE ${where}`);
    for (const where of ['"sequence" = 1', '"sequence" = 4', '1']) expect(remove(where)).toThrow('append-only');
    await expiry.expireDue(10);
    for (const where of ['"sequence" = 3', '"sequence" >= 3', '1']) expect(remove(where)).toThrow('append-only');
    expect(sequencesIn(books)).toEqual([3, 4]);
    books.db.run('DELETE FROM "SessionEventLog"');
    expect(remove('"sequence" = 3')).toThrow('append-only');
  });

  it('lets nobody change an event, old or not', async () => {
    const { books } = await withEvents(50, 1);
    expect(() => books.db.run(`UPDATE "SessionEvent" SET "reason" = 'x' WHERE "sequence" = 1`)).toThrow('append-only');
  });
});

describe('a cursor', () => {
  const FILTERS = [{}, { types: ['SESSION_FAILED', 'SESSION_REQUESTED'] }, { guestId: 'g' }] as const;

  it.each(FILTERS)('is refused where events that came after it are gone, with the filter %j', async (filter) => {
    const { reader, expiry } = await withEvents(50, 49, 48, 2, 1);
    expect(await reader.eventsAfter(0, filter, 10)).toHaveLength(5);
    await expiry.expireDue(10);
    for (const after of [0, 1, 2]) {
      await expect(reader.eventsAfter(after, filter, 10)).rejects.toThrow(CursorExpiredError);
    }
    // The event itself is gone, and nothing that came after it.
    expect((await reader.eventsAfter(3, filter, 10)).map(({ sequence }) => sequence)).toEqual([4, 5]);
    expect((await reader.eventsAfter(null, filter, 10)).map(({ sequence }) => sequence)).toEqual([4, 5]);
    expect(await reader.eventsAfter(5, filter, 10)).toEqual([]);
  });

  it('is refused also where nothing would match', async () => {
    const { reader, expiry } = await withEvents(50, 49, 1);
    await expiry.expireDue(10);
    await expect(reader.eventsAfter(0, { guestId: 'nobody' }, 10)).rejects.toThrow(CursorExpiredError);
    await expect(reader.eventsAfter(0, { types: [] }, 10)).rejects.toThrow(CursorExpiredError);
  });

  it.each(FILTERS)('is refused where events vanish between two pages, with the filter %j', async (filter) => {
    const { reader, expiry } = await withEvents(50, 49, 48, 47, 1);
    const page = await reader.eventsAfter(null, filter, 2);
    expect(page.map(({ sequence }) => sequence)).toEqual([1, 2]);
    await expiry.expireDue(10);
    await expect(reader.eventsAfter(2, filter, 2)).rejects.toThrow(CursorExpiredError);
  });

  it('is refused where events vanish while the page is read', async () => {
    const { books, expiry } = await withEvents(50, 49, 48, 47, 1);
    const racing = new Proxy(books.prisma, {
      get: (prisma, name) =>
        name !== 'sessionEvent'
          ? Reflect.get(prisma, name)
          : {
              findMany: async (query: object) => {
                await expiry.expireDue(10);
                return prisma.sessionEvent.findMany(query);
              },
            },
    });
    await expect(new EventReader({ ...books, prisma: racing }).eventsAfter(1, {}, 10)).rejects.toThrow(
      CursorExpiredError,
    );
  });

  it('is still good in a log that has lost all its events', async () => {
    const { reader, expiry } = await withEvents(50, 49);
    await expiry.expireDue(10);
    expect(await reader.eventsAfter(2, {}, 10)).toEqual([]);
    expect(await reader.eventsAfter(null, {}, 10)).toEqual([]);
    await expect(reader.eventsAfter(1, {}, 10)).rejects.toThrow(CursorExpiredError);
  });
});

it('a page from the oldest event has no hole where events vanish between the queries that it takes', async () => {
  const { books, expiry } = await withEvents(50, 49, 48, 47, 1, 0);
  let queries = 0;
  let first: Promise<unknown> = Promise.resolve();
  const racing = new Proxy(books.prisma, {
    get: (prisma, name) =>
      name !== 'sessionEvent'
        ? Reflect.get(prisma, name)
        : {
            findFirst: (query: object) => prisma.sessionEvent.findFirst(query),
            findMany: async (query: object) => {
              const isFirst = queries === 0;
              queries += 1;
              if (!isFirst) await first;
              const rows = prisma.sessionEvent.findMany(query);
              if (isFirst) first = rows.then(() => expiry.expireDue(10));
              return rows;
            },
          },
  });
  const page = await new EventReader({ ...books, prisma: racing }).eventsAfter(
    null,
    { types: ['SESSION_REQUESTED', 'SESSION_FAILED'] },
    10,
  );

  expect(page.map(({ sequence }) => sequence)).toEqual([5, 6]);
});
