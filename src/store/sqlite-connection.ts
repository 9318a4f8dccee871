import { DatabaseSync, type DatabaseSyncInstance, type StatementSyncInstance } from '@photostructure/sqlite';
import { StartupError } from '../errors.js';
import { bindable, type SqlValue } from './sql-values.js';
import { StatementCache } from './statement-cache.js';

const SYNCHRONOUS_FULL = 2;

const BUSY_TIMEOUT_MS = 5_000;

const WRITER_PRAGMAS = [
  `busy_timeout = ${BUSY_TIMEOUT_MS}`,
  // Half the usual, for a new file: most of what a commit writes are index pages with one new entry each.
  'page_size = 2048',
  'journal_mode = WAL',
  'synchronous = FULL',
  'foreign_keys = ON',
  'recursive_triggers = ON',
  // What is deleted or overwritten is gone from the page.
  'secure_delete = ON',
  'cache_size = -65536',
  // 8 MB between checkpoints: pages that change in every commit are then copied to the file once for hundreds of commits.
  'wal_autocheckpoint = 4000',
];
const READER_PRAGMAS = [`busy_timeout = ${BUSY_TIMEOUT_MS}`, 'query_only = ON'];

/**
 * Opens a database file that nothing can be written to through this handle.
 * @throws the driver's error, when the file is missing, cannot be read or is not a database
 */
export function openForReading(path: string): DatabaseSyncInstance {
  // `query_only` alone could be switched off again by a statement.
  return open(path, true, READER_PRAGMAS);
}

function open(path: string, readOnly: boolean, pragmas: readonly string[]): DatabaseSyncInstance {
  const database = new DatabaseSync(path, { readOnly });
  try {
    for (const pragma of pragmas) database.exec(`PRAGMA ${pragma}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** One connection to an SQLite file, with its statements kept prepared. Synchronous: every call blocks the event loop. */
export class SqliteConnection {
  readonly #database: DatabaseSyncInstance;
  readonly #statements: StatementCache<StatementSyncInstance>;
  readonly #readOnly: boolean;

  /**
   * Opens the file, and creates it when it is missing (unless `readOnly`). A writing connection switches it to WAL.
   * @throws the driver's error, when the file cannot be opened or is not a database
   */
  constructor(
    readonly path: string,
    options: { readonly readOnly?: boolean } = {},
  ) {
    this.#readOnly = options.readOnly ?? false;
    this.#database = this.#readOnly ? openForReading(path) : open(path, false, WRITER_PRAGMAS);
    this.#statements = new StatementCache((sql) => this.#database.prepare(sql));
  }

  /** Runs one statement and gives the number of rows it inserted, updated or deleted. */
  run(sql: string, ...parameters: SqlValue[]): number {
    return this.#statements.get(sql).run(...bindable(parameters)).changes;
  }

  /**
   * All rows of one statement, each an object by column name.
   * @throws when an integer lies outside the safe range of a number: it is never rounded
   */
  all<Row>(sql: string, ...parameters: SqlValue[]): Row[] {
    return this.#statements.get(sql).all(...bindable(parameters)) as Row[];
  }

  /** The first row of one statement. Throws as `all` does. */
  get<Row>(sql: string, ...parameters: SqlValue[]): Row | undefined {
    return this.#statements.get(sql).get(...bindable(parameters)) as Row | undefined;
  }

  /** Runs a script of any number of statements, without parameters. */
  exec(script: string): void {
    this.#database.exec(script);
  }

  get isInTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /** Takes the write lock at once, so that a transaction that reads first cannot fail half way. */
  begin(): void {
    this.run('BEGIN IMMEDIATE');
  }

  /** On return what was written is on disk. If it throws, the transaction may still be open: roll it back. */
  commit(): void {
    this.run('COMMIT');
  }

  /** Does nothing when no transaction is open: SQLite ends some by itself, such as on a full disk. */
  rollback(): void {
    if (this.#database.isTransaction) this.run('ROLLBACK');
  }

  /**
   * Copies what is in the WAL into the file and empties it. Outside of a transaction.
   * @param busyTimeoutMs how long it may wait for readers
   * @returns whether that could be done
   */
  emptyLog(busyTimeoutMs: number): boolean {
    this.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    try {
      return this.get<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)')?.busy === 0;
    } finally {
      this.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  /**
   * Asks SQLite whether a commit survives a power cut.
   * @throws StartupError when it would not
   */
  assertDurable(): void {
    const journalMode = this.get<{ journal_mode: string }>('PRAGMA journal_mode')?.journal_mode;
    const synchronous = this.get<{ synchronous: number }>('PRAGMA synchronous')?.synchronous;
    if (journalMode === 'wal' && synchronous === SYNCHRONOUS_FULL) return;
    throw new StartupError(
      `The database ${this.path} is not durable: journal_mode is ${journalMode} (must be wal), synchronous is ` +
        `${synchronous} (must be ${SYNCHRONOUS_FULL}). Put it on a local disk: network file systems do not support WAL.`,
    );
  }

  /**
   * From here on a commit no longer waits for the disk, and a power cut may undo the last ones: always all from some point on.
   * What a connection that does wait commits later makes these durable as well, since they come before it in the same log.
   */
  relaxSync(): void {
    this.exec('PRAGMA synchronous = NORMAL');
  }

  /**
   * Rolls back what is open and empties the WAL into the file. May be called more than once. Both have to be said: the
   * driver cannot end prepared statements, and SQLite keeps a connection with statements half open until they are gone.
   */
  close(): void {
    this.#statements.clear();
    if (!this.#database.isOpen) return;
    try {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      if (!this.#readOnly) this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } finally {
      this.#database.close();
    }
  }
}
