import type { z } from 'zod';
import { apiKeys, apiKeysFile, type ROLES } from './key-formats.js';
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

/** Who may come in. */
export interface AccessConfig {
  /** With no file and no tokens beside it, empty: open to all, on a loopback address alone. */
  readonly apiKeys: readonly ApiKey[];
  /** More of them, which may change meanwhile: what the file has at the start. */
  readonly apiKeysFile: { readonly path: string; readonly keys: readonly ApiKey[] } | null;
  /** Null: none is. */
  readonly tokens: TokenConfig | null;
}

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
};

type Environment = z.output<z.ZodObject<typeof accessSettings>>;

/** What the settings mean. */
export const accessConfig = (env: Environment): AccessConfig => ({
  apiKeys: env.API_KEYS ?? [],
  apiKeysFile: env.API_KEYS_FILE ?? null,
  tokens: tokenConfig(env),
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
export const asksForKeys = ({ apiKeys, apiKeysFile, tokens }: AccessConfig): boolean =>
  apiKeys.length > 0 || apiKeysFile !== null || tokens !== null;
