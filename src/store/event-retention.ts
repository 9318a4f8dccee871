import type { LedgerTransaction } from './ledger-transaction.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Sequence of the oldest event that is kept, or of the next one where none is. */
export const firstEventSequence = (db: SqliteConnection): number =>
  db.get<{ firstSequence: number }>('SELECT "firstSequence" FROM "SessionEventLog" WHERE "id" = 1')?.firstSequence ?? 1;

/** The oldest event; to be asked with the sequence that the log begins with. */
export const OLDEST_EVENT = 'SELECT "occurredAt" FROM "SessionEvent" WHERE "sequence" = ?';

/**
 * Removes at most `limit` events from the old end of the log, and says where it begins now: a cursor before that is expired. It
 * stops at the first event that has to be kept, so that what is left has no gaps. @returns how many
 */
export function removeOldEvents(
  { db }: LedgerTransaction,
  { before, limit }: { readonly before: Date; readonly limit: number },
): number {
  const first = firstEventSequence(db);
  const oldest = db.all<{ sequence: number; occurredAt: number }>(
    'SELECT "sequence", "occurredAt" FROM "SessionEvent" WHERE "sequence" >= ? ORDER BY "sequence" LIMIT ?',
    first,
    limit,
  );
  const kept = oldest.findIndex(({ occurredAt }) => occurredAt >= before.getTime());
  const removed = kept === -1 ? oldest.length : kept;
  if (removed === 0) return 0;
  // The trigger that protects the log lets go of what is before its beginning.
  db.run('UPDATE "SessionEventLog" SET "firstSequence" = ? WHERE "id" = 1', first + removed);
  return db.run('DELETE FROM "SessionEvent" WHERE "sequence" >= ? AND "sequence" < ?', first, first + removed);
}
