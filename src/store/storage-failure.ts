import { AttemptError } from '../errors.js';

/** Enough for somebody to make room, and for the next probe to notice. */
const RETRY_AFTER_SECONDS = 5;

/** The primary result codes that tell of the storage, not of what was to be written (https://www.sqlite.org/rescode.html). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [3, 'SQLITE_PERM'],
  [5, 'SQLITE_BUSY'],
  [6, 'SQLITE_LOCKED'],
  [7, 'SQLITE_NOMEM'],
  [8, 'SQLITE_READONLY'],
  [10, 'SQLITE_IOERR'],
  [11, 'SQLITE_CORRUPT'],
  [13, 'SQLITE_FULL'],
  [14, 'SQLITE_CANTOPEN'],
  [15, 'SQLITE_PROTOCOL'],
  [26, 'SQLITE_NOTADB'],
]);
const DAMAGE = [11, 26];

/** Why the database takes no writes: nothing is wrong with what was to be written. */
export interface StorageFailure {
  /** For operations, such as `database or disk is full (SQLITE_FULL)`. */
  readonly detail: string;
  /** The file is not what it should be: that it takes writes proves little then. */
  readonly isDamage: boolean;
}

/** Reads an error of the driver. @returns null for everything else: constraints, faulty SQL, bugs */
export function storageFailureOf(error: unknown): StorageFailure | null {
  if (!(error instanceof Error && 'errcode' in error && typeof error.errcode === 'number')) return null;
  // The upper bits say more: 778 is a kind of 10, a write that failed.
  const primary = error.errcode & 0xff;
  const name = NAMES.get(primary);
  if (name === undefined) return null;
  const code = error.errcode === primary ? name : `${name} ${error.errcode}`;
  return { detail: `${error.message} (${code})`, isDamage: DAMAGE.includes(primary) };
}

/** What callers are told of it. */
export const ledgerUnavailable = ({ detail }: StorageFailure): AttemptError =>
  new AttemptError('LEDGER_UNAVAILABLE', {
    detail: `the database cannot be written: ${detail}`,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
