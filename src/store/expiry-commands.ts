import { systemActor } from '../guest-session/actor.js';
import { purgeToken } from './idempotency-commands.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { auditSession, sessionRows, tellOfSession } from './session-row.js';

/** Which sessions are over, and not marked so; to be asked with the time. */
export const IS_OVER = `"status" = 'ACTIVE' AND "expiresAt" <= ?`;

/** Expires at most `limit` sessions, the longest overdue first. @returns how many */
export function expireSessions(transaction: LedgerTransaction, { limit }: { readonly limit: number }): number {
  const now = new Date();
  const over = sessionRows(transaction, `WHERE ${IS_OVER} ORDER BY "expiresAt" LIMIT ?`, now, limit);
  for (const session of over) {
    transaction.db.run(
      `UPDATE "GuestSession" SET "status" = 'EXPIRED', "endedAt" = "expiresAt" WHERE "id" = ?`,
      session.id,
    );
    purgeToken(transaction, session);
    tellOfSession(transaction, { ...session, status: 'EXPIRED' }, { type: 'SESSION_EXPIRED', reason: null, at: now });
    auditSession(transaction, session, {
      kind: 'SESSION_EXPIRED',
      status: 'SUCCESS',
      reason: null,
      actor: systemActor('expiry-sweep'),
    });
  }
  return over.length;
}
