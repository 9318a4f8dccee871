import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKey, Role } from '../config.js';

export interface Identity {
  readonly name: string;
  readonly role: Role;
}

/** Where there are no keys the server listens on loopback alone, and whoever reaches it may do everything. */
const LOCAL: Identity = { name: 'local', role: 'OPS' };

/**
 * Tells who presents an `Authorization: Bearer …` header; null where it is nobody that we know.
 * @param keys empty: everybody is `local`
 */
export function identify(keys: readonly ApiKey[], authorization: string | undefined, now: Date): Identity | null {
  if (keys.length === 0) return LOCAL;
  const token = authorization?.match(/^Bearer +(\S+)$/i)?.[1];
  if (token === undefined) return null;
  const presented = createHash('sha256').update(token).digest();
  let found: ApiKey | null = null;
  // All keys are compared, each in constant time: how long it takes tells nothing.
  for (const key of keys) if (timingSafeEqual(presented, Buffer.from(key.sha256, 'hex'))) found = key;
  if (!found || (found.expiresAt && found.expiresAt <= now)) return null;
  return { name: found.name, role: found.role };
}
