import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EventServer } from '../support/event-server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, open } from '../support/network.js';
import { end, type Program, run } from '../support/program.js';
import { Site } from '../support/server-process.js';

const LISTENER = fileURLToPath(new URL('../../examples/crm-listener/listener.mjs', import.meta.url));
const EVENTS = 10_000;
const CLIENTS = 16;
const REFUSED_IN_A_REQUEST = 50;
/** Of the requests of a client, every so many-th opens a session. */
const SESSION_EVERY = 4;
const PATIENCE_MS = 30_000;

/** A request that is refused so often, which is an event each time and costs CXone nothing. */
const REFUSED = `mutation { ${Array.from(
  { length: REFUSED_IN_A_REQUEST },
  (_, i) => `m${i}: createGuestSession(input: { guestId: "nobody", deviceFingerprint: "fp" }) { requestId }`,
).join(' ')} }`;

/** The listener, each time on the same journal. */
class Listener {
  readonly file: string;
  readonly #url: string;
  #program: Program;

  constructor(url: string, firstLine = '') {
    const directory = mkdtempSync(join(tmpdir(), 'crm-listener-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    this.file = join(directory, 'journal.jsonl');
    writeFileSync(this.file, firstLine);
    this.#url = url;
    this.#program = this.#start();
  }

  get out(): string {
    return this.#program.out;
  }

  get err(): string {
    return this.#program.err;
  }

  /** The lines of the journal, each of them whole. */
  get lines(): { cursor: string; id?: string; type?: string }[] {
    const text = readFileSync(this.file, 'utf8');
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  hasWritten(text: string): boolean {
    return readFileSync(this.file).includes(text);
  }

  /** Waits until it writes something. */
  async works(): Promise<void> {
    const { size } = statSync(this.file);
    await eventually(() => statSync(this.file).size > size, PATIENCE_MS);
  }

  kill(): Promise<void> {
    return end(this.#program, 'SIGKILL');
  }

  start(): void {
    this.#program = this.#start();
  }

  async ended(): Promise<number | null> {
    const { child } = this.#program;
    if (child.exitCode === null) await once(child, 'close');
    return child.exitCode;
  }

  #start(): Program {
    return run(LISTENER, ['--url', this.#url, '--file', this.file]);
  }
}

/** Callers of whom most are refused. They go on until there are events enough, whatever happens to the server. */
class Callers {
  /** Events that were answered for, at least: who is cut off does not know. */
  events = 0;
  readonly isDone: Promise<unknown>;
  readonly #pool: Pool;

  constructor(url: string) {
    this.#pool = new Pool(url, { connections: CLIENTS });
    this.isDone = Promise.all(Array.from({ length: CLIENTS }, () => this.#work()));
    onTestFinished(() => this.#pool.destroy());
  }

  /** Waits until so much of it is done, from 0 to 1. */
  async reach(share: number): Promise<void> {
    await eventually(() => this.events >= share * EVENTS, PATIENCE_MS);
  }

  async #work(): Promise<void> {
    for (let n = 1; this.events < EVENTS; n += 1) {
      if (n % SESSION_EVERY === 0) await this.#post({ query: OPEN, variables: { input: inputFor(randomUUID()) } }, 2);
      else await this.#post({ query: REFUSED }, REFUSED_IN_A_REQUEST);
    }
  }

  async #post(body: object, events: number): Promise<void> {
    try {
      const headers = { 'content-type': 'application/json' };
      const answer = await this.#pool.request({
        path: '/graphql',
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      const { data } = (await answer.body.json()) as { data: object | null };
      if (data) this.events += events;
    } catch {
      await sleep(20); // the server is dead
    }
  }
}

describe('examples/crm-listener', () => {
  it(`processes each of ${EVENTS} events once, in order, though it and the server are killed`, async () => {
    const site = await Site.prepare({ env: { MAX_QUERY_ALIASES: String(REFUSED_IN_A_REQUEST) } });
    let server = await site.start();
    const { requestId, eventCursor } = await open(site);
    const listener = new Listener(site.url, `{"cursor":"${eventCursor}"}\n`);
    const callers = new Callers(site.url);
    const outputs: string[] = [];
    const restartListener = async (tornLine = '') => {
      await listener.kill();
      outputs.push(listener.out, listener.err);
      appendFileSync(listener.file, tornLine);
      listener.start();
    };
    const restartServer = async () => {
      await server.end('SIGKILL');
      outputs.push(server.err);
      server = await site.start();
    };

    await callers.reach(0.1);
    await listener.works();
    await restartListener();
    await callers.reach(0.25);
    await restartServer();
    await callers.reach(0.4);
    await listener.works();
    await restartListener('{"cursor":"ZX'); // what a kill in the middle of a write leaves
    await callers.reach(0.5);
    await restartServer();
    await callers.reach(0.8);
    await listener.works();
    await Promise.all([restartServer(), restartListener()]);
    await callers.isDone;

    const log = site.rows<{ id: string; type: string }>(
      `SELECT "id", "type" FROM "SessionEvent" WHERE "sequence" >
         (SELECT "sequence" FROM "SessionEvent" WHERE "requestId" = ? AND "type" = 'SESSION_INITIATED')
       ORDER BY "sequence"`,
      requestId,
    );
    await eventually(() => listener.hasWritten(log.at(-1)!.id), PATIENCE_MS);
    const processed = listener.lines.slice(1);
    expect(processed.slice(0, log.length).map(({ id, type }) => ({ id, type }))).toEqual(log);
    expect(new Set(processed.map(({ cursor }) => cursor)).size).toBe(processed.length);
    expect(log.length).toBeGreaterThanOrEqual(EVENTS);
    expect(log.filter(({ type }) => type === 'SESSION_INITIATED').length).toBeGreaterThan(20);
    const resumed = expect.stringMatching(/^resuming after [\w-]+\n$/);
    expect(outputs.filter((output) => output !== '')).toEqual([resumed, resumed, resumed]);
  }, 60_000);

  it('keeps where it began before anything has happened, and goes on from there', async () => {
    const server = await EventServer.start();
    server.append(7);
    server.ack = { eventCursor: '7' };
    const listener = new Listener(server.url.replace('ws', 'http'));
    await eventually(() => listener.lines.length === 1 && server.live.length === 1);
    expect(listener.out).toBe('starting with what happens from now on\n');

    await listener.kill();
    server.append(2);
    server.ack = { eventCursor: '9' };
    listener.start();

    await eventually(() => listener.lines.length === 3);
    expect(listener.lines.map(({ cursor }) => cursor)).toEqual(['7', '8', '9']);
    expect(listener.out).toBe('resuming after 7\n');
  });

  it('ends where its cursor is older than what the server has kept', async () => {
    const server = await EventServer.start();
    server.onSubscribe = (subscription) => server.refuse(subscription, 'CURSOR_EXPIRED');
    const listener = new Listener(server.url.replace('ws', 'http'), '{"cursor":"3"}\n');

    expect(await listener.ended()).toBe(1);
    expect(listener.err).toBe('CURSOR_EXPIRED: refused: CURSOR_EXPIRED\n');
    expect(listener.lines).toEqual([{ cursor: '3' }]);
  });
});
