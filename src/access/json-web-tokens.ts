import { createHmac } from 'node:crypto';
import { createLocalJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Role, TokenConfig } from '../access-settings.js';
import { ROLES, TOKEN_PREFIX } from '../key-formats.js';
import { type Identification, type Identity, shownOrigin } from './api-keys.js';
import type { Arrival } from './gate.js';
import type { KeyRingLog } from './key-ring.js';
import { type KeySetTiming, KeySetUnavailableError, RemoteKeySet } from './remote-key-set.js';

const MOST_CHARACTERS = 8_192;
const HASH_BYTES = 16;

export interface TokenSettings extends TokenConfig {
  /** Of the hashes that stand for guests. */
  readonly subjectKey: Buffer;
  /** When the keys of an issuer are fetched, where it is not as usual. */
  readonly timing?: Partial<KeySetTiming>;
}

/** Why a token is not good, without anything that it holds. */
class BadToken extends Error {
  constructor(
    message: string,
    readonly identity: Identity | null = null,
  ) {
    super(message);
  }
}

/**
 * Knows callers by the JSON Web Tokens of one issuer (RFC 7519), checked as RFC 8725 has it: signed by one of the pinned
 * algorithms, for this audience, and not for ever. Clocks are given no tolerance.
 */
export class JsonWebTokens implements Disposable {
  readonly #settings: TokenSettings;
  readonly #remote: RemoteKeySet | null;
  readonly #findKey: JWTVerifyGetKey;

  constructor(settings: TokenSettings, log: KeyRingLog) {
    this.#settings = settings;
    const { keys } = settings;
    this.#remote = 'url' in keys ? new RemoteKeySet(keys.url, log, settings.timing) : null;
    this.#findKey = 'url' in keys ? (header, token) => this.#remote!.find(header, token) : keyAmong(keys);
  }

  /** Whether pages of this origin may use tokens. */
  knowsOrigin(origin: string): boolean {
    return this.#settings.origins.includes(origin);
  }

  /** @throws KeySetUnavailableError when nobody can tell at the moment whether the token is good */
  async identify(token: string, { origin, isSameOrigin }: Arrival): Promise<Identification> {
    try {
      const { exp: expiresAt = 0, ...claims } = await this.#verify(token);
      const identity = this.#identityOf(claims);
      // Programs send no origin. A page of another site needs leave.
      if (origin === undefined || isSameOrigin || this.knowsOrigin(origin)) {
        return { identity, expiresAtMs: expiresAt * 1000, refusal: null };
      }
      const reason = `the origin ${shownOrigin(origin)} is not one that may use tokens`;
      return { identity, refusal: { reason, isForeign: true } };
    } catch (error) {
      if (!(error instanceof BadToken)) throw error;
      return { identity: error.identity, refusal: { reason: error.message, isForeign: false } };
    }
  }

  async #verify(token: string): Promise<JWTPayload> {
    if (token.length > MOST_CHARACTERS) throw new BadToken('the token is too long');
    const { issuer, audience, algorithms } = this.#settings;
    const options = { issuer, audience, algorithms: [...algorithms] };
    const { payload, protectedHeader } = await jwtVerify(token, this.#findKey, options).catch((error: unknown) => {
      if (error instanceof KeySetUnavailableError) throw error;
      const isExpired = error instanceof errors.JWTExpired;
      throw new BadToken(reasonOf(error), isExpired ? this.#identityOf(error.payload) : null);
    });
    // JSON's numbers that are too large are infinite here.
    if (!Number.isFinite(payload.exp)) throw new BadToken('the token has no expiry');
    if (!/^(application\/)?(at\+)?jwt$/i.test(protectedHeader.typ ?? 'JWT')) {
      throw new BadToken('the token is of another type');
    }
    return payload;
  }

  #identityOf(claims: JWTPayload): Identity {
    const { sub } = claims;
    if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,100}$/.test(sub)) {
      throw new BadToken('the token has no subject that can be named');
    }
    const role = roleIn(claims, this.#settings.roleClaim);
    if (!role) throw new BadToken('the token has no role of ours, or several');
    return { role, name: TOKEN_PREFIX + (role === 'GUEST' ? this.#hashOf(sub) : sub) };
  }

  /** Who a guest is stands in no trail; that it is the same one does. */
  #hashOf(subject: string): string {
    const { subjectKey, issuer } = this.#settings;
    const hash = createHmac('sha256', subjectKey)
      .update(JSON.stringify([issuer, subject]))
      .digest();
    return hash.subarray(0, HASH_BYTES).toString('base64url');
  }

  [Symbol.dispose](): void {
    this.#remote?.[Symbol.dispose]();
  }
}

/** Whether a text has the form of a signed token (RFC 7515 §7.1), whatever it is worth. */
export const looksLikeToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);

/** Tokens may name the key; where there is one alone that has no name, it is that one. */
function keyAmong(keys: Exclude<TokenConfig['keys'], { url: string }>): JWTVerifyGetKey {
  const find = createLocalJWKSet({ keys: [...keys] });
  const isNameless = keys.length === 1 && keys[0]?.kid === undefined;
  return ({ kid, ...header }) => find(isNameless || kid === undefined ? header : { ...header, kid });
}

/** The one role of ours among what a claim tells. */
function roleIn(claims: JWTPayload, name: string): Role | null {
  const told = claimOf(claims, name);
  const [role = null, ...others] = ROLES.filter((one) => (Array.isArray(told) ? told.includes(one) : told === one));
  return others.length === 0 ? role : null;
}

/** A claim of exactly this name; where there is none, one inside of others: `realm_access.roles`. */
const claimOf = (claims: object, name: string): unknown =>
  Object.hasOwn(claims, name) ? ownOf(claims, name) : name.split('.').reduce<unknown>(ownOf, claims);

const ownOf = (object: unknown, name: string): unknown =>
  typeof object === 'object' && object !== null && Object.hasOwn(object, name)
    ? (object as Record<string, unknown>)[name]
    : undefined;

/** By jose's codes. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the token is expired',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the token is signed by an algorithm that is not allowed',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the token is wrong',
  ERR_JWKS_NO_MATCHING_KEY: 'the token is signed with a key that is not known',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token does not name the key that it is signed with',
};
/** By the claim that is missing, or not what it should be. */
const REASONS_OF_CLAIMS: Readonly<Record<string, string>> = {
  iss: 'the token is of another issuer',
  aud: 'the token is for another audience',
  nbf: 'the token is not valid yet',
  exp: 'the token has no expiry',
};

const reasonOf = (error: unknown): string =>
  (error instanceof errors.JWTClaimValidationFailed && REASONS_OF_CLAIMS[error.claim]) ||
  (error instanceof errors.JOSEError && REASONS[error.code]) ||
  'the token is not one that can be verified';
