import { requestIdBound } from '../guest-session/request-id.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import type { SqliteConnection } from './sqlite-connection.js';

const OVER = ['ENDED', 'EXPIRED', 'FAILED'];

/**
 * What makes a session `s` one that nothing needs any more: it is over, CXone need not be asked about it, no webhook of it is
 * still to be sent, and no idempotency key stands for it. A key is forgotten before, but for one that was given under a longer
 * `IDEMPOTENCY_TTL_HOURS` than the server has now.
 */
const IS_REMOVABLE = `s."status" IN (${OVER.map((status) => `'${status}'`).join(', ')}) AND s."reconcileAt" IS NULL
  AND NOT EXISTS (SELECT 1 FROM "WebhookDelivery" d WHERE d."requestId" = s."id" AND d."status" = 'PENDING')
  AND NOT EXISTS (SELECT 1 FROM "IdempotencyKey" k WHERE k."callerName" = s."callerName" AND k."key" = s."idempotencyKey"
    AND s."id" IN (k."requestId", k."unsettledRequestId"))`;

/** How many sessions are looked at in search of some to be removed: a few milliseconds. */
const LOOK_SIZE = 1_000;

const OF_STATUS =
  'SELECT * FROM (SELECT "id" FROM "GuestSession" WHERE "status" = ? AND "id" > ? AND "id" < ? ORDER BY "id" LIMIT ?)';
const OLD_SESSIONS = `SELECT o."id", EXISTS (SELECT 1 FROM "GuestSession" s WHERE s."id" = o."id" AND ${IS_REMOVABLE}) AS "isRemovable"
  FROM (${OVER.map(() => OF_STATUS).join(' UNION ALL ')} ORDER BY "id" LIMIT ?) o ORDER BY o."id"`;

/** Before the first session. */
export const FIRST_SESSION = '';

/** Where to look for sessions to be removed. */
interface Look {
  /** The id that the look before came to. */
  readonly after: string;
  /** Asked for before this time. */
  readonly before: Date;
  readonly limit: number;
}

/** What a look has found. */
interface Found {
  readonly ids: readonly string[];
  /** Where the next look goes on. */
  readonly last: string;
}

/**
 * Looks for at most `limit` sessions to be removed, the oldest first.
 *
 * What is kept costs little, however much of it lies at the old end: sessions that are open are in no range that is read, and
 * those that are over and kept all the same are passed once a lap. A look ends after so many of them, the next one goes on
 * behind it, and at the end it begins again.
 */
export function findOldSessions(db: SqliteConnection, { after, before, limit }: Look): Found {
  const bounds = [after, requestIdBound(before), LOOK_SIZE];
  const ranges = OVER.flatMap((status) => [status, ...bounds]);
  const seen = db.all<{ id: string; isRemovable: number }>(OLD_SESSIONS, ...ranges, LOOK_SIZE);
  const removable = seen.filter(({ isRemovable }) => isRemovable === 1).map(({ id }) => id);
  const ids = removable.slice(0, limit);
  const isCut = ids.length < removable.length;
  const last = isCut ? ids.at(-1) : seen[LOOK_SIZE - 1]?.id;
  return { ids, last: last ?? FIRST_SESSION };
}

/** Removes these sessions, but for those that are needed again since they were found. @returns how many */
export function removeOldSessions({ db }: LedgerTransaction, { ids }: { readonly ids: readonly string[] }): number {
  const sql = `DELETE FROM "GuestSession" AS s WHERE s."id" = ? AND ${IS_REMOVABLE}`;
  return ids.reduce((removed, id) => removed + db.run(sql, id), 0);
}
