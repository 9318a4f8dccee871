import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { existsSync } from 'node:fs';
import { StartupError } from '../errors.js';
import { readKeyFile } from './key-file.js';

/** What a checkpoint says: the trail's entry at this sequence had this hash at that time. */
export interface CheckpointContent {
  readonly sequence: number;
  readonly hash: string;
  readonly timestamp: Date;
}

export interface AuditCheckpoint extends CheckpointContent {
  /** Which key has signed it. */
  readonly keyId: string;
  /** Ed25519, in base64. */
  readonly signature: string;
}

/** Public keys as a JWK Set (RFC 7517, RFC 8037). */
export interface JwkSet {
  readonly keys: readonly Readonly<Record<'kty' | 'crv' | 'x' | 'kid' | 'use' | 'alg', string>>[];
}

/** Of the form of what is signed, not of this program. */
export const CHECKPOINT_VERSION = 1;
const KEY_ID_LENGTH = 16;

/** Signs the checkpoints of the audit trail, and tells whether it was this key that has signed one. */
export class AuditSigner {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  /** The first 16 hex digits of SHA-256 over the 32 bytes of the public key. */
  readonly keyId: string;
  /** The public key. */
  readonly keySet: JwkSet;

  /** @param privateKey Ed25519 */
  constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.#publicKey = createPublicKey(privateKey);
    const { x = '' } = this.#publicKey.export({ format: 'jwk' });
    this.keyId = createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex').slice(0, KEY_ID_LENGTH);
    this.keySet = { keys: [{ kty: 'OKP', crv: 'Ed25519', x, kid: this.keyId, use: 'sig', alg: 'EdDSA' }] };
  }

  sign(content: CheckpointContent): AuditCheckpoint {
    const signature = sign(null, signedBytes(content, this.keyId), this.#privateKey).toString('base64');
    return { ...content, keyId: this.keyId, signature };
  }

  /** Whether a checkpoint that names this key was signed with it. */
  hasSigned({ signature, ...content }: AuditCheckpoint): boolean {
    const bytes = Buffer.from(signature, 'base64');
    // Node reads base64 leniently: another text for the same bytes is a change all the same.
    if (bytes.toString('base64') !== signature) return false;
    return verify(null, signedBytes(content, content.keyId), this.#publicKey, bytes);
  }
}

/** Canonical JSON (RFC 8785): the keys in this order, no white space. */
const signedBytes = ({ hash, sequence, timestamp }: CheckpointContent, keyId: string): Buffer =>
  Buffer.from(
    JSON.stringify({ hash, keyId, sequence, timestamp: timestamp.toISOString(), version: CHECKPOINT_VERSION }),
  );

/**
 * Opens what signs the audit trail.
 * @param key what is configured; null for none
 * @param databasePath where the key may lie beside the database instead (the sandbox alone); null where it may not
 * @param mayMake false where the key beside the database has to be there
 * @returns null where there is no key: nothing is signed
 * @throws StartupError when the key beside the database cannot be read or made
 */
export function openSigner(key: KeyObject | null, databasePath: string | null, mayMake = true): AuditSigner | null {
  if (key) return new AuditSigner(key);
  return databasePath === null ? null : new AuditSigner(keyBesideDatabase(`${databasePath}.audit-key`, mayMake));
}

function keyBesideDatabase(path: string, mayMake: boolean): KeyObject {
  if (!mayMake && !existsSync(path)) {
    throw new StartupError(
      `The key of the audit trail ${path} is missing, and no other than the server's may sign here. Put it back, or set ` +
        'AUDIT_SIGNING_KEY where the server has it from there.',
    );
  }
  const make = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  try {
    const key = createPrivateKey(readKeyFile(path, 'The key of the audit trail', make));
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (error) {
    if (error instanceof StartupError) throw error;
    // What the parser says may hold a part of the key.
  }
  throw new StartupError(
    `The key of the audit trail ${path} is not an Ed25519 key in PEM that can be read. Put it back, or remove it: ` +
      'a new one is made then, and what the former one has signed is not checked any more.',
  );
}
