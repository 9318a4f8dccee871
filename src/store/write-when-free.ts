import { setTimeout as sleep } from 'node:timers/promises';
import { isBusy } from './database-lock.js';
import type { SqliteConnection } from './sqlite-connection.js';

const LOOK_EVERY_MS = 1;
const GIVE_UP_AFTER_MS = 60_000;
const LEAST_REST_MS = 5;

/**
 * Writes in one transaction beside a server that writes as well. Under load that leaves the lock free for moments only, and
 * SQLite's own waiting, which looks every tenth of a second in the end, hardly ever meets one. Afterwards the lock is left alone
 * for as long as it was held, so that the server, which does wait in that way, meets it free.
 * @throws the driver's error when the lock is not free within a minute, and what `write` throws
 */
export async function writeWhenFree<T>(db: SqliteConnection, write: () => T): Promise<T> {
  await beginWhenFree(db);
  const begunAt = performance.now();
  try {
    const value = write();
    db.commit();
    return value;
  } catch (error) {
    db.rollback();
    throw error;
  } finally {
    await sleep(Math.max(LEAST_REST_MS, performance.now() - begunAt));
  }
}

async function beginWhenFree(db: SqliteConnection): Promise<void> {
  const usualMs = db.get<{ timeout: number }>('PRAGMA busy_timeout')?.timeout ?? 0;
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  db.exec('PRAGMA busy_timeout = 0');
  try {
    for (;;) {
      try {
        db.begin();
        return;
      } catch (error) {
        if (!isBusy(error) || performance.now() > giveUpAt) throw error;
      }
      await sleep(LOOK_EVERY_MS);
    }
  } finally {
    db.exec(`PRAGMA busy_timeout = ${usualMs}`);
  }
}
