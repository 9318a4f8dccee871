import { createHmac, randomBytes } from 'node:crypto';
import { deriveKey } from './encryption-key.js';
import { GuestKey, guestKeyIdOf, guestNameOf, type Personal } from './guest-key.js';
import { keyWrapOf, readIndexKey, unwrapKey, wrapKey } from './keyring.js';
import type { MasterCipher, MasterKeys } from './master-cipher.js';
import { PersonalReader, type SealedRow } from './personal-reader.js';
import type { SqliteConnection } from './sqlite-connection.js';

const KEY_BYTES = 32;
const BLIND_BYTES = 16;

/** What rows are found by without holding it. */
export type Blinded = 'crm id' | 'guest id' | 'idempotency key' | 'session id';

interface KeyRow {
  readonly id: number;
  readonly wrapped: string;
}

/**
 * The keys of the guests. What identifies a person is in no row in the clear:
 *
 * - it is sealed under a key of that guest alone, which is kept wrapped under `ENCRYPTION_KEY`. Without that key it is noise,
 *   also where SQLite has left copies of a row that it has moved: in the write-ahead log, in freed pages, between cells;
 * - rows name the guest by the name of its key, which says nothing once the key is gone;
 * - the key of a guest, and what else rows have to be found by, is found by a keyed hash (HMAC-SHA-256 under the index key).
 *
 * To forget a guest is to destroy its key.
 */
export class GuestVault {
  readonly #db: SqliteConnection;
  readonly #wrap: MasterCipher;
  readonly #indexKey: Buffer;
  /** The keys that the job at work has met, by the guest's id and by name; null between jobs. */
  #met: Map<string, GuestKey> | null = null;

  private constructor(db: SqliteConnection, wrap: MasterCipher, indexKey: Buffer) {
    this.#db = db;
    this.#wrap = wrap;
    this.#indexKey = indexKey;
  }

  /** @throws StartupError when the database was written with another key */
  static open(db: SqliteConnection, masterKeys: MasterKeys): GuestVault {
    const wrap = keyWrapOf(masterKeys);
    return new GuestVault(db, wrap, readIndexKey(db, wrap));
  }

  /** A keyed hash that stands for a value in rows: the same for the same value, and it says nothing of it. */
  blind(what: Blinded, value: string): string {
    const hash = createHmac('sha256', this.#indexKey).update(`${what}:${value}`).digest();
    return hash.subarray(0, BLIND_BYTES).toString('base64url');
  }

  /** As {@link blind}; null stays null. */
  blindOrNull(what: Blinded, value: string | null): string | null {
    return value === null ? null : this.blind(what, value);
  }

  /** A key for one purpose, which stays the same when `ENCRYPTION_KEY` is changed. */
  derive(purpose: string): Buffer {
    return deriveKey(this.#indexKey, purpose);
  }

  /**
   * Runs a job that writes, and looks each key up once for it: a row of the session, its event, its webhook and its audit entry
   * are sealed under the same. None is remembered any longer, so that one that is destroyed, or was made by a job that is undone,
   * is not used again.
   */
  during<T>(job: () => T): T {
    this.#met = new Map();
    try {
      return job();
    } finally {
      this.#met = null;
    }
  }

  /** The name that stands for a guest in rows; null for one that was never heard of, or was forgotten. */
  nameOf(guestId: string): string | null {
    const sql = 'SELECT "id" FROM "GuestKey" WHERE "guestHmac" = ?';
    const row = this.#db.get<{ id: number }>(sql, this.blind('guest id', guestId));
    return row ? guestNameOf(row.id) : null;
  }

  /** The key of a guest, made where there is none: on a connection that writes. */
  keyFor(guestId: string): GuestKey {
    const key = this.#met?.get(guestId) ?? this.#findOrMake(guestId);
    this.#met?.set(guestId, key).set(key.name, key);
    return key;
  }

  #findOrMake(guestId: string): GuestKey {
    const guestHmac = this.blind('guest id', guestId);
    const row = this.#db.get<KeyRow>('SELECT "id", "wrapped" FROM "GuestKey" WHERE "guestHmac" = ?', guestHmac);
    if (row) return this.#keyOf(row);
    const key = randomBytes(KEY_BYTES);
    const id = (this.#db.get<{ id: number | null }>('SELECT max("id") AS "id" FROM "GuestKey"')?.id ?? 0) + 1;
    const name = guestNameOf(id);
    const wrapped = wrapKey(this.#wrap, key, name);
    this.#db.run('INSERT INTO "GuestKey" ("id", "guestHmac", "wrapped") VALUES (?, ?, ?)', id, guestHmac, wrapped);
    return new GuestKey(name, key);
  }

  /** The key of this name; null where it was destroyed. */
  byName(name: string): GuestKey | null {
    const key = this.#met?.get(name) ?? this.#find(name);
    if (key) this.#met?.set(name, key);
    return key;
  }

  #find(name: string): GuestKey | null {
    const id = guestKeyIdOf(name);
    if (id === null) return null;
    const sql = 'SELECT "id", "wrapped" FROM "GuestKey" WHERE "id" = ? AND "wrapped" IS NOT NULL';
    const row = this.#db.get<KeyRow>(sql, id);
    return row ? this.#keyOf(row) : null;
  }

  /** Destroys the key of this name: what is sealed under it is noise from here on. The name is not given again. */
  destroy(name: string, erasedAt: Date): void {
    const sql = 'UPDATE "GuestKey" SET "guestHmac" = NULL, "wrapped" = NULL, "erasedAt" = ? WHERE "id" = ?';
    this.#db.run(sql, erasedAt, guestKeyIdOf(name));
    this.#met?.clear();
  }

  #keyOf({ id, wrapped }: KeyRow): GuestKey {
    const name = guestNameOf(id);
    return new GuestKey(name, unwrapKey(this.#wrap, wrapped, name));
  }

  /** Opens what rows hold of persons, looking each guest's key up once. */
  reader(): PersonalReader {
    return new PersonalReader((name) => this.byName(name));
  }

  /** Opens what one row holds of a person; null where there is no guest, or none any more. */
  personalOf(row: SealedRow, context: string): Personal | null {
    return this.reader().personalOf(row, context);
  }
}
