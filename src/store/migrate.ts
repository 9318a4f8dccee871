import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartupError } from '../errors.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** One folder of prisma/migrations. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

interface AppliedMigration {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: number | string | null;
}

// Letter for letter what Prisma creates, so that `prisma migrate status` and `deploy` go on from what this server did.
const CREATE_PRISMA_MIGRATIONS = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
)`;

const INSERT_APPLIED = `INSERT INTO "_prisma_migrations"
  ("id", "checksum", "started_at", "finished_at", "migration_name", "applied_steps_count") VALUES (?, ?, ?, ?, ?, 1)`;

/**
 * What `directory` holds and the database has not had, oldest first. Reads only: it can look at a database that must not change.
 * @throws StartupError when the database and the migrations do not belong together; the message says what to do
 */
export function pendingMigrations(connection: SqliteConnection, directory: string): Migration[] {
  const migrations = readMigrations(directory);
  const applied = readApplied(connection);
  for (const row of applied) assertKnown(connection.path, row, migrations);
  const names = new Set(applied.map((row) => row.migration_name));
  return migrations.filter(({ name }) => !names.has(name));
}

/**
 * Brings the database up to what `directory` holds, each migration in a transaction of its own that also records it.
 * @returns the names of the migrations applied, in order
 * @throws StartupError when the database and the migrations do not belong together (nothing is changed then), or when a
 * migration fails (those before it stay applied)
 */
export function applyMigrations(connection: SqliteConnection, directory: string): string[] {
  const pending = pendingMigrations(connection, directory);
  for (const migration of pending) apply(connection, migration);
  return pending.map(({ name }) => name);
}

function readMigrations(directory: string): Migration[] {
  const folders = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders.map((entry) => entry.name).sort();
  return names.map((name) => ({ name, sql: readFileSync(join(directory, name, 'migration.sql'), 'utf8') }));
}

function readApplied(connection: SqliteConnection): AppliedMigration[] {
  const tables = connection.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'",
  );
  if (tables.some(({ name }) => name === '_prisma_migrations')) {
    return connection.all(
      'SELECT migration_name, checksum, finished_at FROM "_prisma_migrations" WHERE rolled_back_at IS NULL',
    );
  }
  if (tables.length === 0) return [];
  throw new StartupError(
    `The database ${connection.path} belongs to another program: it has tables (${tables[0]?.name}, …) and no record of our ` +
      'migrations. Set DATABASE_URL to a file of its own.',
  );
}

function assertKnown(path: string, row: AppliedMigration, migrations: readonly Migration[]): void {
  const name = row.migration_name;
  const migration = migrations.find((candidate) => candidate.name === name);
  if (migration === undefined) {
    throw new StartupError(
      `The database ${path} is newer than this program: it has had migration ${name}, which is unknown here. ` +
        'Start the newer version, or restore the copy of the file from before the upgrade. The file was left as it is.',
    );
  }
  if (row.finished_at === null) {
    throw new StartupError(
      `Migration ${name} was begun on the database ${path} and did not finish. Restore the copy of the file from before it, ` +
        `or repair it by hand and run: npx prisma migrate resolve --rolled-back ${name}`,
    );
  }
  // A checkout on Windows may exchange the line ends, which edits nothing.
  const lf = migration.sql.replaceAll('\r\n', '\n');
  if (![migration.sql, lf, lf.replaceAll('\n', '\r\n')].some((sql) => checksumOf(sql) === row.checksum)) {
    throw new StartupError(
      `Migration ${name} was edited after it had been applied to the database ${path}. ` +
        `Restore prisma/migrations/${name}/migration.sql as it was, and put the change into a new migration.`,
    );
  }
}

function apply(connection: SqliteConnection, { name, sql }: Migration): void {
  const startedAt = new Date();
  // Prisma rebuilds a table by dropping the old one, which would cascade into the tables that refer to it. Within a
  // transaction this switch does nothing, so it has to be set before.
  connection.exec('PRAGMA foreign_keys = OFF');
  try {
    connection.begin();
    connection.exec(CREATE_PRISMA_MIGRATIONS);
    connection.exec(sql);
    const broken = connection.get<{ table: string }>('PRAGMA foreign_key_check');
    if (broken !== undefined) throw new Error(`rows of ${broken.table} refer to rows that are not there`);
    connection.run(INSERT_APPLIED, randomUUID(), checksumOf(sql), startedAt, new Date(), name);
    connection.commit();
  } catch (error) {
    connection.rollback();
    throw new StartupError(
      `Migration ${name} failed on the database ${connection.path} and was undone: ${(error as Error).message}`,
      { cause: error },
    );
  } finally {
    connection.exec('PRAGMA foreign_keys = ON');
  }
}

function checksumOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}
