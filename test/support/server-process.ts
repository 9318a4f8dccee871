import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { CxoneSandbox, type CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { eventually } from './eventually.js';
import { type GraphqlAnswer, postGraphql, settingsFor } from './network.js';
import { ENCRYPTION_KEY, OpenedConnection } from './opened-connection.js';

const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const READY_WITHIN_MS = 30_000;
/** Base64 of 32 bytes, the same for every server of a run, so that one can go on with another's database. */

type Environment = Readonly<Record<string, string>>;
type Exit = readonly [code: number | null, signal: NodeJS.Signals | null];

/** The built server as a process of its own, that has no setting but those it is given. Killed when the test is over. */
export class ServerProcess {
  readonly #child: ChildProcess;
  /** Exit code and signal, once it has ended and all that it printed has been read. */
  readonly exited: Promise<Exit>;
  #out = '';
  #err = '';

  constructor(env: Environment, cwd: string) {
    this.#child = spawn(process.execPath, [PROGRAM], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
    });
    this.exited = once(this.#child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    this.#child.stdout?.on('data', (chunk) => {
      this.#out += chunk;
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#err += chunk;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What it has printed on standard output. */
  get out(): string {
    return this.#out;
  }

  /** What it has printed on standard error: its log, and why it does not start. */
  get err(): string {
    return this.#err;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Whether it has said that it listens. */
  get isReady(): boolean {
    return this.isRunning && this.#out.includes('/graphql\n');
  }

  /** Waits until it has said that it listens. */
  async ready(): Promise<this> {
    await eventually(() => this.isReady || !this.isRunning, READY_WITHIN_MS);
    if (this.isRunning) return this;
    const [code, signal] = await this.exited;
    throw new Error(`the server ended with ${signal ?? code}: ${this.#err}`);
  }

  /** Sends a signal, and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.#child.kill(signal);
    return this.exited;
  }
}

const whenTestFinishes = (step: () => unknown) => onTestFinished(async () => void (await step()));

export interface SiteOptions {
  readonly cxone?: CxoneSandboxOptions;
  /** Settings of every server that is started here, on top of those that point at the sandbox. */
  readonly env?: Environment;
  /** Who is told what to do at the end; by default that of the test. */
  readonly atEnd?: (step: () => unknown) => void;
}

/**
 * What outlives a server process: its database, its port, the CXone and the CRM that it talks to. One server runs here at a
 * time, and the next goes on where it was.
 */
export class Site {
  readonly cxone: CxoneSandbox;
  readonly crm: CrmSandbox;
  readonly databasePath: string;
  readonly url: string;
  readonly #directory: string;
  readonly #env: Environment;

  readonly #atEnd: (step: () => unknown) => void;

  private constructor(
    directory: string,
    port: number,
    cxone: CxoneSandbox,
    crm: CrmSandbox,
    { env = {}, atEnd = whenTestFinishes }: SiteOptions,
  ) {
    this.cxone = cxone;
    this.crm = crm;
    this.databasePath = join(directory, 'sessions.db');
    this.url = `http://127.0.0.1:${port}`;
    this.#directory = directory;
    this.#atEnd = atEnd;
    this.#env = {
      PORT: String(port),
      DATABASE_URL: `file:${this.databasePath}`,
      ...settingsFor(cxone, crm),
      CRM_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
      ENCRYPTION_KEY,
      LOG_LEVEL: 'error',
      ...env,
    };
  }

  /** Prepares a place that is gone when the test is over, with whatever runs there. */
  static async prepare(options: SiteOptions = {}): Promise<Site> {
    const { atEnd = whenTestFinishes } = options;
    const directory = mkdtempSync(join(tmpdir(), 'site-'));
    atEnd(() => rmSync(directory, { recursive: true, force: true }));
    const cxone = await CxoneSandbox.start(options.cxone);
    atEnd(() => cxone[Symbol.asyncDispose]());
    const crm = await CrmSandbox.start();
    atEnd(() => crm[Symbol.asyncDispose]());
    return new Site(directory, await freePort(), cxone, crm, options);
  }

  /** Begins to start a server, with settings of its own on top of those of the site. */
  spawn(env: Environment = {}): ServerProcess {
    const server = new ServerProcess({ ...this.#env, ...env }, this.#directory);
    this.#atEnd(() => server.end('SIGKILL'));
    return server;
  }

  /** Starts a server and waits until it listens. */
  start(env?: Environment): Promise<ServerProcess> {
    return this.spawn(env).ready();
  }

  graphql(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphqlAnswer> {
    return postGraphql(this.url, query, variables, headers);
  }

  /** What stands for an idempotency key in the books. */
  blindKey(key: string): string {
    const database = new OpenedConnection(this.databasePath);
    try {
      return database.vault.blind('idempotency key', key);
    } finally {
      database.close();
    }
  }

  /** Reads the books, as they are on the disk, past the server. */
  rows<Row>(sql: string, ...parameters: (string | number)[]): Row[] {
    const database = new OpenedConnection(this.databasePath);
    try {
      return database.all<Row>(sql, ...parameters);
    } finally {
      database.close();
    }
  }

  /** Reads one number from the books. */
  count(sql: string, ...parameters: (string | number)[]): number {
    return this.rows<{ n: number }>(`SELECT count(*) AS n ${sql}`, ...parameters)[0]?.n ?? Number.NaN;
  }
}

/** From where a port is taken: below what Linux (32768) and macOS (49152) give to connections that go out. */
const [LEAST_PORT, MOST_PORT] = [20_000, 32_000];

/**
 * A port that is free, and stays so while no server listens on it. One that the system chooses would not: it can go to a
 * connection of somebody else, or even to one of ours to that very port, which then talks to itself.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = LEAST_PORT + Math.floor(Math.random() * (MOST_PORT - LEAST_PORT));
    const probe = createServer().listen(port, '127.0.0.1');
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    probe.close();
    if (isFree) return port;
  }
}
