import type { Actor } from '../guest-session/actor.js';
import type { Erasure, OpenAttempt } from '../guest-session/ledger-ports.js';
import type { SessionStatus } from '../guest-session/ports.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { anonymousBody, type SealedBody } from './sealed-body.js';
import { auditSession, NO_SESSION } from './session-row.js';

/** Who is to be forgotten, and who wants it. */
export interface ErasureOrder {
  readonly guestId: string;
  /** Names the act in the audit trail. */
  readonly requestId: string;
  readonly actor: Actor;
  /** By the steady clock. */
  readonly now: Date;
}

/**
 * Forgets who a guest is. What counts is that its key is destroyed: all that was ever sealed under it, copies that SQLite has left
 * behind included, is noise from then on. What is not append-only is emptied as well, in the same transaction: a guest has few rows
 * (2,000 sessions with 4,000 webhooks take less than a fifth of a second, 30,000 with 60,000 two and a half), and a crash leaves nothing half done. Of what happened, the sessions, events,
 * webhooks and audit entries stay, and belong to nobody.
 *
 * Whoever has something live or open is left alone.
 */
export function eraseGuest(transaction: LedgerTransaction, order: ErasureOrder): Erasure {
  const { db, vault, heads } = transaction;
  const { guestId, requestId, actor, now } = order;
  const entriesInTheClear = countInTheClear(transaction, guestId);
  const name = vault.nameOf(guestId);
  if (name === null) return { is: 'UNKNOWN_GUEST', entriesInTheClear };
  const attempts = openAttempts(transaction, name, now);
  if (attempts.length > 0) return { is: 'OPEN', attempts, entriesInTheClear };

  forgetKeysOf(transaction, name);
  forgetDeliveries(transaction, name, guestId);
  db.run('UPDATE "SessionEvent" SET "personal" = NULL WHERE "guestId" = ? AND "personal" IS NOT NULL', name);
  const sessions = db.run(
    `UPDATE "GuestSession" SET "personal" = NULL, "crmId" = NULL, "sessionId" = NULL, "idempotencyKey" = NULL, "fingerprintHmac" = ''
       WHERE "guestId" = ?`,
    name,
  );
  vault.destroy(name, new Date());
  auditSession(
    transaction,
    { ...NO_SESSION, id: requestId },
    {
      kind: 'GUEST_ERASED',
      status: 'SUCCESS',
      reason: `${sessions} session(s) are nobody's now`,
      guestName: name,
      actor,
    },
  );
  transaction.erased.push({ guestId, eventSequence: heads.eventSequence });
  return { is: 'ERASED', entriesInTheClear };
}

/** Entries of version 1 name the guest by its id. */
function countInTheClear({ db }: LedgerTransaction, guestId: string): number {
  const sql = 'SELECT count(*) AS "entries" FROM "AuditEntry" WHERE "guestId" = ? AND "version" = 1';
  return db.get<{ entries: number }>(sql, guestId)?.entries ?? 0;
}

/** What has a session at CXone, may have one, or may get one yet. */
function openAttempts({ db }: LedgerTransaction, name: string, now: Date): OpenAttempt[] {
  const rows = db.all<{ id: string; status: SessionStatus; reconcileAt: number | null }>(
    `SELECT "id", "status", "reconcileAt" FROM "GuestSession"
       WHERE "guestId" = ? AND ("status" IN ('PENDING', 'ACTIVE', 'UNKNOWN') OR "reconcileAt" IS NOT NULL)`,
    name,
  );
  return rows.map(({ id, status, reconcileAt }) => ({
    id,
    status,
    lookInMs: reconcileAt === null ? null : Math.max(0, reconcileAt - now.getTime()),
  }));
}

/** What named the guest's intents, with the tokens. A request that is under way and has no place yet keeps its key: it is a new one. */
function forgetKeysOf({ db }: LedgerTransaction, name: string): void {
  const keys =
    '("callerName", "key") IN (SELECT "callerName", "idempotencyKey" FROM "GuestSession" WHERE "guestId" = ?)';
  const attempts = 'SELECT "id" FROM "GuestSession" WHERE "guestId" = ?';
  // Those that were refused before they had a place are in no row of a session.
  const refused = `SELECT "requestId" FROM "AuditEntry" WHERE "guestId" = ? AND "kind" = 'SESSION_INITIATION' AND "requestId" NOT IN (${attempts})`;
  db.run(`DELETE FROM "IdempotencyKey" WHERE ${keys} AND "requestId" IN (${attempts})`, name, name);
  db.run(
    `UPDATE "IdempotencyKey" SET "unsettledRequestId" = NULL WHERE ${keys} AND "unsettledRequestId" IN (${attempts})`,
    name,
    name,
  );
  // Their keys can be found by nothing else than going through those of a day.
  if (!db.get(`${refused} LIMIT 1`, name, name)) return;
  db.run(`DELETE FROM "IdempotencyKey" WHERE "requestId" IN (${refused})`, name, name);
}

/** What is still to be sent, or sent again, is told without the guest. */
function forgetDeliveries({ db }: LedgerTransaction, name: string, guestId: string): void {
  const deliveries = db.all<Omit<SealedBody, 'body' | 'guestId'> & { readonly sequence: number }>(
    `SELECT "sequence", "id", "requestId", "eventType", "createdAt" FROM "WebhookDelivery" WHERE "guestId" = ? AND "requestId" IN (
       SELECT "id" FROM "GuestSession" WHERE "guestId" = ?
       UNION SELECT "requestId" FROM "SessionEvent" WHERE "guestId" = ?
       UNION SELECT "requestId" FROM "AuditEntry" WHERE "guestId" IN (?, ?))`,
    name,
    name,
    name,
    name,
    guestId,
  );
  for (const delivery of deliveries) {
    const sql = 'UPDATE "WebhookDelivery" SET "guestId" = NULL, "body" = ? WHERE "sequence" = ?';
    db.run(sql, anonymousBody(delivery), delivery.sequence);
  }
}
