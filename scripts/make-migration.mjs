// node scripts/make-migration.mjs        prints what prisma/migrations lack of prisma/schema.prisma
// node scripts/make-migration.mjs NAME   writes it as the next migration
// Prisma's own engine works it out, in its WebAssembly build: `prisma migrate dev` would have to download the native one.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from '@photostructure/sqlite';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, DriverAdapterError } from '@prisma/driver-adapter-utils';
import { isMain } from './lib/is-main.mjs';

const at = (path) => fileURLToPath(new URL(`../prisma/${path}`, import.meta.url));

let engineLoading;

/** Once for all: its module keeps one instance, and loading another pulls it away from under the first. */
function engineClass() {
  engineLoading ??= loadEngine();
  return engineLoading;
}

async function loadEngine() {
  const engine = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const wasm = new URL('./schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg'));
  const { instance } = await WebAssembly.instantiate(await readFile(wasm), { './schema_engine_bg.js': engine });
  engine.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  return engine.SchemaEngine;
}

/** What the engine needs of a database to replay migrations in it and to look at the outcome. */
function openForEngine(path = ':memory:') {
  const database = new DatabaseSync(path);
  const run = (script) => {
    try {
      database.exec(script);
    } catch ({ errcode, message }) {
      throw new DriverAdapterError({ kind: 'sqlite', extendedCode: errcode ?? 1, message });
    }
  };
  return {
    provider: 'sqlite',
    adapterName: 'shadow',
    queryRaw: async ({ sql, args }) => {
      const statement = database.prepare(sql);
      statement.setReturnArrays(true);
      const columns = statement.columns();
      const rows = statement.all(...args);
      const isTime = columns.map(({ type }) => type?.toUpperCase() === 'DATETIME');
      const typeOf = (value) => (typeof value === 'number' ? ColumnTypeEnum.Int64 : ColumnTypeEnum.Text);
      return {
        columnNames: columns.map(({ name }) => name),
        columnTypes: columns.map((_, i) =>
          isTime[i] ? ColumnTypeEnum.DateTime : typeOf(rows.find((row) => row[i] !== null)?.[i]),
        ),
        rows: rows.map((row) =>
          row.map((value, i) => (isTime[i] && value !== null ? new Date(Number(value)).toISOString() : value)),
        ),
      };
    },
    // It replays a whole migration through this, where a prepared statement would run the first statement only.
    executeRaw: async ({ sql }) => {
      run(sql);
      return 0;
    },
    executeScript: async (sql) => run(sql),
    startTransaction: async () => {
      throw new Error('not used by the engine');
    },
    dispose: async () => database.close(),
  };
}

/** The SQL that the migrations in `directory` lack of `schema`; empty when they produce exactly what it says. */
export async function migrationDrift(directory = at('migrations'), schema = at('schema.prisma')) {
  const engine = await startEngine(':memory:');
  const { exitCode, stdout } = await engine.diff({
    from: { tag: 'migrations', ...migrationsIn(directory) },
    to: { tag: 'schemaDatamodel', files: [{ path: schema, content: readFileSync(schema, 'utf8') }], configDir: at('') },
    script: true,
    exitCode: true,
    filters: NO_FILTERS,
  });
  return exitCode === 2 ? `${stdout.trim()}\n` : '';
}

/**
 * What `prisma migrate status` goes by: how a database stands to the migrations of this repository, in Prisma's own judgement.
 * Everything is well when `history` is null and no names are listed.
 */
export async function diagnoseDatabase(path) {
  const engine = await startEngine(path);
  return engine.diagnoseMigrationHistory({
    migrationsList: migrationsIn(at('migrations')),
    optInToShadowDatabase: false,
    filters: NO_FILTERS,
  });
}

const NO_FILTERS = { externalTables: [], externalEnums: [] };

async function startEngine(path) {
  const SchemaEngine = await engineClass();
  const factory = {
    provider: 'sqlite',
    adapterName: 'engine',
    connect: async () => openForEngine(path),
    connectToShadowDb: async () => openForEngine(),
  };
  return SchemaEngine.new({}, () => undefined, bindMigrationAwareSqlAdapterFactory(factory));
}

function migrationsIn(directory) {
  const migrationDirectories = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
    .map((path) => {
      const content = readFileSync(join(directory, path, 'migration.sql'), 'utf8');
      return { path, migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: content } } };
    });
  return {
    baseDir: directory,
    lockfile: { path: 'migration_lock.toml', content: 'provider = "sqlite"\n' },
    shadowDbInitScript: '',
    migrationDirectories,
  };
}

async function main(name) {
  if (name !== undefined && !/^[a-z0-9_]+$/.test(name)) {
    throw new Error('The name of a migration is made of lower-case letters, digits and underscores.');
  }
  const sql = await migrationDrift();
  if (sql === '') return 'The migrations already produce what prisma/schema.prisma says.';
  if (name === undefined) return sql;
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = at(`migrations/${stamp}_${name}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'migration.sql'), sql);
  const warning = sql.includes('RedefineTables')
    ? '\nIt rebuilds tables, which drops their triggers: create them again at its end.'
    : '';
  return `Wrote ${join(folder, 'migration.sql')}${warning}`;
}

if (isMain(import.meta.url)) {
  try {
    console.log(await main(process.argv[2]));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
