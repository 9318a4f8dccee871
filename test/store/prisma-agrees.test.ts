import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { diagnoseDatabase } from '../../scripts/make-migration.mjs';
import { openDatabase } from '../../src/store/open-database.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { MASTER_KEYS } from '../support/opened-connection.js';

async function migrated(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'prisma-agrees-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const database = await openDatabase(`file:${join(directory, 'test.db')}`, () => MASTER_KEYS);
  await database.close();
  return database.path;
}

function change(path: string, sql: string): void {
  const connection = new SqliteConnection(path);
  connection.run(sql);
  connection.close();
}

test('Prisma’s own engine finds nothing to do on a database that the server has migrated', async () => {
  expect(await diagnoseDatabase(await migrated())).toMatchObject({
    history: null,
    failedMigrationNames: [],
    editedMigrationNames: [],
    hasMigrationsTable: true,
  });
});

test('it tells an older database from one that is up to date, and the server brings the older one up', async () => {
  const path = await migrated();
  change(path, `DELETE FROM "_prisma_migrations" WHERE "migration_name" LIKE '%append_only'`);
  // Those of later migrations stay, as these do.
  const triggers = readTriggers(path).filter((name) => /^(AuditEntry|SessionEvent)_no_(update|delete)$/.test(name));
  for (const name of triggers) change(path, `DROP TRIGGER "${name}"`);
  expect((await diagnoseDatabase(path)).history).not.toBeNull();

  await (await openDatabase(`file:${path}`, () => MASTER_KEYS)).close();

  expect((await diagnoseDatabase(path)).history).toBeNull();
});

test('it finds a migration that was edited after it was applied', async () => {
  const path = await migrated();
  change(path, `UPDATE "_prisma_migrations" SET "checksum" = '${'0'.repeat(64)}'`);
  expect((await diagnoseDatabase(path)).editedMigrationNames).toHaveLength(6);
});

function readTriggers(path: string): string[] {
  const connection = new SqliteConnection(path, { readOnly: true });
  const triggers = connection.all<{ name: string }>(`SELECT "name" FROM "sqlite_master" WHERE "type" = 'trigger'`);
  connection.close();
  return triggers.map(({ name }) => name);
}
