import { StartupError } from '../errors.js';
import type { SqliteConnection } from './sqlite-connection.js';

const TABLES = ['AuditEntry', 'AuditCheckpoint', 'SessionEvent'];
const TRIGGERS = [
  ...TABLES.flatMap((table) => [`${table}_no_update`, `${table}_no_delete`, `${table}_no_replace`]),
  ...['AuditTrail_no_insert', 'AuditTrail_no_update', 'AuditTrail_no_delete'],
];

/**
 * Sees to it that the audit trail, where it begins, its checkpoints and the event log still refuse to be changed: a migration that rebuilds
 * a table drops its triggers without a word.
 * @throws StartupError that names the missing triggers
 */
export function assertAppendOnly(connection: SqliteConnection): void {
  const rows = connection.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger'");
  const present = new Set(rows.map(({ name }) => name));
  const missing = TRIGGERS.filter((name) => !present.has(name));
  if (missing.length === 0) return;
  throw new StartupError(
    `The database ${connection.path} does not protect its audit trail and event log: trigger ${missing.join(', ')} is missing. ` +
      'A migration dropped it, or somebody did: create it again in a new migration, as in 20261122150001_append_only.',
  );
}
