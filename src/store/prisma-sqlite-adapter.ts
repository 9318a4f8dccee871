import type { DatabaseSyncInstance, StatementSyncInstance } from '@photostructure/sqlite';
import {
  type ArgType,
  type ColumnType,
  ColumnTypeEnum,
  DriverAdapterError,
  type SqlDriverAdapter,
  type SqlDriverAdapterFactory,
  type SqlQuery,
  type SqlResultSet,
  type Transaction,
} from '@prisma/driver-adapter-utils';
import { assertBindableText } from './sql-values.js';
import { openForReading } from './sqlite-connection.js';
import { StatementCache } from './statement-cache.js';

const ADAPTER_NAME = 'read-only-sqlite';
const SQLITE_ERROR = 1;
const SQLITE_READONLY = 8;
const READ_ONLY = 'Prisma only reads this database: whatever is written goes through the ledger writer in src/store';

/** By the type with which a column was declared. Anything else is an expression: its values tell. */
const COLUMN_TYPES: Readonly<Record<string, ColumnType>> = {
  INTEGER: ColumnTypeEnum.Int32,
  BIGINT: ColumnTypeEnum.Int64,
  REAL: ColumnTypeEnum.Double,
  DECIMAL: ColumnTypeEnum.Numeric,
  TEXT: ColumnTypeEnum.Text,
  DATETIME: ColumnTypeEnum.DateTime,
  BOOLEAN: ColumnTypeEnum.Boolean,
  BLOB: ColumnTypeEnum.Bytes,
  JSONB: ColumnTypeEnum.Json,
};

interface Prepared {
  readonly statement: StatementSyncInstance;
  readonly names: string[];
  /** `undefined`: an expression. */
  readonly types: readonly (ColumnType | undefined)[];
}

/**
 * Lets Prisma read an SQLite file, over a connection of its own: a read never sees what the writer has not committed, and
 * never waits for it. Writes and transactions are refused. Dates are kept as whole milliseconds since 1970.
 */
export class PrismaSqliteReader implements SqlDriverAdapterFactory {
  readonly provider = 'sqlite';
  readonly adapterName = ADAPTER_NAME;

  /** @param path a database file that exists */
  constructor(readonly path: string) {}

  async connect(): Promise<SqlDriverAdapter> {
    return new ReaderAdapter(openForReading(this.path));
  }
}

class ReaderAdapter implements SqlDriverAdapter {
  readonly provider = 'sqlite';
  readonly adapterName = ADAPTER_NAME;
  readonly #statements = new StatementCache((sql) => this.#prepare(sql));

  constructor(readonly database: DatabaseSyncInstance) {}

  async queryRaw({ sql, args, argTypes }: SqlQuery): Promise<SqlResultSet> {
    try {
      const { statement, names, types } = this.#statements.get(sql);
      const rows: unknown[][] = statement.all(...args.map((value, i) => toSqlite(value, argTypes[i])));
      const columnTypes = types.map((type, i) => type ?? inferType(rows.find((row) => row[i] !== null)?.[i]));
      for (const row of rows) {
        for (let i = 0; i < row.length; i++) row[i] = fromSqlite(row[i], columnTypes[i]);
      }
      return { columnNames: names, columnTypes, rows };
    } catch (error) {
      throw translated(error);
    }
  }

  async executeRaw(): Promise<number> {
    throw refusal();
  }

  async executeScript(): Promise<void> {
    throw refusal();
  }

  async startTransaction(): Promise<Transaction> {
    throw refusal();
  }

  async dispose(): Promise<void> {
    this.#statements.clear();
    if (this.database.isOpen) this.database.close();
  }

  #prepare(sql: string): Prepared {
    const statement = this.database.prepare(sql);
    const columns = statement.columns();
    const types = columns.map(({ type }) => COLUMN_TYPES[type?.toUpperCase() ?? '']);
    statement.setReturnArrays(true);
    // Bigints cost time: only where a value may not fit a number, or where an integer has to be told from a REAL.
    statement.setReadBigInts(types.some((type) => type === undefined || type === ColumnTypeEnum.Int64));
    return { statement, names: columns.map(({ name }) => name), types };
  }
}

function toSqlite(value: unknown, type: ArgType | undefined): unknown {
  if (value instanceof Date) return BigInt(value.getTime());
  if (typeof value === 'boolean') return value ? 1 : 0;
  // The driver binds a number beyond 32 bits as REAL.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'string') return value;
  const scalar = type?.scalarType;
  if (scalar === 'datetime') return BigInt(new Date(value).getTime());
  if (scalar === 'int' || scalar === 'bigint') return BigInt(value);
  if (scalar === 'float' || scalar === 'decimal') return Number(value);
  if (scalar === 'bytes') return Buffer.from(value, 'base64');
  assertBindableText(value);
  return value;
}

function fromSqlite(value: unknown, type: ColumnType | undefined): unknown {
  if (typeof value !== 'bigint' && typeof value !== 'number') return value;
  if (type === ColumnTypeEnum.DateTime) return new Date(Number(value)).toISOString();
  if (typeof value === 'number' || Number.isSafeInteger(Number(value))) return Number(value);
  return value.toString();
}

function inferType(value: unknown): ColumnType {
  if (typeof value === 'bigint') return ColumnTypeEnum.Int64;
  if (typeof value === 'number') return ColumnTypeEnum.Double;
  if (value instanceof Uint8Array) return ColumnTypeEnum.Bytes;
  return ColumnTypeEnum.Text;
}

function refusal(): DriverAdapterError {
  return new DriverAdapterError({ kind: 'sqlite', extendedCode: SQLITE_READONLY, message: READ_ONLY });
}

/** By the message: the driver leaves the code out when a statement that gives rows fails. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_SQLITE_ERROR') return error;
  const { message } = error;
  const original = { originalCode: error.code, originalMessage: message };
  if (message.includes('readonly database')) return refusal();
  if (message.includes('is locked')) return new DriverAdapterError({ ...original, kind: 'SocketTimeout' });
  const [, missing, name] = /^no such (table|column): (.+)$/.exec(message) ?? [];
  if (missing === 'table') return new DriverAdapterError({ ...original, kind: 'TableDoesNotExist', table: name });
  if (missing === 'column') return new DriverAdapterError({ ...original, kind: 'ColumnNotFound', column: name });
  return new DriverAdapterError({ ...original, kind: 'sqlite', extendedCode: SQLITE_ERROR, message });
}
