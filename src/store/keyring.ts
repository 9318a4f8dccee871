import { randomBytes } from 'node:crypto';
import { StartupError } from '../errors.js';
import { keyIdIn } from './encryption-key.js';
import { MasterCipher, type MasterKeys } from './master-cipher.js';
import type { SqliteConnection } from './sqlite-connection.js';

const KEY_BYTES = 32;
const INDEX_KEY = 'index key';

/** Wraps the keys that are kept in the database. */
export const keyWrapOf = (masterKeys: MasterKeys): MasterCipher =>
  new MasterCipher('wrapped keys', 'a key of the database', masterKeys);

export const wrapKey = (wrap: MasterCipher, key: Buffer, context: string): string =>
  wrap.encrypt(key.toString('base64'), context);

/** @throws Error when the key that it was wrapped under is not among ours */
export const unwrapKey = (wrap: MasterCipher, wrapped: string, context: string): Buffer =>
  Buffer.from(wrap.decrypt(wrapped, context), 'base64');

/** Whether all that is personal is sealed; see the schema. */
export type KeyringState = 'PLAIN' | 'UNSWEPT' | 'SEALED';

interface KeyringRow {
  readonly indexKey: string;
  readonly state: KeyringState;
}

/** The row of the keys that the whole file shares; undefined where it has none yet. */
export function keyringRow(db: SqliteConnection): KeyringRow | undefined {
  const isThere = db.get("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'Keyring'");
  return isThere === undefined
    ? undefined
    : db.get<KeyringRow>('SELECT "indexKey", "state" FROM "Keyring" WHERE "id" = 1');
}

/** Makes the keys that the whole file shares, where there are none. */
export function makeKeyring(db: SqliteConnection, wrap: MasterCipher): void {
  if (keyringRow(db)) return;
  const indexKey = wrapKey(wrap, randomBytes(KEY_BYTES), INDEX_KEY);
  db.run(`INSERT INTO "Keyring" ("id", "indexKey", "state") VALUES (1, ?, 'PLAIN')`, indexKey);
}

/**
 * The key of the hashes by which rows are found.
 * @throws StartupError when it cannot be read with the keys that are configured
 */
export function readIndexKey(db: SqliteConnection, wrap: MasterCipher): Buffer {
  const row = keyringRow(db);
  if (!row) throw new StartupError(`The database ${db.path} has no keyring.`);
  try {
    return unwrapKey(wrap, row.indexKey, INDEX_KEY);
  } catch (error) {
    throw new StartupError(
      `ENCRYPTION_KEY is not the key that the database ${db.path} was written with, and that one is not in ENCRYPTION_KEYS_OLD. ` +
        'Set the key that it was written with; to change it, put the old one into ENCRYPTION_KEYS_OLD. Nothing was changed.',
      { cause: error },
    );
  }
}

/**
 * Sees to it that the keys of all guests can be read: in the middle of a rotation they are under several.
 * @throws StartupError that names those that are missing
 */
export function assertGuestKeys(db: SqliteConnection, wrap: MasterCipher): void {
  const sql = `SELECT DISTINCT substr("wrapped", 1, instr("wrapped", '.')) AS "under" FROM "GuestKey" WHERE "wrapped" IS NOT NULL`;
  const missing = db
    .all<{ under: string }>(sql)
    .filter(({ under }) => /^[0-9a-f]+\.$/.test(under) && !wrap.hasKeyOf(under));
  if (missing.length === 0) return;
  const names = missing.map(({ under }) => keyIdIn(under)).join(', ');
  throw new StartupError(
    `Keys of guests in the database ${db.path} are under encryption keys (${names}) that are neither ENCRYPTION_KEY nor in ` +
      'ENCRYPTION_KEYS_OLD. Set them as they were when the server last ran, or when npm run keys:rotate did. Nothing was changed.',
  );
}

/** Wraps it under `ENCRYPTION_KEY`. @returns whether it was not yet */
export function rewrapIndexKey(db: SqliteConnection, wrap: MasterCipher): boolean {
  const before = keyringRow(db)?.indexKey;
  if (before === undefined || keyIdIn(before) === wrap.keyId) return false;
  db.run('UPDATE "Keyring" SET "indexKey" = ? WHERE "id" = 1', wrap.encryptAnew(before, INDEX_KEY));
  return true;
}
