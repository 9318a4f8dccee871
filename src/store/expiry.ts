import type { Channel } from '../guest-session/ports.js';
import type { LedgerWriter } from './ledger-writer.js';
import type { SqliteConnection } from './sqlite-connection.js';

interface ExpiredSession {
  readonly id: string;
  readonly guestId: string;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly channel: Channel;
  readonly expiresAt: number;
}

/** Marks sessions whose time is over. */
export class SessionExpiry {
  readonly #writer: LedgerWriter;
  readonly #db: SqliteConnection;

  constructor(writer: LedgerWriter, db: SqliteConnection) {
    this.#writer = writer;
    this.#db = db;
  }

  /** Expires at most `limit` sessions, the longest overdue first. @returns how many */
  async expireDue(limit: number): Promise<number> {
    const now = new Date();
    if (!this.#db.get(`SELECT 1 FROM "GuestSession" WHERE ${IS_OVER} LIMIT 1`, now)) return 0; // no commit for nothing
    return this.#writer.submit((transaction) => {
      const over = transaction.db.all<ExpiredSession>(
        `SELECT "id", "guestId", "crmId", "sessionId", "channel", "expiresAt" FROM "GuestSession" WHERE ${IS_OVER} ORDER BY "expiresAt" LIMIT ?`,
        now,
        limit,
      );
      for (const { id: requestId, guestId, crmId, sessionId, channel, ...session } of over) {
        const expiresAt = new Date(session.expiresAt);
        transaction.db.run(
          `UPDATE "GuestSession" SET "status" = 'EXPIRED', "endedAt" = "expiresAt" WHERE "id" = ?`,
          requestId,
        );
        transaction.appendEvent({
          type: 'SESSION_EXPIRED',
          occurredAt: now,
          requestId,
          guestId,
          crmId,
          sessionId,
          channel,
          status: 'EXPIRED',
          reason: null,
          expiresAt,
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
      return over.length;
    });
  }
}

const IS_OVER = `"status" = 'ACTIVE' AND "expiresAt" <= ?`;
