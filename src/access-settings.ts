import { z } from 'zod';
import { apiKeys, apiKeysFile, type ROLES } from './key-formats.js';
import { headerName, type TrustProxy, trustProxy } from './proxy-settings.js';
import { whole } from './setting-formats.js';
import {
  claimText,
  jwksUrl,
  type PublicJwk,
  publicKeys,
  type TokenAlgorithm,
  tokenAlgorithms,
  tokenOrigins,
} from './token-formats.js';

export type Role = (typeof ROLES)[number];

/** One API key; of the key itself only the hash is known. */
export interface ApiKey {
  readonly name: string;
  readonly role: Role;
  /** Hex SHA-256 of the key. */
  readonly sha256: string;
  /** Of the web pages that may use it, and nobody else; left out: it is for programs. */
  readonly origins?: readonly string[] | undefined;
  readonly expiresAt?: Date | undefined;
}

/** Which JSON Web Tokens (RFC 7519) are good, beside API keys. */
export interface TokenConfig {
  /** Those of the issuer; or where they are, as a JWK Set. */
  readonly keys: readonly PublicJwk[] | { readonly url: string };
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly TokenAlgorithm[];
  readonly roleClaim: string;
  /** Of the web pages elsewhere that may use tokens; programs, and pages of the server's own origin, need not be here. */
  readonly origins: readonly string[];
}

/** How often in a minute. */
export interface RateLimits {
  /** Requests with one key, or one token's subject. */
  readonly perKey: number;
  /** Requests with one GUEST key, which all guests of a page share. */
  readonly perGuestKey: number;
  /** Requests from one address with a GUEST key, or with none that is good. */
  readonly perAddress: number;
  /** Sessions that are asked for from one address with a GUEST key. */
  readonly createPerAddress: number;
  /** Sessions that are asked for by one device, with GUEST keys together, with each other key apart. */
  readonly createPerFingerprint: number;
}

/** Who may come in, and how often. */
export interface AccessConfig {
  /** With no file and no tokens beside it, empty: open to all, on a loopback address alone. */
  readonly apiKeys: readonly ApiKey[];
  /** More of them, which may change meanwhile: what the file has at the start. */
  readonly apiKeysFile: { readonly path: string; readonly keys: readonly ApiKey[] } | null;
  /** Null: none is. */
  readonly tokens: TokenConfig | null;
  /** Null: as often as they like. */
  readonly rates: RateLimits | null;
  /** What stands between clients and the server. */
  readonly proxies: {
    /** Who is believed about whom a request is from; null: nobody. */
    readonly trust: TrustProxy | null;
    /** The header, in lower case, that says which country a visitor comes from; null: none. */
    readonly countryHeader: string | null;
    /** The header, in lower case, that says whether a visitor comes through a proxy or VPN; null: none. */
    readonly proxyHeader: string | null;
  };
}

/** In a minute. */
const rate = whole(1, 1_000_000);

/** The settings of it, as in the environment. */
export const accessSettings = {
  API_KEYS: apiKeys.optional(),
  API_KEYS_FILE: apiKeysFile.optional(),
  AUTH_JWKS_URL: jwksUrl.optional(),
  AUTH_JWT_PUBLIC_KEY: publicKeys.optional(),
  AUTH_ISSUER: claimText.optional(),
  AUTH_AUDIENCE: claimText.optional(),
  AUTH_ALGORITHMS: tokenAlgorithms.default(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']),
  AUTH_ROLE_CLAIM: claimText.default('role'),
  AUTH_ORIGINS: tokenOrigins.default([]),
  RATE_LIMITS: z.enum(['on', 'off']).optional(),
  RATE_PER_KEY: rate.default(6000),
  RATE_PER_GUEST_KEY: rate.default(60_000),
  RATE_PER_ADDRESS: rate.default(600),
  CREATE_RATE_PER_ADDRESS: rate.default(30),
  CREATE_RATE_PER_FINGERPRINT: rate.default(10),
  TRUST_PROXY: trustProxy.optional(),
  COUNTRY_HEADER: headerName.optional(),
  PROXY_HEADER: headerName.optional(),
};

type Environment = z.output<z.ZodObject<typeof accessSettings>>;

/** What the settings mean. */
export function accessConfig(env: Environment): AccessConfig {
  const callers = { apiKeys: env.API_KEYS ?? [], apiKeysFile: env.API_KEYS_FILE ?? null, tokens: tokenConfig(env) };
  // Whoever may reach a server without keys is on its machine.
  const isRateLimited = env.RATE_LIMITS ? env.RATE_LIMITS === 'on' : asksForKeys(callers);
  const proxies = {
    trust: env.TRUST_PROXY ?? null,
    countryHeader: env.COUNTRY_HEADER ?? null,
    proxyHeader: env.PROXY_HEADER ?? null,
  };
  return { ...callers, rates: isRateLimited ? rateLimits(env) : null, proxies };
}

const rateLimits = (env: Environment): RateLimits => ({
  perKey: env.RATE_PER_KEY,
  perGuestKey: env.RATE_PER_GUEST_KEY,
  perAddress: env.RATE_PER_ADDRESS,
  createPerAddress: env.CREATE_RATE_PER_ADDRESS,
  createPerFingerprint: env.CREATE_RATE_PER_FINGERPRINT,
});

function tokenConfig(env: Environment): TokenConfig | null {
  const keys = env.AUTH_JWT_PUBLIC_KEY ?? (env.AUTH_JWKS_URL === undefined ? null : { url: env.AUTH_JWKS_URL });
  return (
    keys && {
      keys,
      // Both are there: see setting-contradictions.ts.
      issuer: env.AUTH_ISSUER ?? '',
      audience: env.AUTH_AUDIENCE ?? '',
      algorithms: env.AUTH_ALGORITHMS,
      roleClaim: env.AUTH_ROLE_CLAIM,
      origins: env.AUTH_ORIGINS,
    }
  );
}

/** Whether callers have to say who they are. */
export const asksForKeys = ({ apiKeys, apiKeysFile, tokens }: Omit<AccessConfig, 'rates' | 'proxies'>): boolean =>
  apiKeys.length > 0 || apiKeysFile !== null || tokens !== null;
