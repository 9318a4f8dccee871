import type { z } from 'zod';
import { apiKeys, apiKeysFile, type ROLES } from './key-formats.js';

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

/** Who may come in. */
export interface AccessConfig {
  /** With no file beside it, empty: open to all, on a loopback address alone. */
  readonly apiKeys: readonly ApiKey[];
  /** More of them, which may change meanwhile: what the file has at the start. */
  readonly apiKeysFile: { readonly path: string; readonly keys: readonly ApiKey[] } | null;
}

/** The settings of it, as in the environment. */
export const accessSettings = {
  API_KEYS: apiKeys.optional(),
  API_KEYS_FILE: apiKeysFile.optional(),
};

type Environment = z.output<z.ZodObject<typeof accessSettings>>;

/** What the settings mean. */
export const accessConfig = (env: Environment): AccessConfig => ({
  apiKeys: env.API_KEYS ?? [],
  apiKeysFile: env.API_KEYS_FILE ?? null,
});
