import { describe, expect, it, onTestFinished } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import type { LedgerTransaction } from '../../src/store/ledger-transaction.js';
import { LedgerWriter } from '../../src/store/ledger-writer.js';
import { MinuteCounter } from '../../src/store/minute-counter.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { eventually } from '../support/eventually.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { type Books, commitsInWal, openBooks, someAudit, someEvent } from './ledger.js';

const append = (transaction: LedgerTransaction): number => {
  transaction.appendAudit(someAudit());
  return transaction.appendEvent(someEvent()).sequence;
};

const fail = (transaction: LedgerTransaction): never => {
  append(transaction);
  throw new Error('this job fails');
};

const sequencesOf = (books: Books, table: 'SessionEvent' | 'AuditEntry'): number[] =>
  books.outside
    .all<{ sequence: number }>(`SELECT sequence FROM "${table}" ORDER BY sequence`)
    .map((row) => row.sequence);

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** Both logs run from 1 to n, and the chain holds. */
async function expectUnbroken(books: Books, n: number): Promise<void> {
  expect(sequencesOf(books, 'SessionEvent')).toEqual(upTo(n));
  expect(sequencesOf(books, 'AuditEntry')).toEqual(upTo(n));
  expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: n });
}

describe('a group commit', () => {
  it('is one for all jobs of one turn of the event loop', async () => {
    const books = await openBooks();
    const before = commitsInWal(books.path);
    const sequences = await Promise.all(upTo(40).map(() => books.writer.submit(append)));
    expect(sequences).toEqual(upTo(40));
    expect(commitsInWal(books.path)).toBe(before + 1);
  });

  it('is one for each turn where jobs come one after the other', async () => {
    const books = await openBooks();
    const before = commitsInWal(books.path);
    for (let i = 0; i < 3; i++) await books.writer.submit(append);
    expect(commitsInWal(books.path)).toBe(before + 3);
  });

  it('holds at most 64 jobs, and lets the event loop turn before the next', async () => {
    const books = await openBooks();
    const before = commitsInWal(books.path);
    const settled: number[] = [];
    const jobs = upTo(150).map(() => books.writer.submit(append).then((sequence) => settled.push(sequence)));
    const settledAtTurn: number[] = [];
    while (settled.length < 150) {
      await new Promise(setImmediate);
      settledAtTurn.push(settled.length);
    }
    await Promise.all(jobs);
    expect([...new Set(settledAtTurn)].filter((n) => n > 0)).toEqual([64, 128, 150]);
    expect(settled).toEqual(upTo(150));
    expect(commitsInWal(books.path)).toBe(before + 3);
  });

  it('is visible to other connections when a promise resolves, and not a moment earlier', async () => {
    const books = await openBooks();
    let seenInside = -1;
    await books.writer.submit((transaction) => {
      append(transaction);
      seenInside = books.count('SessionEvent');
    });
    expect(seenInside).toBe(0);
    expect(books.count('SessionEvent')).toBe(1);
  });

  it('gives each job its own result', async () => {
    const books = await openBooks();
    const results = await Promise.all([
      books.writer.submit(() => 'a'),
      books.writer.submit(() => undefined),
      books.writer.submit(({ db }) => db.get('SELECT 7 AS n')),
    ]);
    expect(results).toEqual(['a', undefined, { n: 7 }]);
  });
});

describe('a job that fails', () => {
  it('rolls back its own writes alone, and leaves no gap in the sequences or the chain', async () => {
    const books = await openBooks();
    const outcomes = await Promise.allSettled([
      books.writer.submit(append),
      books.writer.submit(fail),
      books.writer.submit(append),
      books.writer.submit(fail),
      books.writer.submit(append),
    ]);
    expect(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : String(outcome.reason))),
    ).toEqual([1, 'Error: this job fails', 2, 'Error: this job fails', 3]);
    await expectUnbroken(books, 3);
  });

  it('may fail on a constraint: that undoes nothing of its neighbours', async () => {
    const books = await openBooks();
    const twice = (transaction: LedgerTransaction) => {
      append(transaction);
      const event = transaction.appendEvent(someEvent());
      transaction.insert('SessionEvent', event);
    };
    const [ok, failed, alsoOk] = await Promise.allSettled(
      [append, twice, append].map((job) => books.writer.submit(job)),
    );
    expect([ok?.status, failed?.status, alsoOk?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(String((failed as PromiseRejectedResult).reason)).toContain('append-only');
    await expectUnbroken(books, 2);
  });

  it('is the last of its group without harm, also when it is alone', async () => {
    const books = await openBooks();
    await expect(books.writer.submit(fail)).rejects.toThrow('this job fails');
    expect(await books.writer.submit(append)).toBe(1);
    await expectUnbroken(books, 1);
  });

  it('leaves nothing behind for listeners: no event, delivery or measurement', async () => {
    const books = await openBooks();
    const heard: LedgerTransaction[] = [];
    books.writer.onCommit((committed) => heard.push(committed));
    await Promise.allSettled([
      books.writer.submit(append),
      books.writer.submit((transaction) => {
        transaction.appendEvent(someEvent({ type: 'SESSION_INITIATED' }));
        transaction.measurements.push({ of: 'crm', at: new Date(), delivered: true });
        throw new Error('this job fails');
      }),
    ]);
    expect(
      heard.map(({ events, deliveries, measurements }) => [events.length, deliveries.length, measurements.length]),
    ).toEqual([[1, 0, 0]]);
    expect([books.count('WebhookDelivery'), books.count('MetricBucket')]).toEqual([0, 0]);
  });
});

describe('a job that nobody waits for', () => {
  it('is committed soon, without company', async () => {
    const books = await openBooks();
    await books.writer.submit(append, { linger: true });
    expect(books.count('SessionEvent')).toBe(1);
  });

  it('shares the commit of the next one that somebody waits for', async () => {
    const books = await openBooks();
    const before = commitsInWal(books.path);
    const lingering = upTo(10).map(() => books.writer.submit(append, { linger: true }));
    expect(await books.writer.submit(append)).toBe(11);
    expect(await Promise.all(lingering)).toEqual(upTo(10));
    expect(commitsInWal(books.path)).toBe(before + 1);
  });

  it('does not linger where a full group has gathered', async () => {
    const books = await openBooks();
    const jobs = upTo(64).map(() => books.writer.submit(append, { linger: true }));
    await new Promise(setImmediate);
    expect(books.count('SessionEvent')).toBe(64);
    await Promise.all(jobs);
  });
});

describe('disposing of the writer', () => {
  it('commits what is queued, lingering jobs and more than one group included', async () => {
    const books = await openBooks();
    const jobs = [
      ...upTo(100).map(() => books.writer.submit(append)),
      ...upTo(30).map(() => books.writer.submit(append, { linger: true })),
    ];
    await books.writer[Symbol.asyncDispose]();
    expect(await Promise.all(jobs)).toEqual(upTo(130));
    await expectUnbroken(books, 130);
  });

  it('also commits what its jobs have led to', async () => {
    const books = await openBooks();
    const chained = books.writer.submit(append).then(() => books.writer.submit(append, { linger: true }));
    await books.writer[Symbol.asyncDispose]();
    expect(await chained).toBe(2);
  });
});

describe('a commit that fails', () => {
  /** Rows of it break a foreign key, which is not looked at before the commit. */
  const breakAtCommit = ({ db }: LedgerTransaction) => db.run('INSERT INTO "child" VALUES (?)', 404);
  const withDeferred = async () => {
    const books = await openBooks();
    books.db.exec(`CREATE TABLE "parent" ("id" INTEGER PRIMARY KEY);
      CREATE TABLE "child" ("parent" INTEGER REFERENCES "parent" DEFERRABLE INITIALLY DEFERRED)`);
    return books;
  };

  it('rejects all jobs of its group, and the logs go on without gap', async () => {
    const books = await withDeferred();
    await books.writer.submit(append);
    const outcomes = await Promise.allSettled([append, breakAtCommit, append].map((job) => books.writer.submit(job)));
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: /FOREIGN KEY/ } });
    expect(books.db.isInTransaction).toBe(false);
    expect(books.writer.eventSequence).toBe(1);
    expect(await books.writer.submit(append)).toBe(2);
    await expectUnbroken(books, 2);
  });

  it('is not heard of by listeners', async () => {
    const books = await withDeferred();
    const heard: number[] = [];
    books.writer.onCommit(({ events }) => heard.push(...events.map(({ sequence }) => sequence)));
    await Promise.allSettled([append, breakAtCommit].map((job) => books.writer.submit(job)));
    await books.writer.submit(append);
    expect(heard).toEqual([1]);
  });

  it('takes back what its measurements had counted', async () => {
    const books = await withDeferred();
    const at = new Date('2026-11-22T15:00:30Z');
    const count = ({ measurements }: LedgerTransaction) => measurements.push({ of: 'crm', at, delivered: true });
    await books.writer.submit(count);
    await Promise.allSettled([count, breakAtCommit].map((job) => books.writer.submit(job)));
    await books.writer.submit(count);
    const [bucket] = books.outside.all<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket"');
    expect(JSON.parse(bucket?.buckets ?? '').crm).toEqual({ delivered: 2, dead: 0 });
  });
});

describe('listeners', () => {
  it('hear of commits in order, after each other and before any promise resolves', async () => {
    const books = await openBooks();
    const heard: string[] = [];
    books.writer.onCommit(({ events }) => heard.push(`first ${events.map(({ sequence }) => sequence)}`));
    books.writer.onCommit(() => heard.push(`second sees ${books.count('SessionEvent')}`));
    await Promise.all(
      upTo(2).map(() => books.writer.submit(append).then((sequence) => heard.push(`answer ${sequence}`))),
    );
    await books.writer.submit(append);
    expect(heard).toEqual(['first 1,2', 'second sees 2', 'answer 1', 'answer 2', 'first 3', 'second sees 3']);
  });
});

it('a writer goes on where the one before it on the same file ended', async () => {
  const books = await openBooks();
  await Promise.all(upTo(5).map(() => books.writer.submit(append)));
  await books.writer[Symbol.asyncDispose]();
  const next = new LedgerWriter(books.db, books.vault, new MinuteCounter(), []);
  expect(next.eventSequence).toBe(5);
  expect(await next.submit(append)).toBe(6);
  await expectUnbroken(books, 6);
});

describe('two writers on one file, as two processes have them', () => {
  const openTwo = async () => {
    const books = await openBooks();
    const db = new SqliteConnection(books.path);
    onTestFinished(() => db.close());
    return {
      books,
      first: books.writer,
      second: new LedgerWriter(db, GuestVault.open(db, MASTER_KEYS), new MinuteCounter(), []),
    };
  };

  it('append by turns to one unbroken log', async () => {
    const { books, first, second } = await openTwo();
    const sequences: number[] = [];
    for (let i = 0; i < 10; i++) {
      sequences.push(await first.submit(append), await second.submit(append));
      if (i % 3 === 0) sequences.push(await second.submit(append));
    }
    expect(sequences).toEqual(upTo(24));
    expect([first.eventSequence, second.eventSequence]).toEqual([22, 24]);
    await expectUnbroken(books, 24);
  });

  it('append at once to one unbroken log, whatever becomes of the jobs', async () => {
    const { books, first, second } = await openTwo();
    const outcomes = await Promise.allSettled(
      upTo(200).map((n) => (n % 2 === 0 ? first : second).submit(n % 7 === 0 ? fail : append)),
    );
    const sequences = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [Number(outcome.value)] : []));
    expect(sequences.toSorted((a, b) => a - b)).toEqual(upTo(172));
    await expectUnbroken(books, 172);
  });

  it('count in one row what both have measured', async () => {
    const { books, first, second } = await openTwo();
    const at = new Date('2026-11-22T15:00:30Z');
    const count = ({ measurements }: LedgerTransaction) => measurements.push({ of: 'crm', at, delivered: true });
    for (const writer of [first, second, first, second]) await writer.submit(count);
    const [bucket] = books.outside.all<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket"');
    expect(JSON.parse(bucket?.buckets ?? '').crm).toEqual({ delivered: 4, dead: 0 });
  });
});

it('jobs that are submitted from everywhere at once come out as one unbroken log', async () => {
  const books = await openBooks();
  let done = 0;
  const visitor = async (n: number) => {
    for (let i = 0; i < 5; i++) {
      const job = (n + i) % 4 === 0 ? fail : append;
      await books.writer.submit<unknown>(job, { linger: n % 3 === 0 }).then(
        () => {
          done += 1;
        },
        () => undefined,
      );
    }
  };
  await Promise.all(upTo(60).map(visitor));
  await eventually(() => books.count('SessionEvent') === done);
  await expectUnbroken(books, done);
});
