import { deriveKey, keyIdIn, keyIdOf } from './encryption-key.js';
import { guestNameOf } from './guest-key.js';
import { keyWrapOf, readIndexKey, rewrapIndexKey } from './keyring.js';
import type { MasterCipher, MasterKeys } from './master-cipher.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { TokenCipher } from './token-cipher.js';
import { writeWhenFree } from './write-when-free.js';

/** As many are written in one transaction: the server waits for it as it would for a group of its own. */
const BATCH_SIZE = 200;

/** Of how many the key was changed. */
export interface Rewrapped {
  readonly changed: number;
  /** Those that there are now, the others included. */
  readonly all: number;
}

/** What is under a key that is not `ENCRYPTION_KEY`. */
export interface Leftover {
  readonly keyId: string;
  readonly count: number;
  /** Whether the key is in `ENCRYPTION_KEYS_OLD`. */
  readonly isOurs: boolean;
}

/** What a rotation has come to. */
export interface Rotation {
  /** Of the key that wraps now. */
  readonly keyId: string;
  readonly guestKeys: Rewrapped;
  readonly isIndexKeyChanged: boolean;
  readonly tokens: Rewrapped;
  readonly guestKeysLeft: readonly Leftover[];
  readonly tokensLeft: readonly Leftover[];
  readonly inputsLeft: readonly OldInputs[];
}

/** Hashes of inputs: they cannot be made again, and last as long as the idempotency keys that they belong to. */
interface OldInputs extends Leftover {
  readonly until: Date;
}

/** How far it is. */
export type Progress = (keys: Rewrapped) => void;

/**
 * Brings what is encrypted under older keys under `ENCRYPTION_KEY`: the keys of the guests, the client tokens, and last the index
 * key. A start needs the key that the index key is under: one that lacks the older key is refused until all the rest is done.
 *
 * The server may work on the same file meanwhile, if it has the same keys. Each transaction is short, and so small a part of the
 * work that it can be ended at any time and begun again: what is under `ENCRYPTION_KEY` already is passed over.
 * @throws StartupError when no key opens the database
 */
export async function rotateKeys(
  db: SqliteConnection,
  masterKeys: MasterKeys,
  onProgress?: Progress,
): Promise<Rotation> {
  const wrap = keyWrapOf(masterKeys);
  readIndexKey(db, wrap);
  const [current, ...older] = masterKeys;
  const wrapped = guestKeyColumn(wrap);
  const encrypted = clientTokenColumn(new TokenCipher(current, older));
  const guestKeys = await rewrapAll(db, wrapped, onProgress);
  const tokens = await rewrapAll(db, encrypted);
  const guestKeysLeft = leftovers(db, wrapped);
  const tokensLeft = leftovers(db, encrypted);
  const isAllDone = ![...guestKeysLeft, ...tokensLeft].some(({ isOurs }) => isOurs);
  const isIndexKeyChanged = isAllDone && (await writeWhenFree(db, () => rewrapIndexKey(db, wrap)));
  const inputsLeft = inputsOfOlderKeys(db, masterKeys);
  return { keyId: wrap.keyId, guestKeys, isIndexKeyChanged, tokens, guestKeysLeft, tokensLeft, inputsLeft };
}

/** A column of encrypted texts. */
interface SealedColumn {
  readonly table: string;
  readonly column: string;
  /** The column with what the text is bound to. */
  readonly boundTo: string;
  contextOf(boundTo: string | number): string;
  readonly cipher: MasterCipher;
}

const guestKeyColumn = (cipher: MasterCipher): SealedColumn => ({
  table: 'GuestKey',
  column: 'wrapped',
  boundTo: 'id',
  contextOf: (id) => guestNameOf(Number(id)),
  cipher,
});

const clientTokenColumn = (cipher: MasterCipher): SealedColumn => ({
  table: 'IdempotencyKey',
  column: 'clientToken',
  boundTo: 'requestId',
  contextOf: String,
  cipher,
});

interface SealedText {
  readonly rowid: number;
  readonly text: string;
  readonly boundTo: string | number;
}

interface NewText extends SealedText {
  readonly next: string;
}

async function rewrapAll(db: SqliteConnection, sealed: SealedColumn, onProgress?: Progress): Promise<Rewrapped> {
  const { table, column, boundTo, cipher } = sealed;
  // What was erased is null, and in none of these.
  const select = `SELECT rowid AS "rowid", "${column}" AS "text", "${boundTo}" AS "boundTo" FROM "${table}"
    WHERE rowid > ? AND "${column}" NOT GLOB ? ORDER BY rowid LIMIT ${BATCH_SIZE}`;
  const all = countAll(db, sealed);
  let changed = 0;
  for (let last = 0; ; ) {
    const batch = db.all<SealedText>(select, last, `${cipher.keyId}.*`);
    last = batch.at(-1)?.rowid ?? last;
    const texts = batch.flatMap((row) => anew(row, sealed));
    changed += await write(db, sealed, texts);
    onProgress?.({ changed, all });
    if (batch.length < BATCH_SIZE) return { changed, all: countAll(db, sealed) };
  }
}

/** Nothing for what cannot be opened: it is counted with what is left. */
function anew(row: SealedText, { cipher, contextOf }: SealedColumn): NewText[] {
  if (!cipher.hasKeyOf(row.text)) return [];
  try {
    return [{ ...row, next: cipher.encryptAnew(row.text, contextOf(row.boundTo)) }];
  } catch {
    return [];
  }
}

/** Encrypting is over by now: others wait for the writing alone. @returns how many were still as they were read */
async function write(
  db: SqliteConnection,
  { table, column }: SealedColumn,
  texts: readonly NewText[],
): Promise<number> {
  if (texts.length === 0) return 0;
  // A key that was erased meanwhile must not come back.
  const update = `UPDATE "${table}" SET "${column}" = ? WHERE rowid = ? AND "${column}" = ?`;
  const writeOne = ({ rowid, text, next }: NewText) => db.run(update, next, rowid, text);
  return writeWhenFree(db, () => texts.reduce((sum, text) => sum + writeOne(text), 0));
}

const countAll = (db: SqliteConnection, { table, column }: SealedColumn): number =>
  db.get<{ n: number }>(`SELECT count("${column}") AS n FROM "${table}"`)?.n ?? 0;

function leftovers(db: SqliteConnection, { table, column, cipher }: SealedColumn): Leftover[] {
  const rows = db.all<{ text: string; count: number }>(
    `SELECT min("${column}") AS "text", count(*) AS "count" FROM "${table}" WHERE "${column}" NOT GLOB ?
       GROUP BY substr("${column}", 1, instr("${column}", '.'))`,
    `${cipher.keyId}.*`,
  );
  return rows.map(({ text, count }) => ({ keyId: keyIdIn(text), count, isOurs: cipher.hasKeyOf(text) }));
}

function inputsOfOlderKeys(db: SqliteConnection, masterKeys: MasterKeys): OldInputs[] {
  const [current, ...older] = masterKeys.map((key) => keyIdOf(deriveKey(key, 'idempotency inputs')));
  const rows = db.all<{ text: string; count: number; until: number }>(
    `SELECT min("inputHmac") AS "text", count(*) AS "count", max("expiresAt") AS "until" FROM "IdempotencyKey"
       WHERE "expiresAt" > ? AND "inputHmac" NOT GLOB ? GROUP BY substr("inputHmac", 1, instr("inputHmac", '.'))`,
    new Date(),
    `${current}.*`,
  );
  return rows.map(({ text, count, until }) => {
    const keyId = keyIdIn(text);
    return { keyId, count, isOurs: older.includes(keyId), until: new Date(until) };
  });
}
