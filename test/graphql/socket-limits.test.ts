import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEYS, bearer, RawConnection, type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const PER_ADDRESS = 3;
const IN_ALL = 5;
const ELSEWHERE = '127.0.0.2';

let server: Server;
const open = new Set<WebSocket>();
beforeAll(async () => {
  server = await startServer({
    API_KEYS,
    MAX_SOCKETS_PER_ADDRESS: String(PER_ADDRESS),
    MAX_SOCKETS: String(IN_ALL),
    MAX_FRAME_BYTES: '2000',
    SOCKET_INIT_TIMEOUT_MS: '60000', // however busy the machine is, those that count are still there
  });
});
afterAll(() => server[Symbol.asyncDispose]());
afterEach(async () => {
  for (const socket of open) socket.terminate();
  await eventually(() => open.size === 0);
});

/** What a program is told that gets no socket. */
interface Refused {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Asks for a socket, from this address or another of this machine. */
function ask(localAddress?: string): Promise<WebSocket | Refused> {
  const url = `${server.url.replace('http', 'ws')}/graphql`;
  const socket = new WebSocket(url, 'graphql-transport-ws', { ...(localAddress && { localAddress }) });
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    socket.on('open', () => resolve(socket));
    socket.on('unexpected-response', async (_request, response) => {
      resolve({ status: response.statusCode, headers: response.headers, body: await text(response) });
      socket.terminate();
    });
  });
}

/** Asks so often, one after the other; how many sockets there were before the first refusal. */
async function room(localAddress?: string): Promise<number> {
  for (let count = 0; ; count += 1) if (!((await ask(localAddress)) instanceof WebSocket)) return count;
}

const UPGRADE = `GET /graphql HTTP/1.1
host: 127.0.0.1
connection: upgrade
upgrade: websocket
sec-websocket-version: 13
sec-websocket-protocol: graphql-transport-ws
`;
const KEY = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n';

/** A client of whom nothing is heard after its request. */
async function rawUpgrade(request = `${UPGRADE}${KEY}\n`, url = server.url): Promise<RawConnection> {
  const connection = await RawConnection.open(url, { allowHalfOpen: true });
  onTestFinished(() => void connection.socket.destroy());
  connection.write(request);
  await connection.hears('\r\n\r\n');
  return connection;
}

/** Waits until the server has let go of a client that never closes its own side: what that sends is answered with a reset. */
const isLetGo = (connection: RawConnection) =>
  eventually(() => {
    connection.socket.write('.');
    return connection.isClosed;
  });

describe('sockets of one address', () => {
  it('are so many as MAX_SOCKETS_PER_ADDRESS says: the next is refused with 429, and told why', async () => {
    expect(await room()).toBe(PER_ADDRESS);

    const { status, headers, body } = (await ask()) as Refused;
    expect({ status, headers }).toMatchObject({
      status: 429,
      headers: { 'retry-after': '10', 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    });
    expect(JSON.parse(body)).toEqual({
      errors: [
        {
          message: expect.stringContaining('Your address has as many sockets'),
          extensions: { code: 'TOO_MANY_SOCKETS', limit: 'MAX_SOCKETS_PER_ADDRESS' },
        },
      ],
    });
  });

  it('take no place from another address', async () => {
    expect(await room()).toBe(PER_ADDRESS);
    expect(await ask(ELSEWHERE)).toBeInstanceOf(WebSocket);
  });

  it('count from the upgrade on, whether or not the client says who it is', async () => {
    await rawUpgrade();
    expect(await room()).toBe(PER_ADDRESS - 1);
  });

  it('give their place back once, however they end', async () => {
    const polite = (await ask()) as WebSocket;
    polite.close();
    const cut = (await ask()) as WebSocket;
    cut.terminate();
    const reset = await rawUpgrade();
    reset.socket.resetAndDestroy();
    const silent = await rawUpgrade(`${UPGRADE}\n`); // without a key, and it does not close its side
    expect(silent.received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(silent.received).toContain('sec-websocket-version: 13');
    await isLetGo(silent);
    const refused = await rawUpgrade(`${UPGRADE.replace('/graphql', '/elsewhere')}${KEY}\n`);
    expect(refused.received).toMatch(/^HTTP\/1\.1 404 /);
    await isLetGo(refused);

    await eventually(async () => {
      const count = await room();
      for (const socket of open) socket.terminate();
      await eventually(() => open.size === 0);
      return count === PER_ADDRESS;
    });
    await eventually(async () => (await room()) === PER_ADDRESS);
  });
});

describe('sockets in all', () => {
  it('are so many as MAX_SOCKETS says: the next is refused with 503, and told when to come again', async () => {
    expect(await room()).toBe(PER_ADDRESS);
    expect(await room(ELSEWHERE)).toBe(IN_ALL - PER_ADDRESS);

    const { status, headers, body } = (await ask(ELSEWHERE)) as Refused;
    expect({ status, headers }).toMatchObject({ status: 503, headers: { 'retry-after': '10' } });
    expect(JSON.parse(body)).toMatchObject({
      errors: [{ extensions: { code: 'TOO_MANY_SOCKETS', limit: 'MAX_SOCKETS' } }],
    });
  });
});

it('whoever gets no socket is in the audit trail, by the limit', async () => {
  await room();
  await room(ELSEWHERE);
  const query = '{ audits(first: 100) { nodes { kind reason actor sourceAddress } } }';
  const refusals = async () => {
    const { data } = await server.graphql(query, undefined, bearer('OPS'));
    return data.audits.nodes.filter(({ reason }: { reason: string | null }) => reason?.startsWith('no place'));
  };
  const entry = (reason: string, sourceAddress: unknown) => ({
    kind: 'ACCESS_REFUSED',
    actor: 'anonymous',
    reason,
    sourceAddress,
  });

  // Others may have been refused before: of each kind there is one entry in a minute.
  expect((await eventually(async () => (await refusals()).length === 2 && refusals())).reverse()).toEqual([
    entry('no place for another socket: MAX_SOCKETS_PER_ADDRESS', expect.stringMatching(/^127\.0\.0\.0\/24#/)),
    entry('no place for another socket: MAX_SOCKETS', null),
  ]);
});

describe('a client that does not behave', () => {
  it('is closed with 4408 when it does not say who it is, and cut off when it does not answer that', async () => {
    const { url } = await startStreamServer({ settings: { SOCKET_INIT_TIMEOUT_MS: '100' } });
    const silent = await rawUpgrade(undefined, url);
    const polite = new WebSocket(url, 'graphql-transport-ws');

    expect(await new Promise((resolve) => polite.on('close', resolve))).toBe(4408);
    await silent.hears('Connection initialisation timeout');
    await isLetGo(silent);
  });

  it.each([
    ['one frame', [2_001]],
    ['several frames', [1_000, 1_000, 1]],
  ])('is closed with 1009 when a message of %s is larger than MAX_FRAME_BYTES', async (_how, parts) => {
    const socket = (await ask()) as WebSocket;
    const code = new Promise((resolve) => socket.on('close', resolve));
    for (const [index, part] of parts.entries()) socket.send('x'.repeat(part), { fin: index === parts.length - 1 });

    expect(await code).toBe(1009);
  });
});
