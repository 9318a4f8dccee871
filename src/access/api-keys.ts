import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKey, Role } from '../config.js';

export interface Identity {
  readonly name: string;
  readonly role: Role;
}

/** Why a caller is turned away for its key. */
type KeyRefusal = 'no key' | 'unknown key' | 'the key is expired';

/** What came of looking for whoever presents a key. */
export type Identification =
  | { readonly identity: Identity; readonly refusal: null }
  /** Also an expired key has a name. */
  | { readonly identity: Identity | null; readonly refusal: KeyRefusal };

/** Where there are no keys the server listens on loopback alone, and whoever reaches it may do everything. */
const LOCAL: Identity = { name: 'local', role: 'OPS' };

/**
 * Tells who presents an `Authorization: Bearer …` header, or why that is nobody whom we let in.
 * @param keys empty: everybody is `local`
 */
export function identify(keys: readonly ApiKey[], authorization: string | undefined, now: Date): Identification {
  if (keys.length === 0) return { identity: LOCAL, refusal: null };
  const token = authorization?.match(/^Bearer +(\S+)$/i)?.[1];
  if (token === undefined) return { identity: null, refusal: 'no key' };
  const presented = createHash('sha256').update(token).digest();
  let found: ApiKey | null = null;
  // All keys are compared, each in constant time: how long it takes tells nothing.
  for (const key of keys) if (timingSafeEqual(presented, Buffer.from(key.sha256, 'hex'))) found = key;
  if (!found) return { identity: null, refusal: 'unknown key' };
  const identity = { name: found.name, role: found.role };
  const isExpired = found.expiresAt !== undefined && found.expiresAt <= now;
  return { identity, refusal: isExpired ? 'the key is expired' : null };
}
