import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { assertAppendOnly } from '../../src/store/append-only.js';
import { applyMigrations } from '../../src/store/migrate.js';
import { type OpenedDatabase, openDatabase } from '../../src/store/open-database.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { closeWithWriter, writerOf } from './writer-of.js';

const BUILT = new URL('../../dist/store/open-database.js', import.meta.url).href;

let directory: string;
let path: string;
const opened: OpenedDatabase[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'database-'));
  path = join(directory, 'test.db');
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const database of opened.splice(0)) await closeWithWriter(database);
  rmSync(directory, { recursive: true, force: true });
});

async function open(url = `file:${path}`): Promise<OpenedDatabase> {
  const database = await openDatabase(url, () => MASTER_KEYS);
  opened.push(database);
  return database;
}

/** The message with which a start is refused. */
async function refusal(url = `file:${path}`): Promise<string> {
  const error = await open(url).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupError);
  return (error as Error).message;
}

/** Another server on the same file, once it has it open. */
async function startOther(): Promise<ChildProcess> {
  const program = `import { openDatabase } from '${BUILT}'; await openDatabase(process.argv[1], () => [Buffer.alloc(32, 7)]); console.log('open'); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, `file:${path}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout!, 'data');
  return child;
}

describe('a database that opens', () => {
  it('is made with its directory, migrated, durable and append-only', async () => {
    path = join(directory, 'deep', 'down', 'test.db');
    const database = await open();
    expect(database.appliedMigrations).toEqual([
      '20261122150000_init',
      '20261122150001_append_only',
      '20261122185655_idempotency',
      '20261122221832_webhooks',
      '20261122235736_audit_checkpoints',
      '20261123011124_guest_keys',
    ]);
    expect(database.path).toBe(path);
    expect(writerOf(database).get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(writerOf(database).get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    expect(await database.prisma.guestSession.count()).toBe(0);
  });

  it('is made for its owner alone, with the files beside it, and keeps the rights that it is given later', async () => {
    const rights = (suffix: string) => statSync(path + suffix).mode & 0o777;
    const database = await open();
    writerOf(database);
    expect(['', '-wal', '-shm'].map(rights)).toEqual([0o600, 0o600, 0o600]);

    await closeWithWriter(opened.pop()!);
    chmodSync(path, 0o640);
    await open();
    expect(rights('')).toBe(0o640);
  });

  it('is found again with all that was committed, and nothing that was not', async () => {
    const first = await open();
    writerOf(first).run(`INSERT INTO "MetricBucket" VALUES (1, 'committed')`);
    writerOf(first).begin();
    writerOf(first).run(`INSERT INTO "MetricBucket" VALUES (2, 'open')`);
    await closeWithWriter(first);
    await closeWithWriter(first);
    const second = await open();
    expect(second.appliedMigrations).toEqual([]);
    expect(await second.prisma.metricBucket.findMany()).toMatchObject([{ buckets: 'committed' }]);
  });

  it('may be named relative to the working directory, or by a file URL with slashes', async () => {
    await (await open(`file:${relative(process.cwd(), path)}`)).close();
    expect((await open(pathToFileURL(path).href)).appliedMigrations).toEqual([]);
  });

  it('may be an empty file', async () => {
    writeFileSync(path, '');
    expect((await open()).appliedMigrations).toHaveLength(6);
  });
});

describe('a second server on the same file', () => {
  it('is refused with the name of the file and the process that has it', async () => {
    const other = await startOther();
    expect(await refusal()).toBe(
      `The database ${path} is in use by another server (process ${other.pid}). Only one server may write to a file: stop ` +
        'that one, or set DATABASE_URL to another file.',
    );
  });

  it('takes the file over when the first one was killed', async () => {
    const other = await startOther();
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect((await open()).appliedMigrations).toEqual([]);
  });

  it('is refused in the same process too, again and again, and does the first one no harm', async () => {
    const first = await open();
    expect(await refusal()).toContain(`process ${process.pid}`);
    expect(await refusal()).toContain(`process ${process.pid}`);
    writerOf(first).run(`INSERT INTO "MetricBucket" VALUES (1, '')`);
    expect(await first.prisma.metricBucket.count()).toBe(1);
    await closeWithWriter(first);
    expect(await (await open()).prisma.metricBucket.count()).toBe(1);
  });

  it('is refused by another name of the file', async () => {
    await open();
    symlinkSync(path, join(directory, 'link.db'));
    expect(await refusal(`file:${join(directory, 'link.db')}`)).toContain(`${path} is in use`);
  });

  it('wins or loses as a whole when two start at the same moment', async () => {
    const results = await Promise.allSettled([open(), open(), open()]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

describe('a database that does not open', () => {
  it('may be no database: the file stays as it is', async () => {
    const garbage = 'These are my notes, and I want to keep them. '.repeat(200);
    writeFileSync(path, garbage);
    expect(await refusal()).toBe(`The database ${path} cannot be opened: file is not a database`);
    expect(readFileSync(path, 'utf8')).toBe(garbage);
  });

  it('may be a directory', async () => {
    expect(await refusal(`file:${directory}`)).toBe(`The database ${directory} cannot be opened: it is a directory`);
    expect(existsSync(`${directory}.lock`)).toBe(false);
  });

  it('may lie below a file', async () => {
    writeFileSync(path, '');
    expect(await refusal(`file:${join(path, 'below', 'test.db')}`)).toMatch(
      /below\/test\.db cannot be opened: .*ENOTDIR/,
    );
  });

  it.skipIf(process.getuid?.() === 0)('may lie where nothing can be written', async () => {
    const locked = join(directory, 'locked');
    mkdirSync(locked, { mode: 0o500 });
    expect(await refusal(`file:${join(locked, 'test.db')}`)).toMatch(
      /cannot be opened: the lock file .*: .*unable to open/,
    );
  });

  it('may have a lock file that is none', async () => {
    writeFileSync(`${path}.lock`, 'my notes '.repeat(100));
    expect(await refusal()).toMatch(/cannot be opened: the lock file .*test\.db\.lock: .*not a database/);
    expect(existsSync(path)).toBe(false);
  });

  it('may be newer than this program: the file stays as it is, and can be opened by another start', async () => {
    const connection = new SqliteConnection(path);
    applyMigrations(connection, fileURLToPath(new URL('../../prisma/migrations', import.meta.url)));
    connection.run(
      `UPDATE "_prisma_migrations" SET migration_name = '29990101000000_future' WHERE migration_name LIKE '%append_only'`,
    );
    connection.exec('PRAGMA journal_mode = DELETE');
    connection.close();
    const before = { bytes: readFileSync(path), changedAt: statSync(path).mtimeMs };
    expect(await refusal()).toMatch(/is newer than this program: it has had migration 29990101000000_future/);
    expect(readFileSync(path).equals(before.bytes)).toBe(true);
    expect(statSync(path).mtimeMs).toBe(before.changedAt);
    expect(await refusal()).toMatch(/is newer/);
  });

  it('may not be supported', async () => {
    expect(await refusal('postgresql://me:hunter2@localhost/db')).toMatch(
      /^DATABASE_URL: postgresql:\/\/ is not supported yet/,
    );
    for (const url of ['mysql://me:hunter2@localhost/db', 'file:', 'file::memory:', 'file:x.db?mode=hunter2', '']) {
      expect(await refusal(url)).toMatch(/^DATABASE_URL must name a file(?!.*hunter2)/);
    }
  });
});

describe('the append-only tables', () => {
  const insertions = {
    AuditEntry: `INSERT INTO "AuditEntry" ("sequence", "id", "timestamp", "requestId", "kind", "status", "actor", "previousHash", "hash") VALUES (1, 'a', 0, 'r', 'k', 's', 'me', '0', '1')`,
    AuditCheckpoint: `INSERT INTO "AuditCheckpoint" ("sequence", "hash", "timestamp", "keyId", "signature") VALUES (1, 'r', 0, 'k', 's')`,
    SessionEvent: `INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId") VALUES (1, 'e', 't', 0, 'r')`,
  };

  it.each(Object.entries(insertions))('%s refuses UPDATE, DELETE and REPLACE through SQL', async (table, insertion) => {
    const writer = writerOf(await open());
    writer.run(insertion);
    const refusals = new RegExp(`${table} is append-only`);
    const column = table === 'AuditCheckpoint' ? 'hash' : 'requestId';
    expect(() => writer.run(`UPDATE "${table}" SET "${column}" = 'other'`)).toThrow(refusals);
    expect(() => writer.run(`DELETE FROM "${table}"`)).toThrow(refusals);
    expect(() => writer.run(insertion.replace('INSERT', 'INSERT OR REPLACE'))).toThrow(refusals);
    expect(() => writer.run(`${insertion} ON CONFLICT DO UPDATE SET "${column}" = 'other'`)).toThrow(refusals);
    expect(writer.all(`SELECT "${column}" AS "value" FROM "${table}"`)).toEqual([{ value: 'r' }]);
  });

  it('are found to be unprotected when a trigger is missing, and the server does not start', async () => {
    const first = await open();
    writerOf(first).exec('DROP TRIGGER "SessionEvent_no_delete"');
    expect(() => assertAppendOnly(writerOf(first))).toThrow(/SessionEvent_no_delete is missing/);
    await closeWithWriter(first);
    expect(await refusal()).toMatch(/does not protect its audit trail and event log: trigger SessionEvent_no_delete/);
    expect(await refusal()).not.toMatch(/in use/);
  });
});
