import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { GuestSessionRecord } from '../../src/guest-session/ports.js';
import { Reconciler, type Unsettled } from '../../src/lifecycle/reconciler.js';
import { attemptFor, type Books, openBooks } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';

const NOWHERE = new AttemptError('OUTCOME_UNKNOWN', { detail: 'CXone cannot be asked' });

/** A reconciler over real books, and what it does there. */
function start(books: Books, settle: Unsettled['settle'], isUnderWay: Unsettled['isUnderWay'] = () => false) {
  const heard = { logged: [] as [level: string, fields: Record<string, unknown>][] };
  const note = (level: string) => (fields: object) => {
    heard.logged.push([level, fields as Record<string, unknown>]);
  };
  const { sessions } = books;
  const reconciler = new Reconciler(
    {
      due: (limit) => sessions.dueForReconciliation(limit),
      isUnderWay,
      settle,
      postpone: (attempt) => sessions.postpone(attempt),
    },
    { info: note('info'), warn: note('warn'), error: note('error') },
  );
  onTestFinished(() => reconciler[Symbol.asyncDispose]());
  return { reconciler, ...heard };
}

/** Attempts that a dead process has left: the longest waiting first. */
async function leave(books: Books, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const { attempt, request } = attemptFor();
    await books.attempts.reserve(attempt, request);
    ids.push(attempt.requestId);
  }
  await books.writer.submit(({ db }) => {
    for (const [i, id] of ids.entries()) {
      db.run('UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "id" = ?', 1_000 + i, id);
    }
  });
  return ids;
}

const rowOf = (books: Books, id: string) =>
  books.outside.get<{ status: string; reconcileAt: number | null; failureCode: string | null }>(
    'SELECT * FROM "GuestSession" WHERE "id" = ?',
    id,
  )!;
const isSettled = (books: Books, ids: string[]) => ids.every((id) => rowOf(books, id).status === 'FAILED');
const settlingWith = (books: Books) => (attempt: GuestSessionRecord) =>
  books.sessions.reconcile(attempt, { session: null, hasSurplus: false });

/** Something to wait at. */
function closedGate() {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Milliseconds until it is looked at again. */
const waitOf = async (books: Books, id: string): Promise<number> =>
  eventually(() => {
    const { reconcileAt } = rowOf(books, id);
    return reconcileAt !== null && reconcileAt > Date.now() && reconcileAt - Date.now();
  });

describe('the reconciler', () => {
  it('looks at once when it is told to, and settles what is due', async () => {
    const books = await openBooks();
    const ids = await leave(books, 3);
    const { attempt, request } = attemptFor();
    await books.attempts.reserve(attempt, request);
    const startedAt = performance.now();
    const { reconciler, logged } = start(books, settlingWith(books));

    reconciler.look();

    await eventually(() => isSettled(books, ids), 900);
    expect(performance.now() - startedAt).toBeLessThan(1_000); // before the timer
    expect(rowOf(books, attempt.requestId).status).toBe('PENDING'); // its lease runs
    await eventually(() => logged.length === 3);
    expect(logged.map(([level, { requestId, was }]) => [level, requestId, was])).toEqual(
      ids.map((id) => ['info', id, 'PENDING']),
    );
  });

  it('looks by itself, about every second', async () => {
    const books = await openBooks();
    start(books, settlingWith(books));
    const ids = await leave(books, 2);
    await eventually(() => isSettled(books, ids));
  });

  it('takes a backlog in batches of 20, the longest waiting first, without waiting between them', async () => {
    const books = await openBooks();
    const ids = await leave(books, 50);
    const order: string[] = [];
    const { reconciler } = start(books, (attempt) => {
      order.push(attempt.id);
      return settlingWith(books)(attempt);
    });
    const startedAt = performance.now();
    reconciler.look();
    await eventually(() => isSettled(books, ids));
    expect(performance.now() - startedAt).toBeLessThan(1_000); // before the timer
    expect(order).toEqual(ids);
  });

  it('is not kept busy by attempts that are at work', async () => {
    const books = await openBooks();
    const live = new Set(await leave(books, 25));
    let looks = 0;
    const { reconciler } = start(
      books,
      () => Promise.reject(NOWHERE),
      (id) => {
        looks += 1;
        return live.has(id);
      },
    );
    reconciler.look();
    await eventually(() => looks > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(looks).toBeLessThanOrEqual(40); // one look, or two where the timer came in between
  });

  it('looks up four at a time, and begins no look while one is under way', async () => {
    const books = await openBooks();
    await leave(books, 12);
    const gate = closedGate();
    const seen: string[] = [];
    const { reconciler } = start(books, async (attempt) => {
      seen.push(attempt.id);
      await gate.opened;
      await settlingWith(books)(attempt);
    });
    for (let looks = 0; looks < 3; looks += 1) reconciler.look();
    await eventually(() => seen.length === 4);
    for (let looks = 0; looks < 3; looks += 1) reconciler.look();
    // Longer than the timer.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(seen).toHaveLength(4);
    gate.open();
    await eventually(() => seen.length === 12);
    expect(new Set(seen)).toHaveLength(12);
  });

  it('never touches an attempt that is at work in this process, though its lease has lapsed', async () => {
    const books = await openBooks();
    const [live, dead] = (await leave(books, 2)) as [string, string];
    expect(books.attempts.isUnderWay(live)).toBe(true);
    const { reconciler } = start(books, settlingWith(books), (id) => id === live);
    reconciler.look();
    await eventually(() => isSettled(books, [dead]));
    expect(rowOf(books, live)).toMatchObject({ status: 'PENDING', reconcileAt: 1_000 });
  });

  it.each([
    ['at first in four seconds', 0, 4_000],
    ['then in twice as long each time', 3, 32_000],
    ['and never more than five minutes later', 12, 300_000],
  ])('tries again what cannot be told: %s', async (_what, looks, waitMs) => {
    const books = await openBooks();
    const [id] = (await leave(books, 1)) as [string];
    await books.writer.submit(({ db }) => db.run('UPDATE "GuestSession" SET "looks" = ? WHERE "id" = ?', looks, id));
    const { reconciler, logged } = start(books, () => Promise.reject(NOWHERE));
    reconciler.look();
    const wait = await waitOf(books, id);
    expect(wait).toBeLessThanOrEqual(waitMs + 1_000);
    expect(wait).toBeGreaterThan(waitMs - 1_500);
    expect(rowOf(books, id).status).toBe('PENDING');
    expect(logged).toMatchObject([
      ['warn', { requestId: id, reason: 'CXone cannot be asked', outcome: 'tried again later' }],
    ]);
  });

  it('gives up after so many looks, which takes about an hour', async () => {
    const books = await openBooks();
    const [id] = (await leave(books, 1)) as [string];
    await books.writer.submit(({ db }) => db.run('UPDATE "GuestSession" SET "looks" = 20 WHERE "id" = ?', id));
    const { reconciler, logged } = start(books, () => Promise.reject(NOWHERE));
    reconciler.look();
    await eventually(() => isSettled(books, [id]));
    expect(rowOf(books, id)).toMatchObject({ reconcileAt: null, failureCode: 'OUTCOME_UNKNOWN' });
    const [audit] = books.outside.all(`SELECT * FROM "AuditEntry" WHERE "kind" = 'SESSION_RECONCILED'`);
    expect(audit).toMatchObject({ reason: 'CXone could not be asked within an hour' });
    expect(logged).toMatchObject([['warn', { outcome: 'given up' }]]);
  });

  it('takes only a few looks at a time while CXone is down', async () => {
    const books = await openBooks();
    await leave(books, 50);
    let looks = 0;
    const { reconciler } = start(books, async () => {
      looks += 1;
      throw NOWHERE;
    });
    reconciler.look();
    await eventually(() => looks > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(looks).toBeLessThanOrEqual(8); // four at a time, and the timer may have come in between
  });

  it('takes a bug for what cannot be told now, and sees to the others', async () => {
    const books = await openBooks();
    const [broken, ...others] = (await leave(books, 6)) as [string, ...string[]];
    const { reconciler, logged } = start(books, (attempt) => {
      if (attempt.id === broken) throw new TypeError('a bug');
      return settlingWith(books)(attempt);
    });
    reconciler.look();
    await eventually(() => isSettled(books, others));
    await waitOf(books, broken);
    expect(logged.find(([level]) => level === 'warn')?.[1]).toMatchObject({
      requestId: broken,
      err: { message: 'a bug' },
    });
  });

  it('says when the books cannot be read, and goes on when they can', async () => {
    const books = await openBooks();
    const ids = await leave(books, 1);
    const { reconciler, logged } = start(books, settlingWith(books));
    books.db.exec('ALTER TABLE "GuestSession" RENAME COLUMN "reconcileAt" TO "away"');
    reconciler.look();
    await eventually(() => logged.length > 0);
    expect(logged[0]).toMatchObject(['error', { err: { message: expect.stringContaining('reconcileAt') } }]);
    books.db.exec('ALTER TABLE "GuestSession" RENAME COLUMN "away" TO "reconcileAt"');
    await eventually(() => isSettled(books, ids));
  });

  it('is disposed of when what it has begun is done, and begins nothing more', async () => {
    const books = await openBooks();
    await leave(books, 12);
    const gate = closedGate();
    let begun = 0;
    const { reconciler } = start(books, async (attempt) => {
      begun += 1;
      await gate.opened;
      await settlingWith(books)(attempt);
    });
    reconciler.look();
    await eventually(() => begun === 4);
    let isDisposed = false;
    const disposal = reconciler[Symbol.asyncDispose]().then(() => {
      isDisposed = true;
    });
    await new Promise(setImmediate);
    expect(isDisposed).toBe(false);
    gate.open();
    await disposal;
    expect([begun, books.count('GuestSession', `"status" = 'FAILED'`)]).toEqual([4, 4]);
  });
});

it('an attempt is under way from its reservation until it is closed, also where its outcome is written later', async () => {
  const books = await openBooks();
  const { attempt, request } = attemptFor(randomUUID());
  const { requestId } = attempt;
  expect(books.attempts.isUnderWay(requestId)).toBe(false);
  await books.attempts.reserve(attempt, request);
  attempt.reserved = true;
  expect(books.attempts.isUnderWay(requestId)).toBe(true);

  const outcome = { status: 'FAILED', error: new AttemptError('CXONE_UNAVAILABLE'), stage: 'CREATE' } as const;
  books.attempts.closeLater(attempt, outcome);
  expect(books.attempts.isUnderWay(requestId)).toBe(true);
  await eventually(() => !books.attempts.isUnderWay(requestId));
  expect(rowOf(books, requestId).status).toBe('FAILED');
});
