import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKey, Role } from '../access-settings.js';

export interface Identity {
  readonly name: string;
  readonly role: Role;
}

/** What came of looking for whoever presents a key or a token. */
export type Identification =
  /** Until when a token is good; of a key, today's says that. */
  | { readonly identity: Identity; readonly refusal: null; readonly expiresAtMs?: number }
  /** Why it is turned away. Also a key that is no good any more, or not from there, has a name. */
  | { readonly identity: Identity | null; readonly refusal: Refused };

interface Refused {
  readonly reason: string;
  /** Whether the key is good, and from elsewhere it would be let in. */
  readonly isForeign: boolean;
}

/** Where there are no keys the server listens on loopback alone, and whoever reaches it may do everything. */
const LOCAL: Identity = { name: 'local', role: 'OPS' };
const MOST_ORIGIN_CHARACTERS = 100;

/** What is presented: a header, and the `Origin` that a browser sends with it. */
export interface Presented {
  readonly authorization: string | undefined;
  readonly origin: string | undefined;
}

/**
 * Tells who presents an `Authorization: Bearer …` header, or why that is nobody whom we let in.
 * @param keys null: everybody is `local`
 */
export function identify(
  keys: Iterable<ApiKey> | null,
  { authorization, origin }: Presented,
  now: Date,
): Identification {
  if (keys === null) return { identity: LOCAL, refusal: null };
  const token = bearerOf(authorization);
  if (token === undefined) return { identity: null, refusal: { reason: 'no key', isForeign: false } };
  const presented = createHash('sha256').update(token).digest();
  let found: ApiKey | null = null;
  // All keys are compared, each in constant time: how long it takes tells nothing.
  for (const key of keys) if (timingSafeEqual(presented, Buffer.from(key.sha256, 'hex'))) found = key;
  if (!found) return { identity: null, refusal: { reason: 'unknown key', isForeign: false } };
  return { identity: { name: found.name, role: found.role }, refusal: refusalOf(found, origin, now) };
}

/** What an `Authorization: Bearer …` header presents (RFC 6750 §2.1). */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  authorization?.match(/^Bearer +(\S+)$/i)?.[1];

/**
 * Why a key is not good now, from there; null where it is. A key with origins is in a web page, for everybody to read. Its
 * pages send their origin with every POST and every socket, so whoever sends none is a program that has copied the key.
 */
export function refusalOf({ expiresAt, origins }: ApiKey, origin: string | undefined, now: Date): Refused | null {
  if (expiresAt !== undefined && expiresAt <= now) return { reason: 'the key is expired', isForeign: false };
  if (origins === undefined || (origin !== undefined && origins.includes(origin))) return null;
  const reason =
    origin === undefined
      ? 'the key is for web pages, and no origin was sent'
      : `the origin ${shownOrigin(origin)} is not one of the key's`;
  return { reason, isForeign: true };
}

/** What is not an origin could be any text, and is not for the audit trail. */
export const shownOrigin = (origin: string): string =>
  origin.length <= MOST_ORIGIN_CHARACTERS && URL.canParse(origin) && new URL(origin).origin === origin
    ? origin
    : '(of another form)';
