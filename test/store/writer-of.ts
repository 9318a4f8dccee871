import type { OpenedDatabase } from '../../src/store/open-database.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';

const writers = new Map<OpenedDatabase, SqliteConnection>();

/** A connection that writes to an opened database, as the ledger's thread has one; the same for every call. */
export function writerOf(database: OpenedDatabase): SqliteConnection {
  const writer = writers.get(database) ?? new SqliteConnection(database.path);
  writers.set(database, writer);
  return writer;
}

/** Closes the database, and the connection that writes to it, if there is one. */
export async function closeWithWriter(database: OpenedDatabase): Promise<void> {
  writers.get(database)?.close();
  writers.delete(database);
  await database.close();
}
