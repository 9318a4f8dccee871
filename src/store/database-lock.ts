import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';
import { StartupError } from '../errors.js';

const SQLITE_BUSY = 5;

/** Enough for two servers that start at one moment to sort out which of them goes first. */
const WAIT_MS = 250;

/** Held from `lockDatabase` until `release`, or until the process ends in whatever way. */
export interface DatabaseLock {
  release(): void;
}

/**
 * Keeps other servers off a database file. The lock is a write lock on an empty SQLite file beside it, so that the operating
 * system frees it when its holder dies: there are no stale locks. A write lock lets others read, so the file can also say
 * who holds it, as its `user_version`. It stays behind when released: to delete it would let two processes lock two files
 * of one name.
 * @throws StartupError that names the file and the process that holds it
 * @throws Error when the lock file cannot be made
 */
export function lockDatabase(path: string): DatabaseLock {
  const database = openLockFile(`${path}.lock`);
  try {
    // The number is written in a first transaction and the lock held by a second one, which writes nothing: a journal that
    // outlived its holder would otherwise have to be played back by the next.
    database.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${process.pid}; COMMIT; BEGIN IMMEDIATE`);
  } catch (error) {
    const holder = isBusy(error) ? holderOf(database) : undefined;
    database.close();
    if (holder === undefined) throw unusable(`${path}.lock`, error);
    throw new StartupError(
      `The database ${path} is in use by another server (process ${holder}). Only one server may write to a file: stop that ` +
        'one, or set DATABASE_URL to another file.',
    );
  }
  return {
    release: () => {
      if (!database.isOpen) return;
      database.exec('ROLLBACK');
      database.close();
    },
  };
}

function openLockFile(path: string): DatabaseSyncInstance {
  try {
    return new DatabaseSync(path, { timeout: WAIT_MS });
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): Error {
  return new Error(`the lock file ${path}: ${(error as Error).message}`, { cause: error });
}

/** Whether another connection holds the lock that was asked for. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function holderOf(database: DatabaseSyncInstance): number | string {
  try {
    return Number(database.prepare('PRAGMA user_version').get().user_version);
  } catch {
    // It is being written this very moment.
    return 'unknown';
  }
}
