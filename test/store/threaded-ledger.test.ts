import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { openDatabase } from '../../src/store/open-database.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { ThreadedLedger } from '../../src/store/threaded-ledger.js';
import { eventually } from '../support/eventually.js';
import { MASTER_KEYS } from '../support/opened-connection.js';

async function startLedger() {
  const directory = mkdtempSync(join(tmpdir(), 'threaded-ledger-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const database = await openDatabase(`file:${join(directory, 'test.db')}`, () => MASTER_KEYS);
  onTestFinished(() => database.close());
  const ledger = await ThreadedLedger.start({ path: database.path, masterKeys: MASTER_KEYS, webhookEvents: [] });
  onTestFinished(() => ledger[Symbol.asyncDispose]());
  return { ledger, path: database.path };
}

const claim = (ledger: ThreadedLedger) => ledger.execute('claimDeliveries', { limit: 1, now: new Date() });

it('a failure of the storage reaches the main thread as the error that it is, after the news of it', async () => {
  const { ledger, path } = await startLedger();
  const heard: unknown[] = [];
  ledger.onStorageChange((failure) => heard.push(failure));
  expect(ledger.isWritable).toBe(true);
  const other = new SqliteConnection(path);
  other.begin();

  // Refused when SQLite has waited for the lock for five seconds.
  const error = await claim(ledger).catch((reason: unknown) => {
    heard.push('refused');
    return reason;
  });

  expect(error).toBeInstanceOf(AttemptError);
  expect(error).toMatchObject({
    code: 'LEDGER_UNAVAILABLE',
    status: 'FAILED',
    retryable: true,
    retryAfterSeconds: 5,
    detail: 'the database cannot be written: database is locked (SQLITE_BUSY)',
  });
  expect(ledger.isWritable).toBe(false);

  other.rollback();
  other.close();

  await eventually(() => ledger.isWritable);
  expect(heard).toEqual([{ detail: 'database is locked (SQLITE_BUSY)', isDamage: false }, 'refused', null]);
  expect(await claim(ledger)).toEqual([]);
});

it('an error of any other kind keeps its message, and leaves the ledger writable', async () => {
  const { ledger } = await startLedger();
  const error = await ledger
    .execute('claimDeliveries', { limit: Number.NaN, now: new Date() })
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(AttemptError);
  expect(ledger.isWritable).toBe(true);
});
