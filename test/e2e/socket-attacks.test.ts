import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { Role } from '../../src/access-settings.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN } from '../support/network.js';
import { type ServerProcess, Site } from '../support/server-process.js';

const MEGABYTE = 1024 * 1024;
/** What the attacks may cost, above what the server takes when it is idle. */
const MOST_MEGABYTES = 200;
const OPEN_EVERY_MS = 200;
/** Where attacks come from that fill all the places of an address. */
const ELSEWHERE = '127.0.0.2';
const WATCH = 'subscription { sessionEvents { type requestId } }';

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex');
const keys = {
  GUEST: randomUUID(),
  BACKEND: randomUUID(),
  CRM: randomUUID(),
  OPS: randomUUID(),
  expired: randomUUID(),
};
const API_KEYS = JSON.stringify([
  ...(['GUEST', 'BACKEND', 'CRM', 'OPS'] satisfies Role[]).map((role) => ({
    name: role,
    role,
    sha256: sha256(keys[role]),
  })),
  { name: 'old', role: 'OPS', sha256: sha256(keys.expired), expiresAt: '2020-01-01T00:00:00Z' },
]);
const as = (key: string) => ({ authorization: `Bearer ${key}` });

/** A message as a client frames it; a mask of zeros changes nothing. */
function frame(message: object): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const head = Buffer.from([0x81, 0x80 + 126, 0, 0, 0, 0, 0, 0]);
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** What a socket writes to: for what no client would send. */
const tcpOf = (socket: WebSocket): Socket => (socket as unknown as { _socket: Socket })._socket;

/** A CRM that follows the log, while a portal opens sessions: neither is to notice anything. */
class Bystanders {
  /** Attempts, as they were opened. */
  readonly opened: string[] = [];
  /** Attempts, as the log told of them. */
  readonly heard: string[] = [];
  readonly failures: unknown[] = [];
  readonly #site: Site;
  readonly #crm;
  #isDone = false;
  #opening: Promise<void> | null = null;

  constructor(site: Site) {
    this.#site = site;
    const url = `${site.url.replace('http', 'ws')}/graphql`;
    this.#crm = createClient({
      url,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: as(keys.CRM),
      on: { closed: (event) => this.#isDone || this.failures.push(['closed', (event as { code: number }).code]) },
    });
  }

  /** Resolves once events are heard. */
  async start(): Promise<void> {
    this.#crm.subscribe<{ sessionEvents: { type: string; requestId: string } }>(
      { query: WATCH },
      {
        next: ({ data, errors }) => {
          if (errors) this.failures.push(errors);
          if (data?.sessionEvents.type === 'SESSION_INITIATED') this.heard.push(data.sessionEvents.requestId);
        },
        error: (error) => this.failures.push(error),
        complete: () => this.#isDone || this.failures.push('completed'),
      },
    );
    // What is opened before the subscription has begun is nobody's to hear.
    await eventually(async () => {
      await this.#open();
      return this.heard.length > 0;
    });
    await eventually(() => this.heard.at(-1) === this.opened.at(-1));
    this.opened.splice(0, this.opened.length - this.heard.length);
    this.#opening = this.#openOnAndOn();
  }

  async #openOnAndOn(): Promise<void> {
    while (!this.#isDone) {
      await this.#open();
      await new Promise((resolve) => setTimeout(resolve, OPEN_EVERY_MS));
    }
  }

  async #open(): Promise<void> {
    try {
      const { data } = await this.#site.graphql(OPEN, { input: inputFor() }, as(keys.BACKEND));
      const { requestId, session, userErrors } = data.createGuestSession;
      if (session) this.opened.push(requestId);
      else this.failures.push(userErrors);
    } catch (error) {
      this.failures.push(error);
    }
  }

  /** Opens no more, and waits for what was opened last. */
  async finish(): Promise<void> {
    this.#isDone = true;
    await this.#opening;
    await eventually(() => this.heard.length >= this.opened.length).catch(() => undefined);
    await this.#crm.dispose();
  }
}

describe.skipIf(!existsSync('/proc/self/clear_refs'))('a server whose sockets are attacked', () => {
  const atEnd: (() => unknown)[] = [];
  let site: Site;
  let server: ServerProcess;
  let bystanders: Bystanders;
  let idleKb: number;

  /** Of the server, in kB. `VmHWM` is the most that it ever had, since that was last reset. */
  const memory = (what: 'VmRSS' | 'VmHWM'): number =>
    Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);

  beforeAll(async () => {
    site = await Site.prepare({
      // CXone is in the process that attacks, and may have to wait for that.
      env: {
        API_KEYS,
        RATE_LIMITS: 'off',
        SOCKET_INIT_TIMEOUT_MS: '1000',
        CXONE_TIMEOUT_MS: '20000',
        CREATE_DEADLINE_MS: '60000',
      },
      atEnd: (step) => atEnd.push(step),
    });
    server = await site.start();
    bystanders = new Bystanders(site);
    await bystanders.start();
    writeFileSync(`/proc/${server.pid}/clear_refs`, '5');
    idleKb = memory('VmRSS');
  }, 60_000);
  afterAll(async () => {
    for (const step of atEnd.reverse()) await step();
  });

  const socketTo = (options: ClientOptions = {}, from?: string): WebSocket => {
    const socket = new WebSocket(`${site.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      ...options,
      ...(from && { localAddress: from }),
    });
    socket.on('error', () => undefined);
    atEnd.push(() => socket.terminate());
    return socket;
  };

  /** A socket, and what it hears. */
  async function open(key?: string, options?: ClientOptions) {
    const socket = socketTo(options);
    const messages: string[] = [];
    const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)));
    socket.on('message', (data) => messages.push(String(data)));
    await once(socket, 'open');
    const send = (message: object) => socket.send(JSON.stringify(message));
    if (key !== undefined) {
      send({ type: 'connection_init', payload: as(key) });
      await Promise.race([eventually(() => messages[0]), closed]);
    }
    return { socket, messages, closed, send };
  }

  /** Sends a document over a socket as if it were a subscription; gives the code that it is refused with. */
  async function refusedWith(key: string, query: string): Promise<string> {
    const { socket, messages, send } = await open(key);
    send({ type: 'subscribe', id: 'it', payload: { query } });
    const answer = JSON.parse(await eventually(() => messages[1]));
    socket.close();
    expect(answer).toMatchObject({ type: 'error', id: 'it' });
    return answer.payload[0].extensions.code;
  }

  const closedWith = async (key: string | undefined) => (await open(key)).closed;

  it('closes those who do not say who they are', async () => {
    const codes = await Promise.all(Array.from({ length: 20 }, () => closedWith(undefined)));
    expect(new Set(codes)).toEqual(new Set([4408]));
  });

  it('closes those whose key is unknown, has expired, or may subscribe to nothing, or who subscribe without showing one', async () => {
    expect(await closedWith(randomUUID())).toBe(4403);
    expect(await closedWith(keys.expired)).toBe(4403);
    for (const key of [keys.GUEST, keys.BACKEND]) expect(await closedWith(key)).toBe(4403);
    const { send, closed } = await open();
    send({ type: 'subscribe', id: '1', payload: { query: WATCH } });
    expect(await closed).toBe(4401);
  });

  it('refuses a page of a foreign origin before there is a socket', async () => {
    const socket = socketTo({ origin: 'https://evil.example.com' });
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(403);
    socket.terminate();
  });

  it('answers neither introspection nor mutations there, whatever the role may do elsewhere', async () => {
    const guestId = randomUUID();
    const mutation = `mutation { createGuestSession(input: { guestId: "${guestId}", deviceFingerprint: "fp" }) { requestId } }`;
    for (const key of [keys.CRM, keys.OPS]) {
      const mayIntrospect = key === keys.OPS;
      const refusal = await refusedWith(key, '{ __schema { types { name } } }');
      expect(refusal).toBe(mayIntrospect ? 'BAD_USER_INPUT' : 'FORBIDDEN');
      expect(await refusedWith(key, mutation)).toBe('BAD_USER_INPUT');
    }
    const both = 'subscription { sessionEvents { type } ... { __schema { types { name } } } }';
    expect(await refusedWith(keys.CRM, both)).toBe('GRAPHQL_VALIDATION_FAILED');

    const query = 'query ($guestId: String) { sessions(filter: { guestId: $guestId }) { nodes { id } } }';
    expect((await site.graphql(query, { guestId }, as(keys.OPS))).data).toEqual({ sessions: { nodes: [] } });
  });

  it('refuses a document of 20,000 fields', async () => {
    const query = `subscription { sessionEvents { ${'id '.repeat(20_000)} } }`;
    expect(await refusedWith(keys.CRM, query)).toBe('GRAPHQL_PARSE_FAILED');
  });

  const subscribe = (id: number) => ({ type: 'subscribe', id: String(id), payload: { query: WATCH } });

  it('begins 20 of 250 subscriptions on one socket, and goes on with those', async () => {
    const { socket, closed } = await open(keys.CRM);
    let refused = 0;
    const begun = new Set<string>();
    socket.on('message', (data) => {
      const { type, id, payload } = JSON.parse(String(data));
      if (type === 'next') begun.add(id);
      if (type === 'error' && payload[0].extensions.code === 'TOO_MANY_SUBSCRIPTIONS') refused += 1;
    });
    tcpOf(socket).write(Buffer.concat(Array.from({ length: 250 }, (_, id) => frame(subscribe(id)))));

    await eventually(() => refused === 230, 15_000);
    await eventually(() => begun.size === 20);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.close();
    expect(await closed).toBe(1005);
  });

  it('closes a socket for 20,000 subscriptions', async () => {
    const { socket, closed } = await open(keys.CRM);
    tcpOf(socket).write(Buffer.concat(Array.from({ length: 20_000 }, (_, id) => frame(subscribe(id)))));
    expect(await closed).toBe(4429);
  });

  it('closes sockets for a flood of pings, five at once from who does not say who it is', async () => {
    const ping = frame({ type: 'ping' });
    const flood = async () => {
      const { socket, messages, closed } = await open();
      tcpOf(socket).write(Buffer.alloc(500_000 * ping.length, ping));
      return { code: await closed, answers: messages.length };
    };
    expect(await Promise.all(Array.from({ length: 5 }, flood))).toEqual(
      Array.from({ length: 5 }, () => ({ code: 4429, answers: 10 })),
    );
  });

  it('keeps no subscription of those that are ended before they have begun', async () => {
    const { socket, messages, send } = await open(keys.CRM);
    const pair = Buffer.concat([
      frame({ type: 'subscribe', id: 'same', payload: { query: WATCH } }),
      frame({ type: 'complete', id: 'same' }),
    ]);
    tcpOf(socket).write(Buffer.alloc(120 * pair.length, pair));
    send({ type: 'ping' });
    await eventually(() => messages.includes('{"type":"pong"}'));
    send({ type: 'subscribe', id: 'last', payload: { query: WATCH } });
    const events = () => messages.filter((message) => message.includes('"next"'));
    await eventually(() => events().length > 0);

    expect(events().filter((message) => message.includes('"same"'))).toEqual([]);
    socket.close();
  });

  it('keeps little of what clients say of themselves and subscribe with, whatever it would become in memory', async () => {
    const junk = Array(30_000).fill({}); // 90 kB, and 2 MB when it is read
    const sockets = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const socket = socketTo({}, ELSEWHERE);
        const types: string[] = [];
        socket.on('message', (data) => types.push(JSON.parse(String(data)).type));
        await once(socket, 'open');
        socket.send(JSON.stringify({ type: 'connection_init', payload: { ...as(keys.CRM), junk } }));
        for (const id of ['1', '2', '3']) {
          await eventually(() => types.includes('connection_ack'));
          const payload = { query: WATCH, extensions: { junk } };
          socket.send(JSON.stringify({ type: 'subscribe', id, payload }));
        }
        return { socket, refusals: () => types.filter((type) => type === 'error').length };
      }),
    );
    await eventually(() => sockets.every(({ refusals }) => refusals() === 3), 15_000);
    for (const { socket } of sockets) socket.close();
  });

  it('closes a socket for a frame of 50 MB, and for as much in fragments', async () => {
    const whole = await open(keys.CRM);
    whole.socket.send(Buffer.alloc(50 * MEGABYTE, 'x'));
    expect(await whole.closed).toBe(1009);

    const parts = await open(keys.CRM);
    const part = Buffer.alloc(64 * 1024, 'x');
    for (let sent = 0; sent < 50 * MEGABYTE; sent += part.length) parts.socket.send(part, { fin: false });
    expect(await parts.closed).toBe(1009);
  });

  it('closes a socket for a message in tens of thousands of fragments', async () => {
    const some = await open(keys.CRM);
    const part = (head: number) => Buffer.from([head, 0x81, 0, 0, 0, 0, 0x78]);
    tcpOf(some.socket).write(Buffer.concat([part(0x01), Buffer.alloc(7 * 9_998, part(0x00)), part(0x80)]));
    expect(await some.closed).toBe(4400); // no JSON

    const many = await open(keys.CRM);
    const nothing = (head: number) => Buffer.from([head, 0x80, 0, 0, 0, 0]);
    tcpOf(many.socket).write(Buffer.concat([nothing(0x01), Buffer.alloc(6 * 20_000, nothing(0x00))]));
    expect(await many.closed).toBe(1008);
  });

  it.each([
    ['frames', Buffer.concat([Buffer.from([0x89, 0x80 + 100, 0, 0, 0, 0]), Buffer.alloc(100, 'x')]), 50_000],
    ['messages', frame({ type: 'ping', payload: { x: 'x'.repeat(900) } }), 20_000],
  ])('cuts off those who send pings as %s, and read nothing', async (_what, ping, count) => {
    const { socket } = await open(keys.CRM);
    const tcp = tcpOf(socket);
    tcp.pause();
    tcp.write(Buffer.alloc(ping.length * count, ping));

    // What is written to who is gone is answered with a reset.
    await eventually(() => tcp.destroyed || void tcp.write(ping), 10_000);
  });

  it('does not agree on compression: what is small on the way stays small', async () => {
    const { socket, closed } = await open(keys.CRM, { perMessageDeflate: true });
    expect(socket.extensions).toBe('');
    tcpOf(socket).write(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0])); // a frame that says it is compressed
    expect(await closed).toBe(1002);
  });

  it('reads JSON that is nested deeper than can be written, and goes on', async () => {
    const nested = `{"x":${'['.repeat(45_000)}${']'.repeat(45_000)}}`;
    const init = await open();
    init.socket.send(`{"type":"connection_init","payload":${nested}}`);
    expect(await init.closed).toBe(4403);

    const { socket, messages } = await open(keys.CRM);
    socket.send(`{"type":"ping","payload":${nested}}`);
    await eventually(() => messages.includes('{"type":"pong"}'));
    socket.close();
  });

  it('gives 50 of 2,000 sockets of one address a place, and refuses the rest with 429', async () => {
    const { port } = new URL(site.url);
    const statuses = new Map<string, number>();
    const sockets: Socket[] = [];
    const open = () => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: ELSEWHERE });
      socket.on('error', () => undefined);
      sockets.push(socket);
      atEnd.push(() => socket.destroy());
      // They say who they are, so that none makes room by being closed for that.
      socket.write(
        `GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
          'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n',
      );
      socket.write(frame({ type: 'connection_init', payload: as(keys.CRM) }));
      socket.once('data', (data) => {
        const status = String(data).slice(9, 12);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      });
    };
    // Not more at once than wait in the queue of the kernel, which would have the others wait for seconds.
    for (let opened = 0; opened < 2_000; ) {
      for (let i = 0; i < 400; i += 1, opened += 1) open();
      await eventually(() => [...statuses.values()].reduce((sum, count) => sum + count, 0) === opened, 15_000);
    }
    for (const socket of sockets) socket.destroy();

    expect(Object.fromEntries(statuses)).toEqual({ 101: 50, 429: 1_950 });
  });

  it('stays small, has no bug to tell of, and nobody beside the attackers has noticed', async () => {
    await bystanders.finish();
    const peak = Math.round((memory('VmHWM') - idleKb) / 1024);
    process.stdout.write(`socket attacks: peak +${peak} MB above ${Math.round(idleKb / 1024)} MB idle, `);
    process.stdout.write(`${bystanders.opened.length} sessions opened and heard of meanwhile\n`);

    expect(bystanders.failures).toEqual([]);
    expect(bystanders.heard).toEqual(bystanders.opened);
    expect(bystanders.opened.length).toBeGreaterThan(5);
    expect(peak).toBeLessThan(MOST_MEGABYTES);
    expect([server.isRunning, server.err]).toEqual([true, '']);
  });
});
