import { v7 as uuidv7 } from 'uuid';
import type { ActorRole } from '../guest-session/actor.js';
import type { Channel, SessionStatus } from '../guest-session/ports.js';
import type { SessionEventRecord, SessionEventType } from '../guest-session/session-event.js';
import type { Personal } from './guest-key.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { type SealedRow, UNREADABLE } from './personal-reader.js';
import { type AuditNews, openEvent, sessionContext } from './sealed-rows.js';
import type { SqlValue } from './sql-values.js';

/** A connection, and the keys to what is in it. */
export type Books = Pick<LedgerTransaction, 'db' | 'vault'>;

/** What the commands have to know of a session that is in the books. */
export interface SessionRow {
  readonly id: string;
  readonly callerName: string;
  readonly callerRole: ActorRole | null;
  /** Where the attempt came from; null once it is closed. */
  readonly sourceAddress: string | null;
  /** Null once the guest is erased, as are the other ids of it. */
  readonly guestId: string | null;
  readonly crmId: string | null;
  readonly channel: Channel;
  readonly status: SessionStatus;
  readonly sessionId: string | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
  /** Keyed hash. */
  readonly idempotencyKey: string | null;
  /** Looks at CXone since it was last settled. */
  readonly looks: number;
}

const COLUMNS =
  '"id", "callerName", "callerRole", "guestId", "personal", "channel", "status", "expiresAt", "idempotencyKey", "looks"';

/** Whether a session of CXone belongs to another attempt; to be asked with the keyed hash of its id there, and that of the attempt. */
export const OWNED_BY_ANOTHER = 'SELECT 1 FROM "GuestSession" WHERE "sessionId" = ? AND "id" <> ?';

type StoredRow = Omit<SessionRow, 'guestId' | 'crmId' | 'sessionId' | 'sourceAddress'> & SealedRow;

export const sessionRow = (books: Books, id: string): SessionRow | undefined =>
  sessionRows(books, 'WHERE "id" = ?', id)[0];

/** The sessions of a condition. */
export function sessionRows({ db, vault }: Books, where: string, ...values: SqlValue[]): SessionRow[] {
  const rows = db.all<StoredRow>(`SELECT ${COLUMNS} FROM "GuestSession" ${where}`, ...values);
  const persons = vault.reader();
  const personOf = (row: StoredRow): Partial<Personal> | null => {
    const person = persons.personalOf(row, sessionContext(row.id));
    return person === UNREADABLE ? null : person;
  };
  return rows.map((row) => {
    const { personal, ...session } = row;
    const { guestId = null, crmId = null, sessionId = null, sourceAddress = null } = personOf(row) ?? {};
    return { ...session, guestId, crmId, sessionId, sourceAddress };
  });
}

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
export function subjectOf(books: Books, id: string, eventSequence: number): Subject {
  const session = sessionRow(books, id);
  if (session) return session;
  const sql = `SELECT "id", "guestId", "crmId", "sessionId", "channel", "status", "reason", "expiresAt", "personal" FROM "SessionEvent"
    WHERE "sequence" = ?`;
  const event = books.db.get<Subject & SealedRow & { readonly reason: string | null }>(sql, eventSequence);
  return event ? { ...openEvent(event, books.vault.reader()), id } : { ...NO_SESSION, id };
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

/** Appends an audit entry about a session that was opened before, or about none. */
export function auditSession(
  transaction: LedgerTransaction,
  { id: requestId, guestId, crmId, sessionId }: Pick<Subject, 'id' | 'guestId' | 'crmId' | 'sessionId'>,
  news: Pick<AuditNews, 'kind' | 'status' | 'reason' | 'actor'> &
    Partial<Pick<AuditNews, 'errorCode' | 'crmSynced' | 'attempts' | 'fraudScore' | 'guestName'>>,
): void {
  transaction.appendAudit({
    requestId,
    guestId,
    crmId,
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
