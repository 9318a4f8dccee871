import { expect, it, onTestFinished } from 'vitest';
import { type Expiry, ExpirySweep } from '../../src/lifecycle/expiry-sweep.js';
import { sessionExpiry } from '../../src/store/expiry.js';
import { openBooks, openSession, success } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';

const SILENT = { error: () => undefined };

/** A sweep that ends with the test. */
function startSweep(expiry: Expiry, log: { error(fields: object, message: string): void } = SILENT): ExpirySweep {
  const sweep = new ExpirySweep(expiry, 50, log);
  onTestFinished(() => sweep[Symbol.asyncDispose]());
  return sweep;
}

it('marks sessions soon after their time is over, and those that live not', async () => {
  const books = await openBooks();
  startSweep(sessionExpiry(books.writer, books.db));
  const over = await openSession(books, undefined, success(new Date(Date.now() + 100)));
  await openSession(books);
  await eventually(() => books.count('GuestSession', `"status" = 'EXPIRED'`) === 1);
  expect(books.outside.all(`SELECT "requestId" FROM "SessionEvent" WHERE "type" = 'SESSION_EXPIRED'`)).toEqual([
    { requestId: over.attempt.requestId },
  ]);
  expect(books.count('GuestSession', `"status" = 'ACTIVE'`)).toBe(1);
});

it('takes a backlog in batches of 200, without waiting between them', async () => {
  const batches: number[] = [];
  let left = 450;
  startSweep({
    async expireDue(limit) {
      const now = Math.min(limit, left);
      left -= now;
      batches.push(now);
      return now;
    },
  });
  await eventually(() => left === 0);
  expect(batches.slice(0, 3)).toEqual([200, 200, 50]);
});

it('expires a real backlog of more than one batch, each session once', async () => {
  const books = await openBooks();
  await Promise.all(
    Array.from({ length: 250 }, () => openSession(books, undefined, success(new Date(Date.now() - 1)))),
  );
  startSweep(sessionExpiry(books.writer, books.db));
  await eventually(() => books.count('GuestSession', `"status" = 'EXPIRED'`) === 250);
  expect(books.count('SessionEvent', `"type" = 'SESSION_EXPIRED'`)).toBe(250);
});

it('says when it cannot, and tries again', async () => {
  const books = await openBooks();
  await openSession(books, undefined, success(new Date(Date.now() - 1)));
  books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "AuditEntry" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
  const complaints: object[] = [];
  startSweep(sessionExpiry(books.writer, books.db), { error: (fields) => complaints.push(fields) });
  await eventually(() => complaints.length > 0);
  expect(complaints[0]).toMatchObject({ err: { message: expect.stringContaining('no more') } });
  books.db.exec('DROP TRIGGER "full"');
  await eventually(() => books.count('GuestSession', `"status" = 'EXPIRED'`) === 1);
});

it('does not begin a sweep while one is at work, and is disposed of only when that is done', async () => {
  let started = 0;
  let finish = (_: number): void => undefined;
  const sweep = new ExpirySweep(
    {
      expireDue: () => {
        started += 1;
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
    },
    50,
    SILENT,
  );
  await eventually(() => started === 1);
  let isDisposed = false;
  const disposal = sweep[Symbol.asyncDispose]().then(() => {
    isDisposed = true;
  });
  await new Promise(setImmediate);
  expect([started, isDisposed]).toEqual([1, false]);
  finish(0);
  await disposal;
  expect(started).toBe(1);
});
