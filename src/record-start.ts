import { createHash } from 'node:crypto';
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
}

/**
 * Writes down in the audit trail which program begins, with which settings. The entry has their hash, and the
 * log (at `debug`) what the hash is of.
 *
 * @throws StartupError when the trail cannot be written: what is done then could not be told of
 */
export async function recordStart(start: Start, ledger: Ledger, log: Log): Promise<void> {
  const { appliedMigrations } = start;
  const { version } = JSON.parse(await readFile(PACKAGE, 'utf8')) as { version: string };
  const configuration = canonicalJson(shown(start.config));
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

/** Settings as they may be told: hashes of API keys could be tried out, and a query in a URL may hold a token. */
function shown(config: Config): object {
  const { crm, fraud, access } = config;
  const { apiKeys, apiKeysFile } = access;
  return {
    ...config,
    crm: { ...crm, webhookUrl: withoutQuery(crm.webhookUrl) },
    fraud: { ...fraud, serviceUrl: withoutQuery(fraud.serviceUrl) },
    access: {
      ...access,
      apiKeys: [...apiKeys, ...(apiKeysFile?.keys ?? [])].map(({ sha256: _, ...key }) => key),
      apiKeysFile: apiKeysFile?.path,
    },
  };
}

const withoutQuery = (url: string | null): string | null => url?.replace(/\?.*$/s, '?…') ?? null;
