import { type Config, loadSettings, type Settings } from './config.js';
import { StartupError } from './errors.js';
import { type ArchiveOrder, type ArchiveOutcome, archiveAuditTrail } from './store/archive-audit-trail.js';
import { type AuditSigner, openSigner } from './store/audit-signer.js';
import { assertAppendable } from './store/checkpoint-file.js';
import { GuestVault } from './store/guest-vault.js';
import { masterKeysOf } from './store/master-cipher.js';
import { withDatabaseBesideServer } from './store/open-beside-server.js';
import type { SqliteConnection } from './store/sqlite-connection.js';
import { TrailRows } from './store/trail-rows.js';

const DAY_MS = 86_400_000;

/** Without either of the two the settings say what is old. */
export interface ArchiveOptions extends Pick<ArchiveOrder, 'output' | 'files' | 'onStep'> {
  /** Younger entries stay. */
  readonly before?: Date | undefined;
  readonly keepDays?: number | undefined;
}

/**
 * Archives the audit trail of the database that the settings name; a server may be running on it.
 * @throws StartupError when it refuses; nothing was removed then
 */
export async function archiveConfiguredTrail(
  { output, files, onStep, ...age }: ArchiveOptions,
  settings: Settings = loadSettings(),
): Promise<ArchiveOutcome> {
  const { config, secrets } = settings;
  return withDatabaseBesideServer(config.databaseUrl, async (db) => {
    const signer = openSigner(secrets.auditSigningKey, usesSandbox(config) ? db.path : null, false);
    if (!signer) {
      throw new StartupError(
        'AUDIT_SIGNING_KEY is not set. Entries can be removed only where a signed checkpoint vouches for them: set the key that the server has.',
      );
    }
    assertServersKey(db, signer);
    const checkpointFile = config.auditCheckpointFile;
    if (checkpointFile !== null) await assertAppendable(checkpointFile);
    const vault = GuestVault.open(db, masterKeysOf(secrets, db.path, false));
    const before = limitOf(age, config);
    return archiveAuditTrail(db, vault, signer, { before, output, files, checkpointFile, onStep });
  });
}

/** What vouches for the beginning of the trail is signed here, once and for all: with another key the server could not check it. */
function assertServersKey(db: SqliteConnection, { keyId }: AuditSigner): void {
  const newest = new TrailRows(db).newestCheckpoint(1);
  if (newest === null || newest.keyId === keyId) return;
  throw new StartupError(
    `The newest checkpoint of the audit trail, of entry ${newest.sequence}, is of the key ${newest.keyId}; the one that is set here ` +
      `is ${keyId}. Nothing was done: set the key that the server has. Where AUDIT_SIGNING_KEY was changed on purpose, the server ` +
      'has to have signed with the new key first: start it; it signs within a minute, or when it is stopped.',
  );
}

const usesSandbox = (config: Config): boolean => config.cxone.baseUrl === null;

function limitOf({ before, keepDays }: Pick<ArchiveOptions, 'before' | 'keepDays'>, config: Config): Date {
  if (before) return before;
  return new Date(Date.now() - (keepDays ?? config.retentionDays) * DAY_MS);
}
