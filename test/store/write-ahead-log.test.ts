import { statSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { WriteAheadLog } from '../../src/store/write-ahead-log.js';
import { eventually } from '../support/eventually.js';
import { erase, guestWithHistory } from './erasures.js';
import { type Books, openBooks, openSession } from './ledger.js';

it('somebody is told when the write-ahead log stays in use, and it is emptied in the end all the same', {
  timeout: 15_000,
}, async () => {
  const books = await openBooks();
  const reader = new SqliteConnection(books.path, { readOnly: true });
  onTestFinished(() => reader.close());
  reader.exec('BEGIN');
  reader.get('SELECT count(*) FROM "GuestSession"');
  await openSession(books);
  const log = new WriteAheadLog(books.db, 2);
  onTestFinished(() => log[Symbol.dispose]());
  let told = 0;
  log.onKept(() => {
    told += 1;
  });

  log.empty();
  await eventually(() => told);
  expect(statSync(`${books.path}-wal`).size).toBeGreaterThan(0);
  reader.exec('COMMIT');
  await eventually(() => statSync(`${books.path}-wal`).size === 0, 10_000);
  expect(told).toBe(1);
});

describe('the write-ahead log after an erasure', () => {
  const size = (books: Books) => statSync(`${books.path}-wal`).size;

  it('is empty', async () => {
    const books = await openBooks();
    const { guestId } = await guestWithHistory(books);
    expect(size(books)).toBeGreaterThan(0);
    await erase(books, guestId);
    expect(size(books)).toBe(0);
  });

  it('is emptied as soon as nobody holds on to what it says', async () => {
    const books = await openBooks();
    const { guestId } = await guestWithHistory(books);
    const shell = new SqliteConnection(books.path, { readOnly: true });
    shell.exec('BEGIN');
    shell.get('SELECT count(*) FROM "GuestSession"');
    await erase(books, guestId);
    expect(size(books)).toBeGreaterThan(0);
    shell.close();
    await eventually(() => size(books) === 0);
  });
});
