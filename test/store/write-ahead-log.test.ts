import { statSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { WriteAheadLog } from '../../src/store/write-ahead-log.js';
import { eventually } from '../support/eventually.js';
import { openBooks, openSession } from './ledger.js';

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
