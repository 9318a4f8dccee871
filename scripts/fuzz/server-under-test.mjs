import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const PROBE = new URL('probe.mjs', import.meta.url).href;
const READY_WITHIN_MS = 30_000;
const STOPS_WITHIN_MS = 30_000;
const ANSWERS_WITHIN_MS = 20_000;
/** Pino's. */
const LEVEL_ERROR = 50;

export const ROLES = ['GUEST', 'BACKEND', 'CRM', 'OPS'];
/** Of this run alone. */
const KEYS = Object.fromEntries(
  ROLES.map((role) => [role, `${role.toLowerCase()}-${randomBytes(12).toString('hex')}`]),
);

/** @param {string} role one of {@link ROLES}; another is nobody's */
export const authorizationOf = (role) => `Bearer ${KEYS[role] ?? 'unknown'}`;

/** @typedef {{ delayMs: number, turnMs: number, rssMb: number }} Reading since the one before */

/** The server as it is built, a process of its own with API keys, the embedded sandbox and a database that goes with it. */
export class ServerUnderTest {
  #child;
  #directory;
  #nextId = 0;
  /** @type {Map<number, (reading: Reading) => void>} */
  #asked = new Map();
  #out = '';
  #err = '';

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'cxone-fuzz-'));
    process.on('exit', () => this.#vanish());
    const env = {
      PATH: process.env.PATH ?? '',
      PORT: '0',
      DATABASE_URL: `file:${join(this.#directory, 'fuzz.db')}`,
      API_KEYS: JSON.stringify(ROLES.map((role) => ({ name: `the ${role} key`, role, sha256: sha256(KEYS[role]) }))),
      LOG_LEVEL: 'warn',
      // All comes from one address: what is too often would hide the rest.
      RATE_LIMITS: 'off',
      MAX_SOCKETS_PER_ADDRESS: '10000',
      MAX_CONCURRENT_SESSIONS: '1000',
      FRAUD_THRESHOLD: '100',
    };
    const args = ['--enable-source-maps', '--import', PROBE, MAIN];
    const stdio = /** @type {const} */ (['ignore', 'pipe', 'pipe', 'ipc']);
    this.#child = spawn(process.execPath, args, { env, cwd: this.#directory, stdio: [...stdio] });
    this.#child.stdout?.on('data', (chunk) => {
      this.#out += chunk;
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#err += chunk;
    });
    this.#child.on('message', ({ id, ...reading }) => {
      this.#asked.get(id)?.(reading);
      this.#asked.delete(id);
    });
  }

  static async start() {
    const server = new ServerUnderTest();
    const giveUpAt = performance.now() + READY_WITHIN_MS;
    while (server.isRunning && performance.now() < giveUpAt && !server.#out.includes('/graphql\n')) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const [, url] = /(http:\S+)\/graphql\n/.exec(server.#out) ?? [];
    if (url === undefined) throw new Error(`the server does not start:\n${server.#err}`);
    return Object.assign(server, { url: new URL(url) });
  }

  /** Where it listens. @type {URL} */
  url;

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it has printed on standard error. */
  get log() {
    return this.#err;
  }

  /** Lines of the log that tell of a bug, and what is no line of the log at all, such as a warning of Node's. */
  errors() {
    return this.#err.split('\n').filter((line) => line !== '' && !isHarmless(line));
  }

  /** What its event loop did since it was asked last. @returns {Promise<Reading>} */
  read() {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const hang = setTimeout(() => reject(new Error('the event loop of the server does not turn')), ANSWERS_WITHIN_MS);
      this.#asked.set(id, (reading) => {
        clearTimeout(hang);
        resolve(reading);
      });
      this.#child.send(id, (error) => error && reject(new Error(`the server has ended:\n${this.#err}`)));
    });
  }

  /** Asks one thing as an ordinary client. */
  async graphql(role, query, variables = {}) {
    const response = await fetch(new URL('/graphql', this.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: authorizationOf(role) },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(ANSWERS_WITHIN_MS),
    });
    return /** @type {{ data?: any, errors?: { message: string }[] }} */ (await response.json());
  }

  /** Asks it to stop. @returns {Promise<number | string | null>} its exit code, or the signal that it was ended with */
  async stop() {
    if (!this.isRunning) return this.#child.exitCode ?? this.#child.signalCode;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const cut = setTimeout(() => this.#child.kill('SIGKILL'), STOPS_WITHIN_MS);
    const [code, signal] = await ended;
    clearTimeout(cut);
    return code ?? signal;
  }

  #vanish() {
    this.#child.kill('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

function isHarmless(line) {
  try {
    return JSON.parse(line).level < LEVEL_ERROR;
  } catch {
    return false;
  }
}
