import { steadyNow } from '../guest-session/steady-clock.js';
import { firstEventSequence, OLDEST_EVENT } from './event-retention.js';
import { IS_OVER } from './expiry-commands.js';
import { IS_FORGETTABLE } from './idempotency-commands.js';
import type { Ledger } from './ledger.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** One kind of what is over after a time. */
interface Expiry {
  /** Sees to at most `limit` that are over, the longest overdue first. @returns how many */
  expireDue(limit: number): Promise<number>;
}

/** Asks a reader first: no commit for nothing. */
const expiry = (isAnyOver: () => boolean, expireDue: Expiry['expireDue']): Expiry => ({
  expireDue: async (limit) => (isAnyOver() ? expireDue(limit) : 0),
});

/** Sessions whose time is over are marked so. */
export const sessionExpiry = (ledger: Ledger, reader: SqliteConnection): Expiry =>
  expiry(
    () => reader.get(`SELECT 1 FROM "GuestSession" WHERE ${IS_OVER} LIMIT 1`, new Date()) !== undefined,
    (limit) => ledger.execute('expireSessions', { limit }),
  );

/** Idempotency keys whose time is over are forgotten. */
export const keyExpiry = (ledger: Ledger, reader: SqliteConnection): Expiry =>
  expiry(
    () =>
      reader.get(`SELECT 1 FROM "IdempotencyKey" WHERE ${IS_FORGETTABLE} LIMIT 1`, new Date(), steadyNow()) !==
      undefined,
    (limit) => ledger.execute('forgetKeys', { limit, now: steadyNow() }),
  );

/** How far the wall clock may be from the monotonic one, which does not go on while a machine sleeps. */
const MOST_DRIFT_MS = 24 * 3_600_000;

/** Events that were kept for long enough are removed from the log. */
export function eventExpiry(ledger: Ledger, reader: SqliteConnection, retentionMs: number): Expiry {
  const before = () => new Date(Date.now() - retentionMs);
  return expiry(
    () => {
      // A clock that was set while we ran may be wrong, and what is removed is gone: the next start takes it as it is.
      if (Math.abs(Date.now() - steadyNow().getTime()) > MOST_DRIFT_MS) return false;
      const oldest = reader.get<{ occurredAt: number }>(OLDEST_EVENT, firstEventSequence(reader));
      return oldest !== undefined && oldest.occurredAt < before().getTime();
    },
    (limit) => ledger.execute('removeOldEvents', { before: before(), limit }),
  );
}
