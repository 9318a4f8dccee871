import type { SqliteConnection } from './sqlite-connection.js';
import { type StorageFailure, storageFailureOf } from './storage-failure.js';

const PROBE_INTERVAL_MS = 1_000;
/** Commands wait while a probe waits for another program's lock. */
const PROBE_BUSY_TIMEOUT_MS = 100;
/** More than a full group writes. A probe that asked for less would find room where the next group finds none. */
const PROBE_BYTES = 1_048_576;
const PROBE_CACHE_PAGES = 16;

/** Hears when the storage fails, with the reason, and when it is well again, with null. */
export type StorageListener = (failure: StorageFailure | null) => void;

interface ConnectionSettings {
  readonly timeout: number;
  readonly cache_size: number;
}

/**
 * Knows whether the storage takes writes. Once it has refused one it is asked every second, by writing, until it takes them
 * again. Nothing else clears the failure: a commit that happens to be small, or empty, says little about a full disk.
 */
export class StorageWatch implements Disposable {
  readonly #db: SqliteConnection;
  readonly #settings: ConnectionSettings;
  readonly #listeners: StorageListener[] = [];
  #failure: StorageFailure | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** @param db the connection that writes: what another one can do proves nothing */
  constructor(db: SqliteConnection) {
    this.#db = db;
    this.#settings = {
      ...db.get<Pick<ConnectionSettings, 'timeout'>>('PRAGMA busy_timeout')!,
      ...db.get<Pick<ConnectionSettings, 'cache_size'>>('PRAGMA cache_size')!,
    };
  }

  /** Null while all is well. */
  get failure(): StorageFailure | null {
    return this.#failure;
  }

  onChange(listener: StorageListener): void {
    this.#listeners.push(listener);
  }

  /** Takes note that a write has failed. */
  report(failure: StorageFailure): void {
    const wasWell = this.#failure === null;
    this.#failure = { ...failure, isDamage: failure.isDamage || this.#failure?.isDamage === true };
    this.#timer ??= setTimeout(() => this.#probe(), PROBE_INTERVAL_MS);
    if (wasWell) this.#tell();
  }

  #probe(): void {
    this.#timer = null;
    try {
      this.#write();
    } catch (error) {
      // Whatever it is: nothing could be written.
      this.report(storageFailureOf(error) ?? this.#failure!);
      return;
    }
    this.#failure = null;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#failure);
  }

  /**
   * Does what commits do, and more of it, and changes nothing. A table that does not fit the cache has to be written to the
   * WAL before its transaction ends, so that taking it back leaves room there that the file system has granted. Writing the
   * user version as it is then takes a commit with its sync.
   */
  #write(): void {
    const db = this.#db;
    db.exec(`PRAGMA busy_timeout = ${PROBE_BUSY_TIMEOUT_MS}`);
    try {
      if (this.#failure?.isDamage) assertIntact(db);
      db.begin();
      db.exec(`PRAGMA cache_size = ${PROBE_CACHE_PAGES}; SAVEPOINT "probe";
        CREATE TABLE "probe" AS SELECT zeroblob(${PROBE_BYTES}) AS "nothing"; ROLLBACK TO "probe"; RELEASE "probe"`);
      const version = db.get<{ user_version: number }>('PRAGMA user_version')!.user_version;
      db.exec(`PRAGMA user_version = ${version}`);
      db.commit();
    } finally {
      db.rollback();
      const { timeout, cache_size } = this.#settings;
      db.exec(`PRAGMA busy_timeout = ${timeout}; PRAGMA cache_size = ${cache_size}`);
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Reads the whole file; writers wait meanwhile, which only those of a damaged database have to. */
function assertIntact(db: SqliteConnection): void {
  const found = db.get<{ quick_check: string }>('PRAGMA quick_check(1)')?.quick_check;
  if (found !== 'ok') throw new Error(`the database is damaged: ${found}`);
}
