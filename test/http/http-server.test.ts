import { once } from 'node:events';
import { connect } from 'node:net';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createApp } from '../../src/app.js';
import { loadSettings } from '../../src/config.js';
import { StartupError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN } from '../support/network.js';
import { API_KEYS, RawConnection, type Server, startServer } from './server.js';

describe('the HTTP server', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each([
    ['/health/live', { status: 'ok' }],
    ['/health/ready', { status: 'ready' }],
  ])('answers %s, for nobody to keep', async (path, body) => {
    const response = await fetch(server.url + path);

    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toEqual(body);
  });

  it('is ready while CXone is down', async () => {
    const { cxone } = server.app.engine.sandbox;
    await cxone!.refuseConnections();
    try {
      expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
    } finally {
      await cxone!.acceptConnections();
    }
  });

  it.each(['/', '/health/live', '/graphql?query={__typename}', '/nowhere'])(
    'sends %s with the headers that protect browsers, and open to no other site',
    async (path) => {
      const response = await fetch(server.url + path, {
        headers: { 'apollo-require-preflight': 'true', origin: 'https://evil.example.com' },
      });

      expect(Object.fromEntries(response.headers)).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'x-frame-options': expect.stringMatching(/SAMEORIGIN|DENY/),
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      });
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      expect(response.headers.get('x-powered-by')).toBeNull();
    },
  );

  it('grants no preflight to another site', async () => {
    const response = await fetch(`${server.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://evil.example.com',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    });

    expect(response.ok).toBe(false);
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });

  it.each([
    ['GET', '/nowhere'],
    ['GET', '/graphql/x'],
    ['POST', '/health/live'],
    ['DELETE', '/graphql'],
    ['GET', '/.env'],
  ] as const)('answers %s %s with 404 in JSON', async (method, path) => {
    const { statusCode, headers, body } = await request(server.url + path, { method });

    expect(statusCode).toBe(404);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(await body.json()).toEqual({ statusCode: 404, error: 'Not Found', message: 'There is nothing here.' });
  });

  it('refuses a body above 100 kB', async () => {
    const answer = (size: number) =>
      request(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: '{ __typename }', extensions: { padding: 'x'.repeat(size) } }),
      });

    const [small, large] = [await answer(99_000), await answer(101_000)];
    expect([small.statusCode, large.statusCode]).toEqual([200, 413]);
    await small.body.dump();
    expect(await large.body.json()).toEqual({
      errors: [
        {
          message: 'The body has more than 100000 bytes. Ask for less at a time.',
          extensions: { code: 'PAYLOAD_TOO_LARGE', limit: 'MAX_BODY_BYTES' },
        },
      ],
    });
  });

  const UPGRADE =
    'connection: Upgrade\nupgrade: websocket\nsec-websocket-version: 13\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\n';

  it.each(['evil.example.com', '127.0.0.1.example.com:4000', 'localhost.example.com'])(
    'has nothing for a page whose name, %s, was made to lead here (DNS rebinding), nor for a socket of it',
    async (host) => {
      for (const [path, more] of [
        ['/graphql?query={__typename}', 'apollo-require-preflight: 1\n'],
        ['/playground', ''],
        ['/graphql', UPGRADE],
      ]) {
        const connection = await RawConnection.open(server.url);
        connection.write(`GET ${path} HTTP/1.1\nhost: ${host}\norigin: http://${host}\n${more}\n`);

        expect(await connection.hears('\r\n\r\n'), path).toMatch(/^HTTP\/1\.1 421 /);
        connection.socket.destroy();
      }
    },
  );

  it.each(['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'])(
    'has nothing for who comes through a proxy on this machine (%s), nor a socket',
    async (header) => {
      for (const [path, more] of [
        ['/graphql?query={__typename}', 'apollo-require-preflight: 1\n'],
        ['/playground', ''],
        ['/graphql', UPGRADE],
      ]) {
        const connection = await RawConnection.open(server.url);
        connection.write(`GET ${path} HTTP/1.1\nhost: localhost\n${header}: 203.0.113.7\n${more}\n`);

        expect(await connection.hears('\r\n\r\n'), path).toMatch(/^HTTP\/1\.1 421 /);
        connection.socket.destroy();
      }
    },
  );

  it.each(['localhost', 'localhost:4000', '127.0.0.1:1', '[::1]:4000'])('answers under the name %s', async (host) => {
    const connection = await RawConnection.open(server.url);
    connection.write(`GET /health/live HTTP/1.1\nhost: ${host}\n\n`);

    expect(await connection.hears('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    connection.socket.destroy();
  });

  it('cuts off a connection that sends on and on without waiting for answers', async () => {
    const connection = await RawConnection.open(server.url);
    connection.write('GET /nowhere HTTP/1.1\nHost: localhost\n\n'.repeat(2_000));
    await connection.closes();

    expect(connection.received.split('HTTP/1.1 404').length).toBeLessThan(12);
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  });

  it('answers a request that is no HTTP with 400 and goes on', async () => {
    const connection = await RawConnection.open(server.url);
    connection.write('NONSENSE\n\n');

    expect(await connection.hears('\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    await connection.closes();
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
  });
});

describe('a client that is slow on purpose', () => {
  it('loses its connection when REQUEST_TIMEOUT_MS is over: without a word, in the headers, or in the body', async () => {
    await using slow = await startServer({ REQUEST_TIMEOUT_MS: '300' });
    const sent = [
      '',
      'GET /health/live HTTP/1.1\nhost: localhost\nx-',
      'POST /graphql HTTP/1.1\nhost: localhost\ncontent-type: application/json\ncontent-length: 9000\n\n{',
    ];
    const connections = await Promise.all(sent.map(() => RawConnection.open(slow.url)));
    for (const [index, text] of sent.entries()) connections[index]!.write(text);
    const drip = setInterval(() => connections.slice(1).forEach(({ socket }) => void socket.write('a')), 50);
    onTestFinished(() => clearInterval(drip));

    for (const connection of connections) {
      await connection.closes();
      expect(connection.received).toMatch(/^HTTP\/1\.1 408 /);
      expect(connection.received).toMatch(/^x-content-type-options: nosniff\r$/im);
    }
    expect((await fetch(`${slow.url}/health/live`)).status).toBe(200);
  });
});

it.each([
  ['no host', ''],
  ['an empty host', 'host:\n'],
  ['a host that is none', 'host: a b\n'],
  ['a port that is none', 'host: localhost:99999\n'],
])('a server with keys, which answers to any host, answers 400 to %s', async (_what, header) => {
  await using server = await startServer({ API_KEYS });
  const connection = await RawConnection.open(server.url);
  const body = '{"query":"{ __typename }"}';
  connection.write(
    `POST /graphql HTTP/1.0\n${header}authorization: Bearer ops\ncontent-type: application/json\ncontent-length: ${body.length}\n\n${body}`,
  );

  expect(await connection.hears('\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  expect(server.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
});

describe('a server that cannot listen', () => {
  it('says so in words when its port is taken, and leaves nothing behind', async () => {
    await using server = await startServer();
    const { port } = new URL(server.url);
    const settings = loadSettings({ PORT: port, DATABASE_URL: `file:${server.databasePath}-2`, LOG_LEVEL: 'silent' });

    const failure = await createApp(settings).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(StartupError);
    expect((failure as Error).message).toBe(
      `PORT: 127.0.0.1:${port} is in use by another program. Stop that one, or set PORT to another number (0: any free one).`,
    );
    // What it had opened is closed again: another may have the same database.
    await using next = await createApp(loadSettings({ ...envOf(settings), PORT: '0' }));
    expect((await fetch(`${next.url}/health/ready`)).status).toBe(200);
  });

  it('says so in words when its address is not one of this machine', async () => {
    const keys = JSON.stringify([{ name: 'x', role: 'OPS', sha256: '0'.repeat(64) }]);
    await using server = await startServer();
    const settings = loadSettings({
      HOST: '192.0.2.1',
      PORT: '0',
      API_KEYS: keys,
      DATABASE_URL: `file:${server.databasePath}-2`,
      LOG_LEVEL: 'silent',
    });

    await expect(createApp(settings)).rejects.toThrow(/^HOST: .*192\.0\.2\.1.*EADDRNOTAVAIL/);
  });

  const envOf = ({ config }: ReturnType<typeof loadSettings>) => ({
    DATABASE_URL: config.databaseUrl,
    LOG_LEVEL: config.logLevel,
  });
});

describe('a server that drains', () => {
  it('answers what it has accepted, tells that it drains, and takes nothing new', async () => {
    const server = await startServer();
    const { sandbox } = server.app.engine;
    sandbox.cxone!.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 400 } });
    // Half a request: the connection is not idle, so it outlives the beginning of the drain.
    const probe = await RawConnection.open(server.url);
    probe.write('GET /health/ready HTTP/1.1\nhost: localhost\n');
    const opening = server.graphql(OPEN, { input: inputFor() });
    await eventually(() => sandbox.cxone!.count('create') === 1);

    const stopped = server[Symbol.asyncDispose]();
    await eventually(() => isRefused(server.url));
    probe.write('\n');

    expect(await probe.hears('draining')).toMatch(/^HTTP\/1\.1 503 /);
    const { data } = await opening;
    expect(data.createGuestSession).toMatchObject({
      clientToken: expect.stringMatching(/^ctk_/),
      session: { status: 'ACTIVE' },
      userErrors: [],
    });
    await stopped;
    await probe.closes();
  });

  it('does not wait for connections on which nothing happens', async () => {
    const server = await startServer();
    const idle = await Promise.all([1, 2, 3].map(() => RawConnection.open(server.url)));
    for (const connection of idle) connection.write('GET /health/live HTTP/1.1\nhost: localhost\n\n');
    for (const connection of idle) await connection.hears('"ok"');
    const untouched = await RawConnection.open(server.url);

    const began = performance.now();
    await server[Symbol.asyncDispose]();

    expect(performance.now() - began).toBeLessThan(2_000);
    for (const connection of [...idle, untouched]) await connection.closes();
  });

  it('may be stopped more than once', async () => {
    const server = await startServer();

    await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    await server[Symbol.asyncDispose]();
    expect(await isRefused(server.url)).toBe(true);
  });

  async function isRefused(url: string): Promise<boolean> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    try {
      await once(socket, 'connect');
      return false;
    } catch {
      return true;
    } finally {
      socket.destroy();
    }
  }
});
