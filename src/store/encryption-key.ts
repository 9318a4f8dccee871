import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { StartupError } from '../errors.js';
import { readKeyFile } from './key-file.js';

const KEY_BYTES = 32;

/**
 * The key beside the database, for the sandbox alone: made when it is first needed, readable by its owner only.
 * @param mayMake false where there has to be one
 * @throws StartupError when it cannot be read or made
 */
export function keyBesideDatabase(databasePath: string, mayMake: boolean): Buffer {
  const path = `${databasePath}.key`;
  if (!mayMake && !existsSync(path)) {
    throw new StartupError(
      `The encryption key ${path} is missing, and the database was written with it. Put it back, or set ENCRYPTION_KEY to what was in it.`,
    );
  }
  const make = () => `${randomBytes(KEY_BYTES).toString('base64')}\n`;
  const key = Buffer.from(readKeyFile(path, 'The encryption key', make).toString('utf8').trim(), 'base64');
  if (key.length === KEY_BYTES) return key;
  throw new StartupError(
    `The encryption key ${path} is not ${KEY_BYTES} bytes in base64. Put it back, or remove it together with the database.`,
  );
}

/** A key for one purpose, derived from the one that is configured (HKDF, RFC 5869). */
export const deriveKey = (encryptionKey: Buffer, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', encryptionKey, '', `cxone-guest-sessions ${purpose}`, KEY_BYTES));

const KEY_ID_LENGTH = 8;

/** Tells derived keys apart, and nothing else of them. */
export const keyIdOf = (key: Buffer): string => createHash('sha256').update(key).digest('hex').slice(0, KEY_ID_LENGTH);

/** Of the key that a text was made with: encrypted texts and keyed hashes begin with it and a dot. */
export const keyIdIn = (text: string): string => text.split('.')[0] ?? '';

/** Something in the books needs a key that is not set. */
export const missingKey = (what: string, keyId: string): Error =>
  new Error(
    `${what} was stored under an encryption key (${keyId}) that is neither ENCRYPTION_KEY nor in ENCRYPTION_KEYS_OLD: ` +
      'add the key that was ENCRYPTION_KEY before to ENCRYPTION_KEYS_OLD',
  );
