import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { origin } from './key-formats.js';
import { isLoopback } from './loopback.js';
import { httpUrl } from './setting-formats.js';

/**
 * What a JSON Web Token may be signed by (RFC 7518 §3.1, RFC 8037, RFC 9864): never `none`, and nothing that a key which anybody
 * may have could sign by.
 */
const TOKEN_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
];
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

/** A public key that signatures are verified with (RFC 7517). */
export interface PublicJwk extends JsonWebKey {
  readonly kty: string;
  readonly kid?: string;
  readonly alg?: string;
}

/** `AUTH_JWKS_URL`: over a wire that anybody can change, anybody could put a key among them. */
export const jwksUrl = httpUrl.refine(
  (url) => !URL.canParse(url) || isSafe(new URL(url)),
  'must be an https:// URL (http:// on a loopback address alone)',
);

const isSafe = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''));

const LEAST_RSA_BITS = 2048;
const ALGORITHMS_OF_CURVE: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
};
const SECRET = 'is a private or a symmetric key: the server verifies with the public one, and must not have that';
const NO_KEY =
  'must be a public key as PEM (SPKI), JWK or JWK Set: RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519';

/** `AUTH_JWT_PUBLIC_KEY`: of a set, those that tokens can be verified with (RFC 7517 §5). */
export const publicKeys = z.string().transform((text, context): readonly PublicJwk[] => {
  const keys = readPublicKeys(text.trim());
  if (typeof keys !== 'string') return keys;
  context.addIssue({ code: 'custom', message: keys });
  return z.NEVER;
});

/** The keys; or what is wrong, which never repeats what was given. */
function readPublicKeys(text: string): readonly PublicJwk[] | string {
  try {
    // Node would make a public key of a private one without a word.
    if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return SECRET;
    if (text.startsWith('-----BEGIN PUBLIC KEY-----')) return usable([toJwk(createPublicKey(text), {})]);
    const json = JSON.parse(text) as { readonly keys?: unknown };
    const keys = (Array.isArray(json.keys) ? json.keys : [json]) as Record<string, unknown>[];
    if (keys.some((key) => key.kty === 'oct' || 'd' in key || 'k' in key)) return SECRET;
    return usable(keys.filter(isForSignatures).map((key) => toJwk(publicKeyOf(key), key)));
  } catch {
    return NO_KEY; // what the parser says may hold a part of it
  }
}

const usable = (keys: readonly (PublicJwk | null)[]): readonly PublicJwk[] | string => {
  const found = keys.filter((key) => key !== null);
  return found.length > 0 ? found : NO_KEY;
};

const isForSignatures = ({ use = 'sig', key_ops = ['verify'] }: Record<string, unknown>): boolean =>
  use === 'sig' && Array.isArray(key_ops) && key_ops.includes('verify');

function publicKeyOf(key: Record<string, unknown>): KeyObject | null {
  try {
    return createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
  } catch {
    return null; // of a kind that Node does not know
  }
}

/** As much of a key as verifying takes; null for one that nothing may be verified with. */
function toJwk(key: KeyObject | null, { kid, alg }: Record<string, unknown>): PublicJwk | null {
  if (!key || (key.asymmetricKeyDetails?.modulusLength ?? LEAST_RSA_BITS) < LEAST_RSA_BITS) return null;
  if (!['rsa', 'ec', 'ed25519'].includes(key.asymmetricKeyType ?? '')) return null;
  const jwk = key.export({ format: 'jwk' }) as PublicJwk;
  if (jwk.kty !== 'RSA' && !ALGORITHMS_OF_CURVE[jwk.crv ?? '']) return null;
  return { ...jwk, ...(typeof kid === 'string' && { kid }), ...(typeof alg === 'string' && { alg }) };
}

/** Whether a key can be used with an algorithm. */
export function suits({ kty, crv, alg }: PublicJwk, algorithm: TokenAlgorithm): boolean {
  if (alg !== undefined && alg !== algorithm) return false;
  return kty === 'RSA' ? /^[RP]S/.test(algorithm) : (ALGORITHMS_OF_CURVE[crv ?? ''] ?? []).includes(algorithm);
}

const list = z.string().transform((text) => text.split(',').map((item) => item.trim()));

/** `AUTH_ALGORITHMS`, comma-separated. */
export const tokenAlgorithms = list.pipe(
  z.array(z.enum(TOKEN_ALGORITHMS, `must be one of ${TOKEN_ALGORITHMS.join(', ')}`)),
);

/** `AUTH_ORIGINS`, comma-separated. */
export const tokenOrigins = list.pipe(z.array(origin).max(100));

/** Compared as text: an issuer, an audience, the name of a claim. */
export const claimText = z.string().regex(/^[\x20-\x7e]{1,500}$/, 'must be 1 to 500 plain characters');
