import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import type { LedgerTransaction } from '../../src/store/ledger-transaction.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { storageFailureOf } from '../../src/store/storage-failure.js';
import type { StorageListener } from '../../src/store/storage-watch.js';
import { eventually } from '../support/eventually.js';
import { type Books, openBooks, someAudit, someEvent } from './ledger.js';

type Heard = Parameters<StorageListener>[0];

const append = (transaction: LedgerTransaction): number => {
  transaction.appendAudit(someAudit());
  return transaction.appendEvent(someEvent()).sequence;
};

const appendLarge = (transaction: LedgerTransaction): number =>
  transaction.appendEvent(someEvent({ crmId: 'x'.repeat(100_000) })).sequence;

/** Books with one entry, and what is heard of their storage. */
async function openWatched(): Promise<{ books: Books; heard: Heard[] }> {
  const books = await openBooks();
  const heard: Heard[] = [];
  books.writer.onStorageChange((failure) => heard.push(failure));
  await books.writer.submit(append);
  return { books, heard };
}

/** The error that callers get. */
async function refusal(job: Promise<unknown>): Promise<AttemptError> {
  const error = await job.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof AttemptError) return error;
  throw new Error('the job was not refused', { cause: error });
}

const isWellAgain = ({ writer }: Books) => eventually(() => writer.isWritable);

/** Both logs run from 1 to n, and the chain holds. */
async function expectUnbroken(books: Books, n: number): Promise<void> {
  for (const table of ['SessionEvent', 'AuditEntry']) {
    const ends = books.outside.get(
      `SELECT min(sequence) AS first, max(sequence) AS last, count(*) AS n FROM "${table}"`,
    );
    expect(ends).toEqual({ first: 1, last: n, n });
  }
  expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: n });
}

/** Lets the file grow no more. @returns what ends that */
function limitSize({ db }: Books): () => void {
  const { page_count } = db.get<{ page_count: number }>('PRAGMA page_count')!;
  db.get(`PRAGMA max_page_count = ${page_count}`);
  return () => void db.get('PRAGMA max_page_count = 1000000');
}

describe('a full disk', () => {
  it('refuses the whole group with a typed error, and lets it in when there is room', async () => {
    const { books, heard } = await openWatched();
    const makeRoom = limitSize(books);

    const jobs = [append, appendLarge, append].map((job) => refusal(books.writer.submit(job)));

    for (const error of await Promise.all(jobs)) {
      expect(error).toMatchObject({
        code: 'LEDGER_UNAVAILABLE',
        retryable: true,
        retryAfterSeconds: 5,
        detail: 'the database cannot be written: database or disk is full (SQLITE_FULL)',
      });
    }
    expect(books.writer.isWritable).toBe(false);
    expect(books.db.isInTransaction).toBe(false);
    expect(books.count('SessionEvent')).toBe(1);

    makeRoom();

    await isWellAgain(books);
    expect(heard).toEqual([{ detail: 'database or disk is full (SQLITE_FULL)', isDamage: false }, null]);
    expect(await books.writer.submit(append)).toBe(2);
    await expectUnbroken(books, 2);
  });

  it('is over when a probe finds room for a full group, not when something small got in', async () => {
    const { books, heard } = await openWatched();
    const makeRoom = limitSize(books);
    await refusal(books.writer.submit(appendLarge));

    expect(await books.writer.submit(append)).toBe(2);
    expect(await books.writer.submit(() => 'nothing to write')).toBe('nothing to write');
    // Longer than a probe takes to come.
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    expect(books.writer.isWritable).toBe(false);

    makeRoom();

    await isWellAgain(books);
    expect(heard).toHaveLength(2);
    expect(await books.writer.submit(append)).toBe(3);
    await expectUnbroken(books, 3);
  });

  it('leaves no trace of the probes: neither in the schema nor in the size of the file', async () => {
    const { books } = await openWatched();
    const look = () => ({
      schema: books.outside.all('SELECT * FROM sqlite_schema'),
      pages: books.outside.get('PRAGMA page_count'),
      version: books.outside.get('PRAGMA user_version'),
      settings: ['busy_timeout', 'cache_size'].map((name) => books.db.get(`PRAGMA ${name}`)),
    });
    const before = look();
    const makeRoom = limitSize(books);
    await refusal(books.writer.submit(appendLarge));
    makeRoom();

    await isWellAgain(books);

    expect(look()).toEqual(before);
  });

  it('takes back what its group had counted', async () => {
    const { books } = await openWatched();
    const at = new Date('2026-11-22T15:00:30Z');
    const count = ({ measurements }: LedgerTransaction) => measurements.push({ of: 'crm', at, delivered: true });
    await books.writer.submit(count);
    const makeRoom = limitSize(books);
    await Promise.all([count, appendLarge].map((job) => refusal(books.writer.submit(job))));
    makeRoom();

    await books.writer.submit(count);

    const [bucket] = books.outside.all<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket"');
    expect(JSON.parse(bucket?.buckets ?? '').crm).toEqual({ delivered: 2, dead: 0 });
  });
});

it('a database that cannot be written to refuses with a typed error until it can', async () => {
  const { books, heard } = await openWatched();
  books.db.exec('PRAGMA query_only = ON');

  const { detail } = await refusal(books.writer.submit(append));

  expect(detail).toBe('the database cannot be written: attempt to write a readonly database (SQLITE_READONLY)');
  expect(books.writer.isWritable).toBe(false);

  books.db.exec('PRAGMA query_only = OFF');

  await isWellAgain(books);
  expect(heard).toHaveLength(2);
  expect(await books.writer.submit(append)).toBe(2);
  await expectUnbroken(books, 2);
});

it('a database that another program does not let go of refuses with a typed error until it does', async () => {
  const { books, heard } = await openWatched();
  books.db.exec('PRAGMA busy_timeout = 20');
  const other = new SqliteConnection(books.path);
  other.begin();

  const { detail } = await refusal(books.writer.submit(append));

  expect(detail).toBe('the database cannot be written: database is locked (SQLITE_BUSY)');
  expect(books.writer.isWritable).toBe(false);

  other.rollback();
  other.close();

  await isWellAgain(books);
  expect(heard).toHaveLength(2);
  expect(await books.writer.submit(append)).toBe(2);
  await expectUnbroken(books, 2);
});

it('a damaged database refuses, and is not well again because it can be written to: it has to be whole', async () => {
  const { books } = await openWatched();
  const { db, path, writer } = books;
  // All is in the file, and nothing in memory.
  const forget = () => db.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory');
  forget();
  const { page_size } = db.get<{ page_size: number }>('PRAGMA page_size')!;
  const root = db.get<{ rootpage: number }>(`SELECT rootpage FROM sqlite_schema WHERE name = 'SessionEvent'`)!.rootpage;
  const offset = (root - 1) * page_size;
  const file = openSync(path, 'r+');
  const whole = Buffer.alloc(page_size);
  readSync(file, whole, 0, page_size, offset);
  writeSync(file, Buffer.alloc(page_size, 0xee), 0, page_size, offset);

  const { detail } = await refusal(writer.submit(append));

  expect(detail).toMatch(/database disk image is malformed \(SQLITE_CORRUPT/);
  await new Promise((resolve) => setTimeout(resolve, 1_300));
  expect(writer.isWritable).toBe(false);

  writeSync(file, whole, 0, page_size, offset);
  closeSync(file);
  forget();

  await isWellAgain(books);
  expect(await writer.submit(append)).toBe(2);
  await expectUnbroken(books, 2);
});

describe('what is no failure of the storage', () => {
  it('is a constraint, faulty SQL, or an error of ours', async () => {
    const { books } = await openWatched();
    const jobs = [
      (transaction: LedgerTransaction) => transaction.insert('SessionEvent', transaction.appendEvent(someEvent())),
      ({ db }: LedgerTransaction) => db.run('UPDATE "nowhere" SET "x" = 1'),
      () => {
        throw new TypeError('a bug');
      },
    ];
    for (const job of jobs) {
      const error = await books.writer.submit<unknown>(job).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(AttemptError);
      expect(storageFailureOf(error)).toBeNull();
    }
    expect(books.writer.isWritable).toBe(true);
  });
});
