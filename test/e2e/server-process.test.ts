import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DatabaseSync } from '@photostructure/sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, postGraphql } from '../support/network.js';

const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'server-process-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

interface ServerProcess {
  readonly child: ChildProcess;
  readonly out: string;
  readonly err: string;
  /** Exit code and signal. */
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** Waits for the start message; gives the URL. */
  ready(): Promise<string>;
}

/** The built server as a process of its own, that has no setting but these. */
function start(env: Record<string, string>): ServerProcess {
  const child = spawn(process.execPath, [PROGRAM], {
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: newDirectory(),
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const server = {
    child,
    out: '',
    err: '',
    exited: once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    ready: () =>
      eventually(() => {
        if (child.exitCode !== null) throw new Error(`the server ended: ${server.err}`);
        return server.out.match(/(http:\S+)\/graphql\n/)?.[1];
      }, 10_000),
  };
  child.stdout.on('data', (chunk) => {
    server.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    server.err += chunk;
  });
  return server;
}

const fileIn = (directory: string) => `file:${join(directory, 'sessions.db')}`;

describe('the server as a process', () => {
  it('starts with no settings at all, shows where everything is, and prints a line to paste that opens a session', async () => {
    const server = start({ DATABASE_URL: fileIn(newDirectory()) });
    const url = await server.ready();

    expect(server.out).toContain(`${url}/playground\n`);
    expect(server.out).toMatch(/the embedded sandbox, http:\/\/127\.0\.0\.1:\d+ \(set CXONE_BASE_URL for a tenant\)/);
    expect(server.out).toMatch(/the embedded receiver, http:/);
    expect(server.out).toContain('sessions.db');
    expect(server.err).toBe('');
    expect((await fetch(`${url}/playground`)).status).toBe(200);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);

    // The line to paste opens a session.
    const line = await eventually(() => server.out.match(/^ *(curl .+)$/m)?.[1]);

    const { stdout } = await promisify(execFile)('bash', ['-c', line]);

    expect(JSON.parse(stdout)).toEqual({
      data: {
        createGuestSession: {
          session: { sessionId: expect.stringMatching(/^cxs_/), status: 'ACTIVE' },
          clientToken: expect.stringMatching(/^ctk_/),
          userErrors: [],
        },
      },
    });
  });

  it('ends with 0 after SIGINT', async () => {
    const server = start({ DATABASE_URL: fileIn(newDirectory()) });
    await server.ready();

    server.child.kill('SIGINT');

    expect(await server.exited).toEqual([0, null]);
    // A quiet log, but for where the audit trail stood at the end.
    expect(server.err).toMatch(/^\{[^\n]+"msg":"the audit trail was signed"\}\n$/);
  });

  it('answers what it has accepted before it ends, however often it is asked to', async () => {
    await using cxone = await CxoneSandbox.start();
    const server = start({
      DATABASE_URL: fileIn(newDirectory()),
      CXONE_BASE_URL: cxone.url,
      CXONE_CLIENT_ID: cxone.clientId,
      CXONE_CLIENT_SECRET: cxone.clientSecret,
      CXONE_QUEUE_ID: 'queue',
      ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
    });
    const url = await server.ready();
    cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 500 } });
    const opening = postGraphql(url, OPEN, { input: inputFor() });
    await eventually(() => cxone.count('create') === 1);

    server.child.kill('SIGTERM');
    server.child.kill('SIGINT');
    server.child.kill('SIGTERM');

    const { data } = await opening;
    expect(data.createGuestSession).toMatchObject({ session: { status: 'ACTIVE' }, userErrors: [] });
    expect(await server.exited).toEqual([0, null]);
  });

  it('ends with 0 after SIGTERM, lets go of its database, and goes on with it in the next run', async () => {
    const DATABASE_URL = fileIn(newDirectory());
    const first = start({ DATABASE_URL });
    const { data } = await postGraphql(await first.ready(), OPEN, { input: inputFor() });
    first.child.kill('SIGTERM');
    expect(await first.exited).toEqual([0, null]);
    // A quiet log, but for where the audit trail stood at the end.
    expect(first.err).toMatch(/^\{[^\n]+"msg":"the audit trail was signed"\}\n$/);

    const second = start({ DATABASE_URL });
    const { data: kept } = await postGraphql(
      await second.ready(),
      'query ($id: ID) { session(id: $id) { sessionId status } verifyAuditTrail { ok } }',
      { id: data.createGuestSession.requestId },
    );
    expect(kept).toEqual({
      session: { sessionId: data.createGuestSession.session.sessionId, status: 'ACTIVE' },
      verifyAuditTrail: { ok: true },
    });
  });

  it('asks for a key of those who open sessions on an open address', async () => {
    const token = randomUUID();
    const sha256 = createHash('sha256').update(token).digest('hex');
    const server = start({
      HOST: '0.0.0.0',
      DATABASE_URL: fileIn(newDirectory()),
      API_KEYS: JSON.stringify([{ name: 'portal', role: 'BACKEND', sha256 }]),
    });
    const url = (await server.ready()).replace('0.0.0.0', '127.0.0.1');

    expect((await postGraphql(url, OPEN, { input: inputFor() })).status).toBe(401);
    const { data } = await postGraphql(url, OPEN, { input: inputFor() }, { authorization: `Bearer ${token}` });
    expect(data.createGuestSession.userErrors).toEqual([]);
  });
});

describe('a server without keys', () => {
  it('says that it is open, to this machine alone', async () => {
    const server = start({ DATABASE_URL: fileIn(newDirectory()) });
    await server.ready();

    expect(server.out).toMatch(/API keys +none: open to all on this machine, and to no other/);
  });

  it('does not start in production', async () => {
    const directory = newDirectory();
    const server = start({ DATABASE_URL: fileIn(directory), NODE_ENV: 'production' });

    expect(await server.exited).toEqual([1, null]);
    expect(server.err).toMatch(
      /^The settings are not valid:\n {2}- CXONE_BASE_URL: is required .*production.*\n {2}- API_KEYS: or API_KEYS_FILE is required .*production/,
    );
    expect(() => readFileSync(join(directory, 'sessions.db'))).toThrow('ENOENT');
  });
});

describe('a server that cannot start', () => {
  it('says all that is wrong with its settings, and ends with 1 before it has done anything', async () => {
    const directory = newDirectory();
    const server = start({
      DATABASE_URL: fileIn(directory),
      PORT: 'http',
      HOST: '0.0.0.0',
      CXONE_BASE_URL: 'https://api.example.com',
      CXONE_CLIENT_SECRET: 'canary-secret',
      LOG_LEVEL: 'canary-level',
    });

    expect(await server.exited).toEqual([1, null]);
    expect(server.out).toBe('');
    expect(server.err.trimEnd().split('\n')).toEqual([
      'The settings are not valid:',
      '  - PORT: must be a whole number',
      expect.stringMatching(/^ {2}- LOG_LEVEL: /),
      expect.stringMatching(/^ {2}- CXONE_CLIENT_ID: /),
      expect.stringMatching(/^ {2}- CXONE_QUEUE_ID: /),
      expect.stringMatching(/^ {2}- ENCRYPTION_KEY: /),
      expect.stringMatching(/^ {2}- HOST: /),
    ]);
    expect(server.err).not.toContain('canary');
    expect(() => readFileSync(join(directory, 'sessions.db'))).toThrow('ENOENT');
  });

  it('says that another server has its database, and leaves that one alone', async () => {
    const DATABASE_URL = fileIn(newDirectory());
    const first = start({ DATABASE_URL });
    const url = await first.ready();

    const second = start({ DATABASE_URL });

    expect(await second.exited).toEqual([1, null]);
    expect(second.out).toBe('');
    expect(second.err).toMatch(new RegExp(`in use by another server \\(process ${first.child.pid}\\)`));
    expect(second.err.trimEnd().split('\n')).toHaveLength(1);
    const { data } = await postGraphql(url, OPEN, { input: inputFor() });
    expect(data.createGuestSession.userErrors).toEqual([]);
  });

  it('says that its port is taken', async () => {
    const first = start({ DATABASE_URL: fileIn(newDirectory()) });
    const { port } = new URL(await first.ready());

    const second = start({ DATABASE_URL: fileIn(newDirectory()), PORT: port });

    expect(await second.exited).toEqual([1, null]);
    // Beside it the log says where the audit trail stands: the start was written down.
    expect(second.err).toMatch(new RegExp(`^PORT: 127\\.0\\.0\\.1:${port} is in use[^\\n]+$`, 'm'));
  });

  it('leaves a file alone that is no database', async () => {
    const directory = newDirectory();
    const garbage = Buffer.from('this is a letter to my aunt\n'.repeat(400));
    writeFileSync(join(directory, 'sessions.db'), garbage);
    const server = start({ DATABASE_URL: fileIn(directory) });

    expect(await server.exited).toEqual([1, null]);
    expect(server.err).toMatch(/sessions\.db cannot be opened: .*not a database/);
    expect(server.err.trimEnd().split('\n')).toHaveLength(1);
    expect(readFileSync(join(directory, 'sessions.db')).equals(garbage)).toBe(true);
  });

  it('leaves a database alone that a newer version has had', async () => {
    const directory = newDirectory();
    const path = join(directory, 'sessions.db');
    const first = start({ DATABASE_URL: fileIn(directory) });
    await first.ready();
    first.child.kill('SIGTERM');
    await first.exited;
    const database = new DatabaseSync(path);
    database.exec(
      `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "finished_at", "applied_steps_count") VALUES ('x', 'y', '29990101000000_future', 1, 1)`,
    );
    database.close();
    const before = readFileSync(path);

    const server = start({ DATABASE_URL: fileIn(directory) });

    expect(await server.exited).toEqual([1, null]);
    expect(server.err).toContain('29990101000000_future');
    expect(server.err).toContain('newer than this program');
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});
