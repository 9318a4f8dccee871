import type { AuditRow } from './audit-chain.js';
import type { AuditCheckpoint } from './audit-signer.js';
import type { SqliteConnection } from './sqlite-connection.js';
import {
  ALL_TEXTS,
  isPlain,
  MAX_MS,
  REPLACEMENT,
  type StoredRow,
  TEXTS,
  TEXTS_OR_NULL,
  toRow,
} from './stored-audit-row.js';

/** A row that can be of no entry, and the column that shows it. */
export interface FaultyRow {
  readonly sequence: number;
  readonly column: string;
}

const isText = (column: string) => `typeof("${column}") = 'text' AND instr(CAST("${column}" AS BLOB), x'00') = 0`;
const isInteger = (column: string, max = Number.MAX_SAFE_INTEGER) =>
  `typeof("${column}") = 'integer' AND "${column}" BETWEEN -${max} AND ${max}`;
const orNull = (column: string, condition: string) => `("${column}" IS NULL OR (${condition}))`;
const ofVersion = (version: number, column: string) =>
  `${orNull(column, isText(column))} AND ("version" = ${version} OR "${column}" IS NULL)`;

/**
 * What every column of an entry holds. It is asked in SQL: the driver throws over some of what SQLite can hold, cuts texts off at
 * a NUL, and what it gives for the rest would be hashed as something else.
 */
const CONDITIONS: Readonly<Record<string, string>> = {
  sequence: isInteger('sequence'),
  version: `typeof("version") = 'integer' AND "version" IN (1, 2)`,
  timestamp: isInteger('timestamp', MAX_MS),
  ...Object.fromEntries(TEXTS.map((column) => [column, isText(column)])),
  ...Object.fromEntries(TEXTS_OR_NULL.map((column) => [column, orNull(column, isText(column))])),
  sessionId: ofVersion(1, 'sessionId'),
  actorRole: ofVersion(2, 'actorRole'),
  personal: ofVersion(2, 'personal'),
  sourceAddress: ofVersion(2, 'sourceAddress'),
  fraudScore: orNull('fraudScore', isInteger('fraudScore')),
  attempts: orNull('attempts', isInteger('attempts')),
  crmSynced: orNull('crmSynced', `typeof("crmSynced") = 'integer' AND "crmSynced" IN (0, 1)`),
  // There is no infinity in JSON.
  durationMs: orNull('durationMs', `typeof("durationMs") = 'real' AND abs("durationMs") <= ${Number.MAX_VALUE}`),
};
const FAULTY = `CASE ${Object.entries(CONDITIONS)
  .map(([column, condition]) => `WHEN NOT (${condition}) THEN '${column}'`)
  .join(' ')} END`;

/** What the driver may throw over is left out where it is at fault. */
const columnOf = (column: string) =>
  ALL_TEXTS.includes(column) ? `"${column}"` : `CASE WHEN ${CONDITIONS[column]} THEN "${column}" END AS "${column}"`;
const SELECT_ROWS = `SELECT ${Object.keys(CONDITIONS).map(columnOf).join(', ')}, ${FAULTY} AS "faulty"
  FROM "AuditEntry" WHERE "sequence" > ? ORDER BY "AuditEntry"."sequence" LIMIT ?`;

const ALL_IN_ONE = ALL_TEXTS.map((column) => `coalesce("${column}", '')`).join(' || ');
const SELECT_PLAIN = `SELECT *, instr(CAST(${ALL_IN_ONE} AS BLOB), x'00') AS "nulAt"
  FROM "AuditEntry" WHERE "sequence" > ? ORDER BY "sequence" LIMIT ?`;

const SIGNED = ['hash', 'keyId', 'signature'].map((column) => `${isText(column)}`).join(' AND ');
const SELECT_CHECKPOINTS = `SELECT min("sequence", ${Number.MAX_SAFE_INTEGER}) AS "sequence", "hash", "keyId", "signature",
  CASE WHEN ${isInteger('timestamp', MAX_MS)} AND ${SIGNED} THEN "timestamp" END AS "timestamp" FROM "AuditCheckpoint"`;

type PlainRow = StoredRow & { readonly nulAt: number };
type CheckedRow = StoredRow & { readonly faulty: string | null };

type CheckpointRow = Omit<AuditCheckpoint, 'timestamp'> & { readonly timestamp: number | null };

/** One whose `timestamp` is null is none: a column of it holds what none can have. */
export type StoredCheckpoint = Omit<AuditCheckpoint, 'timestamp'> & { readonly timestamp: Date | null };

/** Entries up to the first that is faulty, and that one. */
export interface TrailBatch {
  readonly rows: readonly AuditRow[];
  readonly faulty: FaultyRow | null;
}

/** Reads the trail as it is kept, whatever somebody has put there. */
export class TrailRows {
  readonly #db: SqliteConnection;

  constructor(db: SqliteConnection) {
    this.#db = db;
  }

  /** The entry that the trail begins with: those before were archived. Null where the table does not say. */
  firstSequence(): number | null {
    const sql = `SELECT CASE WHEN ${isInteger('firstSequence')} AND "firstSequence" > 0 THEN "firstSequence" END AS "first"
      FROM "AuditTrail" WHERE "id" = 1`;
    const row = this.#db.get<{ first: number | null }>(sql);
    return row === undefined ? 1 : row.first;
  }

  /** Whether there is an entry before the first that there can be. */
  hasRowBeforeFirst(): boolean {
    return this.#db.get('SELECT 1 FROM "AuditEntry" WHERE "sequence" < 1 LIMIT 1') !== undefined;
  }

  /** Entries after a sequence, oldest first. */
  after(sequence: number, limit: number): TrailBatch {
    return this.#plain(sequence, limit) ?? this.#checked(sequence, limit);
  }

  /** As nearly all are; null where one of them has to be looked at more closely, which takes several times as long. */
  #plain(sequence: number, limit: number): TrailBatch | null {
    let stored: PlainRow[];
    try {
      stored = this.#db.all(SELECT_PLAIN, sequence, limit);
    } catch {
      return null; // the driver cannot read one of them
    }
    const rows: AuditRow[] = [];
    for (const row of stored) {
      if (row.nulAt > 0 || !isPlain(row)) return null;
      rows.push(toRow(row));
    }
    return { rows, faulty: null };
  }

  #checked(sequence: number, limit: number): TrailBatch {
    const rows: AuditRow[] = [];
    for (const row of this.#db.all<CheckedRow>(SELECT_ROWS, sequence, limit)) {
      const column = row.faulty ?? this.#unreadable(row);
      if (column !== null) return { rows, faulty: { sequence: row.sequence ?? Number.MAX_SAFE_INTEGER, column } };
      rows.push(toRow(row));
    }
    return { rows, faulty: null };
  }

  /** What SQL does not tell: a zero below zero, which JSON has not, and bytes that are no UTF-8. */
  #unreadable(row: StoredRow): string | null {
    if (Object.is(row.durationMs, -0)) return 'durationMs';
    const values = row as unknown as Readonly<Record<string, unknown>>;
    for (const column of ALL_TEXTS) {
      const text = values[column];
      // Also what the driver makes of them.
      if (typeof text !== 'string' || !text.includes(REPLACEMENT)) continue;
      const sql = `SELECT hex("${column}") AS "hex" FROM "AuditEntry" WHERE "sequence" = ?`;
      const hex = this.#db.get<{ hex: string }>(sql, row.sequence)?.hex;
      if (hex !== Buffer.from(text).toString('hex').toUpperCase()) return column;
    }
    return null;
  }

  /** The hash of the entry at a sequence; null where there is none. */
  hashAt(sequence: number): string | null {
    const sql = `SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ? AND ${isText('hash')}`;
    return this.#db.get<{ hash: string }>(sql, sequence)?.hash ?? null;
  }

  /** The checkpoints after a sequence, up to another, oldest first. */
  checkpoints(after: number, to: number): StoredCheckpoint[] {
    const sql = `${SELECT_CHECKPOINTS} WHERE "sequence" > ? AND "sequence" <= ? ORDER BY "AuditCheckpoint"."sequence"`;
    return this.#db.all<CheckpointRow>(sql, after, to).map(toCheckpoint);
  }

  /** The newest one from a sequence on; null where there is none. */
  newestCheckpoint(from: number): StoredCheckpoint | null {
    const sql = `${SELECT_CHECKPOINTS} WHERE "sequence" >= ? ORDER BY "AuditCheckpoint"."sequence" DESC LIMIT 1`;
    const row = this.#db.get<CheckpointRow>(sql, from);
    return row ? toCheckpoint(row) : null;
  }

  /** What the entries of a kind tell, from a sequence on, newest first. There must be few of the kind. */
  reasonsOf(kind: string, from: number): string[] {
    // The plus keeps SQLite from going through all entries in their order: an index has the kinds.
    const sql = `SELECT "reason" FROM "AuditEntry" WHERE "kind" = ? AND "sequence" >= ? AND typeof("reason") = 'text'
      ORDER BY +"sequence" DESC`;
    return this.#db.all<{ reason: string }>(sql, kind, from).map(({ reason }) => reason);
  }
}

const toCheckpoint = (row: CheckpointRow): StoredCheckpoint => ({
  ...row,
  timestamp: row.timestamp === null ? null : new Date(row.timestamp),
});
