import { existsSync } from 'node:fs';
import { StartupError } from '../errors.js';
import { MIGRATIONS } from '../paths.js';
import { fileOf, unopenable } from './database-file.js';
import { pendingMigrations } from './migrate.js';
import { SqliteConnection } from './sqlite-connection.js';

/**
 * Opens a database to write to it while a server may have it open as well, and closes it after the work. The server goes on
 * where the file is.
 * @param url as in `DATABASE_URL`
 * @throws StartupError when there is none, or it is not as this program's server would have made it
 */
export async function withDatabaseBesideServer<T>(url: string, work: (db: SqliteConnection) => Promise<T>): Promise<T> {
  const path = fileOf(url);
  if (!existsSync(path)) throw new StartupError(`There is no database ${path} (DATABASE_URL).`);
  assertUpToDate(path);
  const db = new SqliteConnection(path);
  try {
    return await work(db);
  } finally {
    // Emptying the log is left to the server where others read it: waiting for them here would hold up its writer.
    db.exec('PRAGMA busy_timeout = 0');
    db.close();
  }
}

/** A look that changes nothing: opening a writer already turns a file to WAL. */
function assertUpToDate(path: string): void {
  let connection: SqliteConnection | undefined;
  try {
    connection = new SqliteConnection(path, { readOnly: true });
    const [pending] = pendingMigrations(connection, MIGRATIONS);
    if (!pending) return;
  } catch (error) {
    throw unopenable(path, error);
  } finally {
    connection?.close();
  }
  throw new StartupError(`The database ${path} is of an earlier version: start the server on it once.`);
}
