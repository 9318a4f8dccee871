import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { deriveKey, keyIdOf, missingKey } from './encryption-key.js';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts client tokens (AES-256-GCM), bound to the request that they were the answer to. The text begins with the id of its
 * key, so that what an older key has encrypted can be read after a change of keys.
 */
export class TokenCipher {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #keyId: string;

  /**
   * @param encryptionKey encrypts, and decrypts what it has encrypted
   * @param oldKeys decrypt only
   */
  constructor(encryptionKey: Buffer, oldKeys: readonly Buffer[] = []) {
    const keys = [encryptionKey, ...oldKeys].map((key) => deriveKey(key, 'client tokens'));
    this.#keys = new Map(keys.map((key) => [keyIdOf(key), key]));
    this.#keyId = keyIdOf(keys[0] as Buffer);
  }

  encrypt(token: string, requestId: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key(this.#keyId), nonce).setAAD(Buffer.from(requestId));
    const sealed = Buffer.concat([nonce, cipher.update(token, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${this.#keyId}.${sealed.toString('base64url')}`;
  }

  /** @throws Error when its key is not among ours, or the text was tampered with */
  decrypt(text: string, requestId: string): string {
    const [keyId = '', sealed = ''] = text.split('.');
    const bytes = Buffer.from(sealed, 'base64url');
    const end = bytes.length - TAG_BYTES;
    const decipher = createDecipheriv(ALGORITHM, this.#key(keyId), bytes.subarray(0, NONCE_BYTES))
      .setAAD(Buffer.from(requestId))
      .setAuthTag(bytes.subarray(end));
    return decipher.update(bytes.subarray(NONCE_BYTES, end), undefined, 'utf8') + decipher.final('utf8');
  }

  #key(id: string): Buffer {
    const key = this.#keys.get(id);
    if (key) return key;
    throw missingKey('a client token', id);
  }
}
