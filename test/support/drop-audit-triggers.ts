import type { SqliteConnection } from '../../src/store/sqlite-connection.js';

/** Takes away what keeps the tables of the audit trail as they are, as anybody can who has the file. */
export function dropAuditTriggers(db: SqliteConnection): void {
  const sql = `SELECT "name" FROM sqlite_master WHERE "type" = 'trigger' AND "tbl_name" LIKE 'Audit%'`;
  for (const { name } of db.all<{ name: string }>(sql)) db.exec(`DROP TRIGGER "${name}"`);
}
