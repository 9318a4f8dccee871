import type { Config } from '../config.js';
import { steadyNow } from '../guest-session/steady-clock.js';
import { findOldDeliveries } from './delivery-retention.js';
import { firstEventSequence, OLDEST_EVENT } from './event-retention.js';
import { IS_OVER } from './expiry-commands.js';
import { IS_FORGETTABLE } from './idempotency-commands.js';
import type { Ledger } from './ledger.js';
import { FIRST_SESSION, findOldSessions } from './session-retention.js';
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

/**
 * Removes what was kept for long enough. A clock that was set while we ran may be wrong, and what is removed is gone: then nothing
 * is, and the next start takes the clock as it is.
 */
const retention = (retentionMs: number, remove: (before: Date, limit: number) => Promise<number>): Expiry => ({
  expireDue: async (limit) => {
    const now = Date.now();
    const isClockSound = Math.abs(now - steadyNow().getTime()) <= MOST_DRIFT_MS;
    return isClockSound ? remove(new Date(now - retentionMs), limit) : 0;
  },
});

/** Events that were kept for long enough are removed from the log. */
export const eventExpiry = (ledger: Ledger, reader: SqliteConnection, retentionMs: number): Expiry =>
  retention(retentionMs, async (before, limit) => {
    const oldest = reader.get<{ occurredAt: number }>(OLDEST_EVENT, firstEventSequence(reader));
    if (oldest === undefined || oldest.occurredAt >= before.getTime()) return 0;
    return ledger.execute('removeOldEvents', { before, limit });
  });

/** Sessions that were kept for long enough are removed, as far as nothing needs them any more. */
export function sessionRetention(ledger: Ledger, reader: SqliteConnection, retentionMs: number): Expiry {
  let after = FIRST_SESSION;
  return retention(retentionMs, async (before, limit) => {
    const { ids, last } = findOldSessions(reader, { after, before, limit });
    const removed = ids.length > 0 ? await ledger.execute('removeOldSessions', { ids }) : 0;
    after = last;
    return removed;
  });
}

/** Webhooks that are concluded and were kept for long enough are removed, with the log of their tries. */
export const deliveryRetention = (ledger: Ledger, reader: SqliteConnection, retentionMs: number): Expiry =>
  retention(retentionMs, async (before, limit) => {
    if (findOldDeliveries(reader, { before, limit: 1 }).length === 0) return 0;
    return ledger.execute('removeOldDeliveries', { before, limit });
  });

const SOON_MS = 250;
/** Nobody waits for a key to be forgotten: one whose time is over is not honoured any more. Nor for old rows to be removed. */
const LATER_MS = 60_000;
const DAY_MS = 24 * 3_600_000;

/** All that is over after a time, each with how late it may be seen to, in milliseconds. */
export function allExpiries(
  ledger: Ledger,
  reader: SqliteConnection,
  { retentionDays, eventRetentionDays }: Pick<Config, 'retentionDays' | 'eventRetentionDays'>,
): readonly (readonly [expiry: Expiry, intervalMs: number])[] {
  return [
    [sessionExpiry(ledger, reader), SOON_MS],
    [keyExpiry(ledger, reader), LATER_MS],
    [eventExpiry(ledger, reader, eventRetentionDays * DAY_MS), LATER_MS],
    [deliveryRetention(ledger, reader, retentionDays * DAY_MS), LATER_MS],
    [sessionRetention(ledger, reader, retentionDays * DAY_MS), LATER_MS],
  ];
}
