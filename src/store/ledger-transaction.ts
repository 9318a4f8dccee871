import type { Prisma } from '../generated/prisma/client.js';
import type { ErasedGuest, SessionEventRecord, WebhookEventType } from '../guest-session/session-event.js';
import { appendAudit } from './append-audit.js';
import { GENESIS_HASH } from './audit-chain.js';
import { type ClaimedDelivery, enqueueDelivery } from './delivery-queue.js';
import type { GuestVault } from './guest-vault.js';
import type { Measurement } from './metric-bucket.js';
import { type AuditNews, sealEvent } from './sealed-rows.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** An event that has no place in the log yet. */
export type NewSessionEvent = Omit<SessionEventRecord, 'sequence'>;

/** Where the two append-only logs end. */
export interface LedgerHeads {
  readonly eventSequence: number;
  readonly auditSequence: number;
  readonly auditHash: string;
}

// Prisma's own types of the rows, so that a column that the schema does not know is a compile error.
interface Rows {
  GuestSession: Prisma.GuestSessionUncheckedCreateInput;
  AuditEntry: Prisma.AuditEntryUncheckedCreateInput;
  AuditCheckpoint: Prisma.AuditCheckpointUncheckedCreateInput;
  SessionEvent: Prisma.SessionEventUncheckedCreateInput;
  WebhookDelivery: Omit<Prisma.WebhookDeliveryUncheckedCreateInput, 'tries'>;
  WebhookAttempt: Prisma.WebhookAttemptUncheckedCreateInput;
}
type Value = string | number | boolean | Date | null | undefined;

/** What the jobs of one group commit write with, and what they have written so far. */
export class LedgerTransaction {
  readonly events: SessionEventRecord[] = [];
  readonly deliveries: ClaimedDelivery[] = [];
  readonly measurements: Measurement[] = [];
  readonly erased: ErasedGuest[] = [];

  /** @param webhookEvents those that the CRM is told of; none where there is no CRM */
  constructor(
    readonly db: SqliteConnection,
    readonly vault: GuestVault,
    public heads: LedgerHeads,
    readonly webhookEvents: readonly WebhookEventType[],
  ) {}

  /** Whether the CRM hears of sessions that are opened. */
  get tellsCrm(): boolean {
    return this.webhookEvents.includes('SESSION_INITIATED');
  }

  /** Appends to the lifecycle log, and queues the webhook if the CRM wants one; readers see it once the group is committed. */
  appendEvent(content: NewSessionEvent): SessionEventRecord {
    const event = { sequence: this.heads.eventSequence + 1, ...content, reason: storable(content.reason) };
    this.insert('SessionEvent', sealEvent(this.vault, event));
    this.heads = { ...this.heads, eventSequence: event.sequence };
    this.events.push(event);
    if ((this.webhookEvents as readonly string[]).includes(event.type)) enqueueDelivery(this, event);
    return event;
  }

  /** Appends to the audit trail, chained to what is there. */
  appendAudit(content: AuditNews, timestamp = new Date()): void {
    appendAudit(this, { ...content, reason: storable(content.reason) }, timestamp);
  }

  insert<Table extends keyof Rows>(table: Table, row: Rows[Table]): void {
    const columns = Object.keys(row);
    this.db.run(insertStatement(table, columns), ...(Object.values(row) as Value[]));
  }

  /** Where the jobs stand, to come back to when the next one fails. */
  mark(): () => void {
    const { heads } = this;
    const lists = [this.events, this.deliveries, this.measurements, this.erased].map(
      (list) => [list, list.length] as const,
    );
    return () => {
      this.heads = heads;
      for (const [list, length] of lists) list.length = length;
    };
  }
}

const MAX_REASON_LENGTH = 1_000;

/**
 * A reason may hold the words of others. What SQLite would not give back as it was (a NUL, half a surrogate pair) must not get
 * in: the entry would no longer match its hash.
 */
const storable = (reason: string | null): string | null =>
  reason === null
    ? null
    : reason
        .replace(/\p{Cc}+/gu, ' ')
        .slice(0, MAX_REASON_LENGTH)
        .toWellFormed();

const statements = new Map<string, string>();

function insertStatement(table: string, columns: readonly string[]): string {
  const key = `${table}:${columns.join()}`;
  let sql = statements.get(key);
  if (sql === undefined) {
    const names = columns.map((name) => `"${name}"`).join(', ');
    sql = `INSERT INTO "${table}" (${names}) VALUES (${columns.map(() => '?').join(', ')})`;
    statements.set(key, sql);
  }
  return sql;
}

/** Reads where the logs end. */
export function readHeads(db: SqliteConnection): LedgerHeads {
  const event = db.get<{ sequence: number }>('SELECT max("sequence") AS "sequence" FROM "SessionEvent"');
  const log = db.get<{ firstSequence: number }>('SELECT "firstSequence" FROM "SessionEventLog" WHERE "id" = 1');
  const audit = db.get<{ sequence: number; hash: string }>(
    'SELECT "sequence", "hash" FROM "AuditEntry" ORDER BY "sequence" DESC LIMIT 1',
  );
  return {
    // Where all events are old enough to be gone, the log goes on where it was.
    eventSequence: event?.sequence ?? (log?.firstSequence ?? 1) - 1,
    auditSequence: audit?.sequence ?? 0,
    auditHash: audit?.hash ?? GENESIS_HASH,
  };
}
