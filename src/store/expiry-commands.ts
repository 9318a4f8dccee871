import { v7 as uuidv7 } from 'uuid';
import type { Channel } from '../guest-session/ports.js';
import type { LedgerTransaction } from './ledger-transaction.js';

/** Which sessions are over, and not marked so; to be asked with the time. */
export const IS_OVER = `"status" = 'ACTIVE' AND "expiresAt" <= ?`;

interface ExpiredSession {
  readonly id: string;
  readonly guestId: string;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly channel: Channel;
  readonly expiresAt: number;
}

/** Expires at most `limit` sessions, the longest overdue first. @returns how many */
export function expireSessions(transaction: LedgerTransaction, { limit }: { readonly limit: number }): number {
  const now = new Date();
  const over = transaction.db.all<ExpiredSession>(
    `SELECT "id", "guestId", "crmId", "sessionId", "channel", "expiresAt" FROM "GuestSession" WHERE ${IS_OVER} ORDER BY "expiresAt" LIMIT ?`,
    now,
    limit,
  );
  for (const session of over) expire(transaction, session, now);
  return over.length;
}

function expire(transaction: LedgerTransaction, session: ExpiredSession, now: Date): void {
  const { id: requestId, guestId, crmId, sessionId, channel } = session;
  const sql = `UPDATE "GuestSession" SET "status" = 'EXPIRED', "endedAt" = "expiresAt" WHERE "id" = ?`;
  transaction.db.run(sql, requestId);
  transaction.appendEvent({
    id: uuidv7(),
    type: 'SESSION_EXPIRED',
    occurredAt: now,
    requestId,
    guestId,
    crmId,
    sessionId,
    channel,
    status: 'EXPIRED',
    reason: null,
    expiresAt: new Date(session.expiresAt),
  });
  transaction.appendAudit({
    requestId,
    kind: 'SESSION_EXPIRED',
    status: 'SUCCESS',
    reason: null,
    errorCode: null,
    guestId,
    sessionId,
    actor: 'expiry-sweep',
    durationMs: null,
    fraudScore: null,
    attempts: null,
    capacityCheck: null,
    crmSynced: null,
  });
}
