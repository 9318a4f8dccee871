import { statSync } from 'node:fs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { WriteAheadLog } from '../../src/store/write-ahead-log.js';
import { eventually } from '../support/eventually.js';
import { erase, guestWithHistory } from './erasures.js';
import { type Books, openBooks, openSession } from './ledger.js';

/** A reader that holds on to what the write-ahead log says; the time of the tries is set by hand. */
async function logBesideReader() {
  const books = await openBooks();
  const reader = new SqliteConnection(books.path, { readOnly: true });
  onTestFinished(() => reader.close());
  reader.exec('BEGIN');
  reader.get('SELECT count(*) FROM "GuestSession"');
  await openSession(books);
  const tries = vi.spyOn(books.db, 'emptyLog');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const log = new WriteAheadLog(books.db);
  onTestFinished(() => {
    log[Symbol.dispose]();
    vi.useRealTimers();
  });
  const told = vi.fn();
  log.onKept(told);
  return { books, reader, log, tries, told, size: () => statSync(`${books.path}-wal`).size };
}

describe('beside a reader that does not finish, the write-ahead log', () => {
  it('is tried to be emptied for as long as it takes, and somebody is told once', async () => {
    const { reader, log, told, size } = await logBesideReader();
    log.empty();
    vi.advanceTimersByTime(59_000);
    expect(told).not.toHaveBeenCalled();
    vi.advanceTimersByTime(300_000);
    expect(told).toHaveBeenCalledTimes(1);
    expect(size()).toBeGreaterThan(0);

    reader.exec('COMMIT');
    vi.advanceTimersByTime(5_000);
    expect(size()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is waited for inside SQLite once, and then tried ever more seldom', async () => {
    const { books, log, tries } = await logBesideReader();
    const beganMs = performance.now();
    const atMs: number[] = [];
    const emptyLog = SqliteConnection.prototype.emptyLog.bind(books.db);
    tries.mockImplementation((busyTimeoutMs) => {
      atMs.push(performance.now() - beganMs);
      return emptyLog(busyTimeoutMs);
    });
    log.empty();
    const startedAt = process.hrtime.bigint();
    vi.advanceTimersByTime(60_000);
    log.empty(); // another guest is erased

    // A try that waits takes 50 ms: these were 17.
    expect(Number(process.hrtime.bigint() - startedAt) / 1e6).toBeLessThan(400);
    expect(atMs).toEqual([
      ...[0, 100, 300, 700, 1_500, 3_100, 6_300],
      ...Array.from({ length: 10 }, (_, index) => 11_300 + 5_000 * index),
      60_000,
    ]);
    expect(tries.mock.calls.flat()).toEqual([50, ...atMs.slice(1).map(() => 0)]);
    expect(books.db.get('PRAGMA busy_timeout')).toEqual({ timeout: 5_000 });
  });

  it('is waited for again, and soon, once it was emptied in between', async () => {
    const { books, reader, log, tries, size } = await logBesideReader();
    log.empty();
    vi.advanceTimersByTime(10_000);
    reader.exec('COMMIT');
    log.empty();
    expect(size()).toBe(0);

    await openSession(books);
    reader.exec('BEGIN');
    reader.get('SELECT count(*) FROM "GuestSession"');
    tries.mockClear();
    log.empty();
    vi.advanceTimersByTime(300);
    expect(tries.mock.calls.flat()).toEqual([50, 0, 0]);
  });
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

  it('is emptied soon when nobody holds on any more to what it says', async () => {
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
