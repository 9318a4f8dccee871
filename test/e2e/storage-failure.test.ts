import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from '@photostructure/sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { canAttachStrace } from '../support/can-attach-strace.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, postGraphql } from '../support/network.js';

const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** Room for the server's own files, of which the memory-mapped index of the WAL is the largest, and for some sessions. */
const TMPFS_MEGABYTES = 8;

/** A mount namespace of its own: what is mounted there is gone with its last process, and nobody else sees it. */
const IN_NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount'] as const;

const succeeds = ([command, ...args]: readonly [string, ...string[]]): boolean =>
  spawnSync(command, args, { timeout: 10_000 }).status === 0;

const READ_ONLY = [
  'strace',
  '-f',
  '-o',
  '/dev/null',
  '-e',
  'trace=pwrite64',
  '-e',
  'inject=pwrite64:error=EROFS',
] as const;

const canMount = succeeds([...IN_NAMESPACE, 'mount', '-t', 'tmpfs', 'none', '/mnt']);
const canLimitFiles = succeeds(['prlimit', '--version']);
const canInject = canAttachStrace();

interface Server {
  readonly child: ChildProcess;
  readonly cxone: CxoneSandbox;
  readonly url: string;
  readonly err: () => string;
  /** The database's directory, as this process has to name it. */
  readonly directory: string;
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'storage-failure-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The built server as a process. @param mount true to have its database on a file system of its own */
async function start({ directory = newDirectory(), mount = false } = {}): Promise<Server> {
  const cxone = await CxoneSandbox.start();
  onTestFinished(() => cxone[Symbol.asyncDispose]());
  const env = {
    PATH: process.env.PATH,
    PORT: '0',
    DATABASE_URL: `file:${join(directory, 'sessions.db')}`,
    CXONE_BASE_URL: cxone.url,
    CXONE_CLIENT_ID: cxone.clientId,
    CXONE_CLIENT_SECRET: cxone.clientSecret,
    CXONE_QUEUE_ID: 'queue',
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
  };
  const mounted = `mount -t tmpfs -o size=${TMPFS_MEGABYTES}m none '${directory}' && exec "$0" "$@"`;
  const [command, ...args] = [...(mount ? [...IN_NAMESPACE, 'sh', '-c', mounted] : []), process.execPath, PROGRAM];
  const child = spawn(command!, args, { env, stdio: ['ignore', 'pipe', 'pipe'], cwd: newDirectory() });
  onTestFinished(() => void child.kill('SIGKILL'));
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const url = await eventually(() => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${err}`);
    return out.match(/(http:\S+)\/graphql\n/)?.[1];
  }, 10_000);
  return { child, cxone, url, err: () => err, directory: mount ? `/proc/${child.pid}/root${directory}` : directory };
}

/** Begins an outage. @returns what ends it */
type Outage = (server: Server) => Promise<() => void>;

const fillDisk: Outage = async ({ directory }) => {
  const ballast = join(directory, 'ballast');
  const file = openSync(ballast, 'wx');
  try {
    for (const size of [65_536, 4_096, 1]) {
      const chunk = Buffer.alloc(size);
      expect(() => {
        for (;;) writeSync(file, chunk);
      }).toThrow('ENOSPC');
    }
  } finally {
    closeSync(file);
  }
  return () => rmSync(ballast);
};

/** Every write to a file fails (EFBIG), but not those to sockets and pipes. */
const refuseWrites: Outage = async ({ child }) => {
  const limit = (soft: string) =>
    expect(succeeds(['prlimit', '--pid', `${child.pid}`, `--fsize=${soft}:unlimited`])).toBe(true);
  limit('0');
  return () => limit('unlimited');
};

/**
 * The kernel answers as it does where a file system has turned read-only. A real one would not do here: the kernel refuses to
 * remount what a process writes to.
 */
const makeReadOnly: Outage = async ({ child }) => {
  const [command, ...args] = READ_ONLY;
  const strace = spawn(command, [...args, '-p', `${child.pid}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void strace.kill('SIGKILL'));
  let said = '';
  strace.stderr.on('data', (chunk) => {
    said += chunk;
  });
  // It detaches when it is asked to end. What it attaches to first is all threads that there are.
  await eventually(() => said.includes('attached'));
  return () => void strace.kill('SIGTERM');
};

const open = async ({ url }: Server) => (await postGraphql(url, OPEN, { input: inputFor() })).data.createGuestSession;

const readiness = async ({ url }: Server) => {
  const answer = await fetch(`${url}/health/ready`);
  return [answer.status, await answer.json()];
};

const REFUSED = {
  session: null,
  clientToken: null,
  userErrors: [expect.objectContaining({ code: 'LEDGER_UNAVAILABLE', retryable: true, retryAfterSeconds: 5 })],
};

/** Opens sessions until one cannot be written down: for some there may have been room. @returns how many were opened */
async function openUntilRefused(server: Server): Promise<number> {
  for (let opened = 0; opened < 200; opened++) {
    const payload = await open(server);
    if (payload.session !== null) continue;
    expect(payload).toMatchObject(REFUSED);
    return opened;
  }
  throw new Error('the server never noticed');
}

/** What is in the file. */
function readBooks({ directory }: Server) {
  // A copy, because SQLite would follow the links of /proc to where there is no such file for us.
  const copy = join(newDirectory(), 'copy.db');
  for (const suffix of ['', '-wal']) copyFileSync(join(directory, `sessions.db${suffix}`), `${copy}${suffix}`);
  const database = new DatabaseSync(copy);
  const count = (rows: string): number => Number(database.prepare(`SELECT count(*) AS n FROM ${rows}`).get().n);
  try {
    return {
      events: count('"SessionEvent"'),
      lastEvent: database.prepare('SELECT max("sequence") AS n FROM "SessionEvent"').get().n,
      sessions: count('"GuestSession"'),
      active: count(`"GuestSession" WHERE "status" = 'ACTIVE'`),
    };
  } finally {
    database.close();
  }
}

/** The chain holds, no event is missing, and every session that was answered has its row. */
async function expectSoundBooks(server: Server, sessions: number): Promise<void> {
  const { data } = await postGraphql(server.url, '{ verifyAuditTrail { ok } }');
  expect(data.verifyAuditTrail).toEqual({ ok: true });
  const books = readBooks(server);
  expect(books.events).toBe(books.lastEvent);
  expect(books.sessions).toBe(sessions);
}

/** @param outage what keeps the server from writing, and what it says of it */
async function outlast(server: Server, outage: Outage): Promise<void> {
  expect(await open(server)).toMatchObject({ session: { status: 'ACTIVE' }, userErrors: [] });
  const end = await outage(server);

  const opened = 1 + (await openUntilRefused(server));

  // What could not be reserved was not asked of CXone, now and whenever it is tried.
  expect(await readiness(server)).toEqual([503, { status: 'failed' }]);
  for (let i = 0; i < 3; i++) expect(await open(server)).toMatchObject(REFUSED);
  expect(server.cxone.count('create')).toBe(opened);
  expect(await readiness(server)).toEqual([503, { status: 'failed' }]);
  expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  await expectSoundBooks(server, opened);

  end();

  await eventually(async () => (await readiness(server))[0] === 200);
  expect(await open(server)).toMatchObject({ session: { status: 'ACTIVE' }, userErrors: [] });
  expect(server.child.exitCode).toBeNull();
  // A session that was opened as the disk filled up is written down now.
  await eventually(() => readBooks(server).active === opened + 1);
  await expectSoundBooks(server, opened + 1);
}

describe('a server whose books cannot be written', () => {
  it.skipIf(!canMount)('answers that its disk is full, and goes on when there is room', async () => {
    await outlast(await start({ mount: true }), fillDisk);
  });

  it.skipIf(!canInject)('answers that its file system is read-only, and goes on when it is not', async () => {
    await outlast(await start(), makeReadOnly);
  });

  it.skipIf(!canLimitFiles)('answers that the system refuses its writes, and goes on when it does not', async () => {
    await outlast(await start(), refuseWrites);
  });

  it.skipIf(!canLimitFiles)(
    'answers with a session that CXone has opened meanwhile, and writes it down later',
    async () => {
      const server = await start();
      server.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 500 } });
      const opening = open(server);
      await eventually(() => server.cxone.count('create') === 1);
      const end = await refuseWrites(server);

      expect(await opening).toMatchObject({ clientToken: expect.any(String), userErrors: [] });
      expect(readBooks(server)).toMatchObject({ sessions: 1, active: 0 });

      end();

      await eventually(() => readBooks(server).active === 1, 10_000);
      await expectSoundBooks(server, 1);
    },
  );

  it.skipIf(!canLimitFiles)('ends with 0 when it is asked to, and the next one has all that was answered', async () => {
    const server = await start();
    const { directory } = server;
    await open(server);
    await refuseWrites(server);
    await openUntilRefused(server);

    const exited = once(server.child, 'close');
    server.child.kill('SIGTERM');

    expect(await exited).toEqual([0, null]);
    await expectSoundBooks(await start({ directory }), 1);
  });
});
