import { seal, unseal } from './aes-gcm.js';
import { deriveKey, keyBesideDatabase, keyIdIn, keyIdOf, missingKey } from './encryption-key.js';

/** `ENCRYPTION_KEY`, and behind it those of `ENCRYPTION_KEYS_OLD`, which decrypt only. */
export type MasterKeys = readonly [Buffer, ...Buffer[]];

/**
 * Those of a database, by the settings: in the sandbox the first may be the one that lies beside it.
 * @param mayMake false where it has been written with one already
 * @throws StartupError when that cannot be read or made
 */
export const masterKeysOf = (
  {
    encryptionKey,
    encryptionKeysOld,
  }: { readonly encryptionKey: Buffer | null; readonly encryptionKeysOld: readonly Buffer[] },
  databasePath: string,
  mayMake: boolean,
): MasterKeys => [encryptionKey ?? keyBesideDatabase(databasePath, mayMake), ...encryptionKeysOld];

/**
 * Encrypts under a key that is derived from `ENCRYPTION_KEY` for one purpose. The text begins with the id of that key and a dot,
 * so that what an older one has encrypted can be read after a change of keys.
 */
export class MasterCipher {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #what: string;
  /** Of the key that encrypts; the same `ENCRYPTION_KEY` has another one for another purpose. */
  readonly keyId: string;

  /**
   * @param purpose what tells its keys from those of other purposes
   * @param what is encrypted, as the subject of a sentence
   */
  constructor(purpose: string, what: string, masterKeys: MasterKeys) {
    const keys = masterKeys.map((key) => deriveKey(key, purpose));
    this.#keys = new Map(keys.map((key) => [keyIdOf(key), key]));
    this.#what = what;
    this.keyId = keyIdOf(keys[0] as Buffer);
  }

  /** @param context what the text belongs to */
  encrypt(text: string, context: string): string {
    return `${this.keyId}.${seal(this.#key(this.keyId), text, context)}`;
  }

  /** Whether the key that a text was encrypted under is among ours. */
  hasKeyOf(text: string): boolean {
    return this.#keys.has(keyIdIn(text));
  }

  /** @throws Error when its key is not among ours, or the text was tampered with */
  decrypt(text: string, context: string): string {
    const [keyId = '', sealed = ''] = text.split('.');
    return unseal(this.#key(keyId), sealed, context);
  }

  /** The same under the key that encrypts now, in as many bytes. @throws Error as `decrypt` does */
  encryptAnew(text: string, context: string): string {
    return this.encrypt(this.decrypt(text, context), context);
  }

  #key(id: string): Buffer {
    const key = this.#keys.get(id);
    if (key) return key;
    throw missingKey(this.#what, id);
  }
}
