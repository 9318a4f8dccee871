import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Random bytes are drawn for many nonces at a time: one by one they would cost a third of sealing. */
const NONCES_DRAWN = 256;
let drawn: Buffer = Buffer.alloc(0);

/** A nonce that was never given before: the first of what is drawn. */
function nextNonce(): Buffer {
  if (drawn.length === 0) drawn = randomBytes(NONCE_BYTES * NONCES_DRAWN);
  const nonce = drawn.subarray(0, NONCE_BYTES);
  drawn = drawn.subarray(NONCE_BYTES);
  return nonce;
}

/**
 * Encrypts with AES-256-GCM (NIST SP 800-38D) under a random nonce.
 * @param context what it belongs to: it can be opened with the same alone (the additional authenticated data)
 * @returns base64url of nonce (12 bytes), ciphertext and tag (16 bytes)
 */
export function seal(key: Buffer, text: string, context: string): string {
  const nonce = nextNonce();
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @throws Error when it was sealed with another key or context, or was tampered with */
export function unseal(key: Buffer, sealed: string, context: string): string {
  const bytes = Buffer.from(sealed, 'base64url');
  const end = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(end));
  return decipher.update(bytes.subarray(NONCE_BYTES, end), undefined, 'utf8') + decipher.final('utf8');
}
