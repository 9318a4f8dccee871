import { v7 as uuidv7 } from 'uuid';
import type { Channel, SessionStatus } from '../guest-session/ports.js';
import type { SessionEventRecord, SessionEventType } from '../guest-session/session-event.js';
import type { AuditContent } from './audit-chain.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** What the commands have to know of a session that is in the books. */
export interface SessionRow {
  readonly id: string;
  readonly callerName: string;
  readonly guestId: string;
  readonly crmId: string | null;
  readonly channel: Channel;
  readonly status: SessionStatus;
  readonly sessionId: string | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
  readonly idempotencyKey: string | null;
  /** Looks at CXone since it was last settled. */
  readonly looks: number;
}

export const SESSION_ROW_COLUMNS =
  '"id", "callerName", "guestId", "crmId", "channel", "status", "sessionId", "expiresAt", "idempotencyKey", "looks"';

/** Whether a session of CXone belongs to another attempt; to be asked with its id there and that of the attempt. */
export const OWNED_BY_ANOTHER = 'SELECT 1 FROM "GuestSession" WHERE "sessionId" = ? AND "id" <> ?';

export const sessionRow = (db: SqliteConnection, id: string): SessionRow | undefined =>
  db.get<SessionRow>(`SELECT ${SESSION_ROW_COLUMNS} FROM "GuestSession" WHERE "id" = ?`, id);

/** Whom an event or an audit entry is about, as far as there is a session. */
export type Subject = Pick<SessionEventRecord, 'guestId' | 'crmId' | 'sessionId' | 'channel' | 'status'> & {
  /** The request id. */
  readonly id: string;
  readonly expiresAt: number | null;
};

/** What tells of no session in particular, but for the request that it came up with. */
export const NO_SESSION: Omit<Subject, 'id'> = {
  guestId: null,
  crmId: null,
  sessionId: null,
  channel: null,
  status: null,
  expiresAt: null,
};

/** The session of a request as it stands now; of one that never had any, what the event said that was told of it. */
export function subjectOf(db: SqliteConnection, id: string, eventSequence: number): Subject {
  const sql = `SELECT "requestId" AS "id", "guestId", "crmId", "sessionId", "channel", "status", "expiresAt" FROM "SessionEvent"
    WHERE "sequence" = ?`;
  return sessionRow(db, id) ?? db.get<Subject>(sql, eventSequence) ?? { ...NO_SESSION, id };
}

/** Appends an event about a session, with what it is known by. */
export function tellOfSession(
  transaction: LedgerTransaction,
  session: Subject,
  news: {
    readonly type: SessionEventType;
    readonly reason: string | null;
    readonly at?: Date;
  },
): SessionEventRecord {
  const { id: requestId, guestId, crmId, sessionId, channel, status, expiresAt } = session;
  return transaction.appendEvent({
    id: uuidv7(),
    type: news.type,
    occurredAt: news.at ?? new Date(),
    requestId,
    guestId,
    crmId,
    sessionId,
    channel,
    status,
    reason: news.reason,
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  });
}

/** Appends an audit entry about a session that was opened before. */
export function auditSession(
  transaction: LedgerTransaction,
  { id: requestId, guestId, sessionId }: Pick<Subject, 'id' | 'guestId' | 'sessionId'>,
  news: Pick<AuditContent, 'kind' | 'status' | 'reason' | 'actor'> &
    Partial<Pick<AuditContent, 'errorCode' | 'crmSynced' | 'attempts' | 'fraudScore'>>,
): void {
  transaction.appendAudit({
    requestId,
    guestId,
    sessionId,
    errorCode: null,
    durationMs: null,
    fraudScore: null,
    attempts: null,
    capacityCheck: null,
    crmSynced: null,
    ...news,
  });
}
