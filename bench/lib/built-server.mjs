import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bareEnvironment } from './helper.mjs';
import { MS_PER_TICK } from './machine.mjs';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const READY_WITHIN_MS = 15_000;
const STOPPED_WITHIN_MS = 15_000;

/** The server as `npm run build` makes it, with its defaults, in a process of its own. */
export class BuiltServer {
  #child;
  #logFile;

  constructor(child, origin, logFile) {
    this.#child = child;
    this.origin = origin;
    this.#logFile = logFile;
  }

  /**
   * @param {{ directory: string, upstream: string, extra?: Record<string, string>, main?: string }} options `upstream` is the
   * stand-in's origin, `extra` goes into the environment, `main` is another program than what was built
   */
  static async start({ directory, upstream, extra = {}, main = MAIN }) {
    const port = await freePort();
    const env = {
      ...bareEnvironment(),
      PORT: String(port),
      DATABASE_URL: `file:${join(directory, 'bench.db')}`,
      CXONE_BASE_URL: upstream,
      CXONE_CLIENT_ID: 'bench',
      CXONE_CLIENT_SECRET: 'bench-secret',
      CXONE_QUEUE_ID: 'bench-queue',
      CRM_WEBHOOK_URL: `${upstream}/webhook`,
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      MAX_CONCURRENT_SESSIONS: '1000',
      LOG_LEVEL: 'warn',
      ...extra,
    };
    const logFile = join(directory, 'server.log');
    const log = openSync(logFile, 'a');
    // Source maps as under `npm start`.
    const args = ['--enable-source-maps', main];
    const child = spawn(process.execPath, args, { env, cwd: directory, stdio: ['ignore', log, log] });
    closeSync(log);
    const server = new BuiltServer(child, `http://127.0.0.1:${port}`, logFile);
    try {
      await server.#whenReady();
    } catch (error) {
      server.kill();
      throw error;
    }
    return server;
  }

  async #whenReady() {
    const giveUpAt = performance.now() + READY_WITHIN_MS;
    while (performance.now() < giveUpAt && this.#isRunning) {
      const answer = await fetch(`${this.origin}/health/ready`).catch(() => null);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return;
      await sleep(50);
    }
    throw new Error(`the server is not ready${this.#isRunning ? '' : ' and has ended'}; its log:\n${this.log}`);
  }

  get #isRunning() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it printed. */
  get log() {
    return readFileSync(this.#logFile, 'utf8').slice(-4000);
  }

  /** CPU time so far, all its threads included; null where the system does not tell. */
  cpuMs() {
    try {
      // proc(5): after the command in parentheses come 11 fields, then utime and stime.
      const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').replace(/^.*\) /s, '');
      const fields = stat.split(' ');
      return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    } catch {
      return null;
    }
  }

  /** Asks it to stop, and waits until it has; one that does not is killed, with an error. */
  async stop() {
    if (!this.#isRunning) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const isStopped = await Promise.race([ended.then(() => true), sleep(STOPPED_WITHIN_MS, false, { ref: false })]);
    if (isStopped) return;
    this.kill();
    throw new Error(`the server did not stop within ${STOPPED_WITHIN_MS / 1000} s; its log:\n${this.log}`);
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}
