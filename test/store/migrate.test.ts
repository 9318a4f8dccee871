import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { applyMigrations, pendingMigrations } from '../../src/store/migrate.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';

const OURS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
/** What the second of them makes. */
const TRIGGERS = ['AuditEntry_no_delete', 'AuditEntry_no_update', 'SessionEvent_no_delete', 'SessionEvent_no_update'];
const NAMES = ['20261122150000_init', '20261122150001_append_only'];

describe('the migrations at start', () => {
  let directory: string;
  let path: string;
  let migrations: string;
  let connection: SqliteConnection;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'migrate-'));
    migrations = join(directory, 'migrations');
    for (const name of NAMES) cpSync(join(OURS, name), join(migrations, name), { recursive: true });
    path = join(directory, 'test.db');
    connection = new SqliteConnection(path);
  });
  afterEach(() => {
    connection.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function addMigration(name: string, sql: string): void {
    mkdirSync(join(migrations, name));
    writeFileSync(join(migrations, name, 'migration.sql'), sql);
  }

  function schema(): unknown[] {
    return connection.all('SELECT type, name, sql FROM sqlite_master ORDER BY type, name');
  }

  function triggers(): string[] {
    const rows = connection.all<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    );
    return rows.map(({ name }) => name);
  }

  /** Applies, and gives the message of the refusal. */
  function refusal(): string {
    try {
      applyMigrations(connection, migrations);
    } catch (error) {
      expect(error).toBeInstanceOf(StartupError);
      return (error as Error).message;
    }
    throw new Error('it was not refused');
  }

  it('all run on a fresh file, in the order of their names', () => {
    addMigration('20270101000000_later', 'ALTER TABLE "MetricBucket" ADD COLUMN "note" TEXT;');
    expect(applyMigrations(connection, migrations)).toEqual([...NAMES, '20270101000000_later']);
    expect(connection.all('SELECT note FROM "MetricBucket"')).toEqual([]);
    expect(triggers()).toEqual(TRIGGERS);
  });

  it('run once: a second start finds nothing to do', () => {
    applyMigrations(connection, migrations);
    const before = schema();
    expect(applyMigrations(connection, migrations)).toEqual([]);
    expect(schema()).toEqual(before);
  });

  it('are recorded as Prisma records them', () => {
    const before = Date.now();
    applyMigrations(connection, migrations);
    const rows = connection.all<Record<string, number | string | null>>(
      'SELECT * FROM "_prisma_migrations" ORDER BY migration_name',
    );
    expect(rows).toMatchObject(
      NAMES.map((name) => ({
        checksum: createHash('sha256')
          .update(readFileSync(join(migrations, name, 'migration.sql')))
          .digest('hex'),
        migration_name: name,
        logs: null,
        rolled_back_at: null,
        applied_steps_count: 1,
      })),
    );
    for (const row of rows) {
      expect(row.id).toMatch(/^[0-9a-f-]{36}$/);
      expect(row.started_at).toBeGreaterThanOrEqual(before);
      expect(row.finished_at).toBeGreaterThanOrEqual(Number(row.started_at));
    }
  });

  it('bring a file that has had only the first of them up to date, with its rows', () => {
    rmSync(join(migrations, NAMES[1]!), { recursive: true });
    expect(applyMigrations(connection, migrations)).toEqual([NAMES[0]]);
    connection.run(`INSERT INTO "MetricBucket" VALUES (0, 'kept')`);
    cpSync(join(OURS, NAMES[1]!), join(migrations, NAMES[1]!), { recursive: true });
    expect(applyMigrations(connection, migrations)).toEqual([NAMES[1]]);
    expect(connection.all('SELECT buckets FROM "MetricBucket"')).toEqual([{ buckets: 'kept' }]);
    expect(triggers()).toEqual(TRIGGERS);
  });

  it('are refused when one was edited after it was applied', () => {
    applyMigrations(connection, migrations);
    writeFileSync(join(migrations, NAMES[0]!, 'migration.sql'), 'SELECT 1;');
    addMigration('20270101000000_later', 'CREATE TABLE later (id INTEGER);');
    const before = schema();
    expect(refusal()).toMatch(/20261122150000_init was edited after it had been applied .* Restore .* new migration/);
    expect(schema()).toEqual(before);
  });

  it('are not taken for edited when a checkout exchanged their line ends', () => {
    applyMigrations(connection, migrations);
    const file = join(migrations, NAMES[0]!, 'migration.sql');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('\n', '\r\n'));
    expect(applyMigrations(connection, migrations)).toEqual([]);
  });

  it('are refused when the file is newer than they are, and the file keeps every byte', () => {
    addMigration('20270101000000_later', 'CREATE TABLE later (id INTEGER);');
    applyMigrations(connection, migrations);
    connection.exec('PRAGMA journal_mode = DELETE');
    connection.close();
    rmSync(join(migrations, '20270101000000_later'), { recursive: true });
    const bytes = readFileSync(path);
    connection = new SqliteConnection(path, { readOnly: true });
    expect(refusal()).toMatch(/is newer than this program: it has had migration 20270101000000_later.*newer version/);
    connection.close();
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(readdirSync(directory).filter((name) => name.startsWith('test.db-'))).toEqual([]);
  });

  it('are refused when one was begun and did not finish', () => {
    applyMigrations(connection, migrations);
    connection.run('UPDATE "_prisma_migrations" SET finished_at = NULL WHERE migration_name = ?', NAMES[1]);
    expect(refusal()).toMatch(
      /append_only was begun .* prisma migrate resolve --rolled-back 20261122150001_append_only/,
    );
  });

  it('run again when one was marked as rolled back', () => {
    applyMigrations(connection, migrations);
    connection.exec('DROP TABLE "MetricBucket"');
    addMigration('20270101000000_again', 'CREATE TABLE again (id INTEGER);');
    applyMigrations(connection, migrations);
    connection.run(
      'UPDATE "_prisma_migrations" SET rolled_back_at = 1, finished_at = NULL WHERE migration_name = ?',
      '20270101000000_again',
    );
    connection.exec('DROP TABLE again');
    expect(applyMigrations(connection, migrations)).toEqual(['20270101000000_again']);
  });

  it('are refused on a file that another program filled', () => {
    connection.exec('CREATE TABLE theirs (id INTEGER)');
    expect(refusal()).toMatch(/belongs to another program: it has tables \(theirs, …\).*DATABASE_URL/);
    expect(connection.all('SELECT name FROM sqlite_master')).toEqual([{ name: 'theirs' }]);
  });

  it('undo the one that fails and nothing else, and can run again once it is mended', () => {
    addMigration('20270101000000_broken', 'CREATE TABLE broken (id INTEGER); INSERT INTO nowhere VALUES (1);');
    expect(refusal()).toMatch(/20270101000000_broken failed .* and was undone: no such table: nowhere/);
    expect(connection.isInTransaction).toBe(false);
    expect(pendingMigrations(connection, migrations).map(({ name }) => name)).toEqual(['20270101000000_broken']);
    expect(connection.get("SELECT name FROM sqlite_master WHERE name = 'broken'")).toBeUndefined();
    writeFileSync(join(migrations, '20270101000000_broken', 'migration.sql'), 'CREATE TABLE broken (id INTEGER);');
    expect(applyMigrations(connection, migrations)).toEqual(['20270101000000_broken']);
  });

  it('keep the rows that refer to a table which a migration rebuilds', () => {
    applyMigrations(connection, migrations);
    connection.exec(`
      INSERT INTO "WebhookDelivery" ("id", "requestId", "eventType", "body", "createdAt", "nextAttemptAt") VALUES ('d', 'r', 'e', '{}', 0, 0);
      INSERT INTO "WebhookAttempt" ("deliveryId", "number", "startedAt", "durationMs") VALUES ('d', 1, 0, 1.5);`);
    // In the way of Prisma's RedefineTables.
    const rebuild = `
      PRAGMA defer_foreign_keys=ON;
      PRAGMA foreign_keys=OFF;
      CREATE TABLE "new_WebhookDelivery" AS SELECT * FROM "WebhookDelivery";
      DROP TABLE "WebhookDelivery";
      ALTER TABLE "new_WebhookDelivery" RENAME TO "WebhookDelivery";
      CREATE UNIQUE INDEX "WebhookDelivery_id" ON "WebhookDelivery"("id");
      PRAGMA foreign_keys=ON;
      PRAGMA defer_foreign_keys=OFF;`;
    addMigration('20270101000000_rebuild', rebuild);
    expect(applyMigrations(connection, migrations)).toEqual(['20270101000000_rebuild']);
    expect(connection.all('SELECT number FROM "WebhookAttempt"')).toEqual([{ number: 1 }]);
    expect(connection.get('PRAGMA foreign_keys')).toEqual({ foreign_keys: 1 });
  });

  it('are undone when they leave rows that refer to nothing', () => {
    addMigration(
      '20270101000000_orphan',
      `INSERT INTO "WebhookAttempt" ("deliveryId", "number", "startedAt", "durationMs") VALUES ('gone', 1, 0, 1.5);`,
    );
    expect(refusal()).toMatch(/rows of WebhookAttempt refer to rows that are not there/);
    expect(connection.all('SELECT * FROM "WebhookAttempt"')).toEqual([]);
  });
});
