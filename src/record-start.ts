import { createHash, createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { canonicalJson } from './canonical-json.js';
import type { Config } from './config.js';
import { AttemptError, StartupError } from './errors.js';
import { PACKAGE } from './paths.js';
import type { Ledger } from './store/ledger.js';

interface Start {
  readonly config: Config;
  /** The names of those that it has applied. */
  readonly appliedMigrations: readonly string[];
  /** Derives a key that the database keeps. */
  readonly vault: { derive(purpose: string): Buffer };
}

/** Digits of a fingerprint: enough to tell keys apart, and 48 bits of a hash that nobody can compute. */
const FINGERPRINT_DIGITS = 12;

/**
 * Writes down in the audit trail which program begins, with which settings. The entry has their hash, and the
 * log (at `debug`) what the hash is of.
 *
 * @throws StartupError when the trail cannot be written: what is done then could not be told of
 */
export async function recordStart(start: Start, ledger: Ledger, log: Log): Promise<void> {
  const { appliedMigrations } = start;
  const { version } = JSON.parse(await readFile(PACKAGE, 'utf8')) as { version: string };
  const configuration = canonicalJson(shown(start));
  const sha256 = createHash('sha256').update(configuration).digest('hex');
  const reasons = [`version ${version}`, `configuration sha256 ${sha256}`];
  if (appliedMigrations.length > 0) reasons.push(`migrations applied: ${appliedMigrations.join(', ')}`);
  try {
    await ledger.execute('recordStart', { reason: reasons.join('; ') });
  } catch (error) {
    if (!(error instanceof AttemptError)) throw error;
    throw new StartupError(`The start cannot be written into the audit trail: ${error.detail ?? error.message}`, {
      cause: error,
    });
  }
  log.debug({ version, configuration, sha256, appliedMigrations }, 'the server starts');
}

interface Log {
  debug(fields: object, message: string): void;
}

/**
 * Settings as they may be told. Hashes of API keys could be tried out, since nobody says that a key is a long one: a keyed hash
 * tells that a key is another than at the start before. A query in a URL may hold a token.
 */
function shown({ config, vault }: Start): object {
  const { crm, fraud, access } = config;
  const { apiKeys, apiKeysFile, tokens } = access;
  const secret = vault.derive('API key fingerprints');
  const fingerprintOf = (sha256: string) =>
    createHmac('sha256', secret).update(sha256).digest('hex').slice(0, FINGERPRINT_DIGITS);
  return {
    ...config,
    crm: { ...crm, webhookUrl: withoutQuery(crm.webhookUrl) },
    fraud: { ...fraud, serviceUrl: withoutQuery(fraud.serviceUrl) },
    access: {
      ...access,
      apiKeys: [...apiKeys, ...(apiKeysFile?.keys ?? [])].map(({ sha256, ...key }) => ({
        ...key,
        fingerprint: fingerprintOf(sha256),
      })),
      apiKeysFile: apiKeysFile?.path,
      tokens: tokens && 'url' in tokens.keys ? { ...tokens, keys: { url: withoutQuery(tokens.keys.url) } } : tokens,
    },
  };
}

const withoutQuery = (url: string | null): string | null => url?.replace(/\?.*$/s, '?…') ?? null;
