import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseLine } from './lines.mjs';
import { Unusable } from './verdict.mjs';

const PEM = /-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g;

/**
 * The Ed25519 keys of a file by their ids: PEM (SPKI), a JWK, or a JWK Set.
 *
 * @returns {Map<string, import('node:crypto').KeyObject>}
 * @throws Unusable when it holds none
 */
export function readPublicKeys(path) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Unusable(`${path} cannot be read: ${error.message}`);
  }
  const json = parseLine(text);
  const keys = json === undefined ? (text.match(PEM) ?? []).map(keyOf) : keysOf(json?.keys ?? [json]);
  const found = keys.filter((key) => key !== undefined);
  if (found.length === 0) throw new Unusable(`${path} holds no Ed25519 public key (PEM, JWK or JWK Set).`);
  return byId(found);
}

/** By its id: the first 16 hex digits of SHA-256 over the 32 bytes of the key. */
const byId = (keys) => new Map(keys.map((key) => [keyId(key), key]));

const keyId = (key) =>
  createHash('sha256')
    .update(Buffer.from(toJwk(key).x, 'base64url'))
    .digest('hex')
    .slice(0, 16);

/** A key as JSON Web Key. */
export function toJwk(key) {
  const { kty, crv, x } = key.export({ format: 'jwk' });
  return { kty, crv, x };
}

/** The keys among some JSON Web Keys; those that are no Ed25519 keys are left out. */
const keysOf = (jwks) =>
  Array.isArray(jwks)
    ? jwks.map((jwk) => keyOf({ key: { kty: jwk?.kty, crv: jwk?.crv, x: jwk?.x }, format: 'jwk' }))
    : [];

/** The keys that came as JSON Web Keys, by their ids. */
export const keysById = (jwks) => byId(keysOf(jwks).filter((key) => key !== undefined));

function keyOf(input) {
  try {
    const key = createPublicKey(input);
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
