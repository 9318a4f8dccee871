import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createClient } from 'graphql-ws';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { inputFor } from '../support/network.js';

const SHOP = 'https://shop.example.com';
const keyOf = (name: string, role: string, rest: object = {}) => ({
  name,
  role,
  sha256: createHash('sha256').update(name).digest('hex'),
  ...rest,
});
const KEYS = [
  keyOf('guest', 'GUEST'),
  keyOf('shop', 'GUEST', { origins: [SHOP] }),
  keyOf('backend', 'BACKEND'),
  keyOf('busy', 'BACKEND'),
  keyOf('crm', 'CRM'),
  keyOf('observer', 'CRM'),
];
const QUERY = '{ __typename }';
/** Each test comes from addresses of its own. */
const addresses = Array.from({ length: 50 }, (_, index) => `127.0.0.${10 + index}`);
const newAddress = () => addresses.shift() ?? expect.unreachable('there are more addresses');

let server: Server;
beforeAll(async () => {
  server = await startServer({
    API_KEYS: JSON.stringify(KEYS),
    RATE_PER_KEY: '12',
    RATE_PER_ADDRESS: '6',
    CREATE_RATE_PER_ADDRESS: '3',
    CREATE_RATE_PER_FINGERPRINT: '4',
  });
});
afterAll(() => server[Symbol.asyncDispose]());

interface Asked {
  readonly key?: string;
  readonly from: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

async function ask({ key, from, body = JSON.stringify({ query: QUERY }), headers }: Asked) {
  const dispatcher = new Agent({ localAddress: from });
  onTestFinished(() => dispatcher.close());
  const answer = await request(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }), ...headers },
    body,
    dispatcher,
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  return { status: answer.statusCode, headers: answer.headers, answer: (await answer.body.json()) as any };
}

async function statuses(count: number, asked: Asked): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i += 1) all.push((await ask(asked)).status);
  return all;
}

/** So many sessions in one request. */
const openMany = (count: number, from: string, key: string, fingerprint: string) => {
  const open =
    'createGuestSession(input: $i) { requestId clientToken userErrors { code message field stage retryable retryAfterSeconds } }';
  const fields = Array.from({ length: count }, (_, index) => `a${index}: ${open}`).join(' ');
  const query = `mutation ($i: CreateGuestSessionInput!) { ${fields} }`;
  const input = { ...inputFor(randomUUID()), deviceFingerprint: fingerprint };
  return ask({ key, from, body: JSON.stringify({ query, variables: { i: input } }) });
};

/** What the books have, without asking the server. */
function rows<Row>(sql: string): Row[] {
  const books = new SqliteConnection(server.databasePath, { readOnly: true });
  try {
    return books.all<Row>(sql);
  } finally {
    books.close();
  }
}

/** A caller was told to slow down, which is in the trail once. */
const isAudited = (actor: string, setting: string) =>
  eventually(() => {
    const reason = `more in a minute than ${setting}`;
    const found = rows<{ actor: string; reason: string }>(
      `SELECT "actor", "reason" FROM "AuditEntry" WHERE "kind" = 'ACCESS_REFUSED' AND "actor" = '${actor}'`,
    ).filter((entry) => entry.reason === reason);
    return found.length === 1;
  });

const SECONDS = /^([1-9]|[1-5]\d|60)$/;
const tooMany = { code: 'TOO_MANY_REQUESTS', retryAfterSeconds: expect.toSatisfy((s) => SECONDS.test(String(s))) };

describe('over HTTP', () => {
  it('a flood of requests without a good key is answered 429, with when to come again, and a good key still gets in', async () => {
    const from = newAddress();
    expect(await statuses(4, { from })).toEqual([401, 401, 401, 401]);
    expect(await statuses(2, { from, body: '{' })).toEqual([400, 400]);

    for (const body of [undefined, '{']) {
      const { status, headers, answer } = await ask({ from, ...(body && { body }) });
      expect([status, headers['content-type']]).toEqual([429, expect.stringContaining('application/json')]);
      expect(headers['retry-after']).toMatch(SECONDS);
      const seconds = Number(headers['retry-after']);
      expect(answer).toEqual({
        errors: [
          {
            message: `Too many requests. Try again in ${seconds} s.`,
            extensions: { code: 'TOO_MANY_REQUESTS', retryAfterSeconds: seconds },
          },
        ],
      });
    }
    expect(await statuses(1, { from, key: 'guest' })).toEqual([429]);
    expect(await statuses(1, { from, key: 'backend' })).toEqual([200]);
    expect(await statuses(1, { from: newAddress() })).toEqual([401]);
  });

  it('what is not there, or cannot be asked for, counts as well; who is over has its connection closed', async () => {
    const from = newAddress();
    const dispatcher = new Agent({ localAddress: from });
    onTestFinished(() => dispatcher.close());
    const get = async (path: string) => {
      const { statusCode, headers, body } = await request(server.url + path, { dispatcher });
      await body.dump();
      return [statusCode, headers.connection, headers['retry-after'] !== undefined];
    };
    for (const [path, status] of [
      ['/x', 404],
      ['/%zz', 400],
      ['/graphql/x', 404],
      ['/y', 404],
    ] as const)
      expect(await get(path)).toEqual([status, 'keep-alive', false]);
    expect(await statuses(2, { from })).toEqual([401, 401]);

    for (const path of ['/x', '/%zz']) expect(await get(path)).toEqual([429, 'close', true]);
    expect((await ask({ from })).headers.connection).toBe('close');
    expect(await get('/health/live')).toEqual([200, 'keep-alive', false]);
  });

  it('the answer is of the media type of GraphQL over HTTP for who asks for that', async () => {
    const from = newAddress();
    await statuses(6, { from });
    const accept = 'application/graphql-response+json';
    const { status, headers } = await ask({ from, headers: { accept } });

    expect([status, headers['content-type']]).toEqual([429, expect.stringContaining(accept)]);
  });

  it('a page whose visitor asks too often may read when to come again; others and preflights go through', async () => {
    const [from, origin] = [newAddress(), SHOP];
    expect(await statuses(7, { from, key: 'shop', headers: { origin } })).toEqual([200, 200, 200, 200, 200, 200, 429]);
    const { headers } = await ask({ from, key: 'shop', headers: { origin } });
    expect(headers).toMatchObject({
      'access-control-allow-origin': SHOP,
      'access-control-expose-headers': 'retry-after',
      'retry-after': expect.stringMatching(SECONDS),
    });

    const dispatcher = new Agent({ localAddress: from });
    onTestFinished(() => dispatcher.close());
    const asks = {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
      dispatcher,
    } as const;
    expect((await request(`${server.url}/graphql`, asks)).statusCode).toBe(204);
    expect((await request(`${server.url}/health/ready`, { dispatcher })).statusCode).toBe(200);
    expect(await statuses(1, { from: newAddress(), key: 'shop', headers: { origin } })).toEqual([200]);
    await isAudited('shop', 'RATE_PER_ADDRESS');
  });

  it('a key is counted from all addresses together', async () => {
    expect(await statuses(8, { from: newAddress(), key: 'busy' })).toEqual(Array(8).fill(200));
    expect(await statuses(5, { from: newAddress(), key: 'busy' })).toEqual([200, 200, 200, 200, 429]);

    await isAudited('busy', 'RATE_PER_KEY');
  });
});

describe('createGuestSession', () => {
  it('is counted for each session of a request: those that are too many take nothing from the others, and are no attempts', async () => {
    const { status, answer } = await openMany(5, newAddress(), 'guest', inputFor().deviceFingerprint);
    const payloads = Object.values(answer.data) as { requestId: string; clientToken: string; userErrors: object[] }[];

    expect(status).toBe(200);
    expect(payloads.slice(0, 3).map(({ clientToken, userErrors }) => [clientToken, userErrors])).toEqual(
      Array(3).fill([expect.stringMatching(/^ctk_/), []]),
    );
    for (const refused of payloads.slice(3)) {
      expect(refused).toEqual({
        requestId: expect.any(String),
        clientToken: null,
        userErrors: [
          {
            code: 'RATE_LIMITED',
            message: 'Too many sessions are asked for by this device, or from this address. Try again later.',
            field: null,
            stage: 'VALIDATE',
            retryable: true,
            retryAfterSeconds: tooMany.retryAfterSeconds,
          },
        ],
      });
    }
    await isAudited('guest', 'CREATE_RATE_PER_ADDRESS');
    const known = rows<{ requestId: string }>(`SELECT "requestId" FROM "AuditEntry"`).map(({ requestId }) => requestId);
    expect(payloads.map(({ requestId }) => known.includes(requestId))).toEqual([true, true, true, false, false]);
    const events = rows<{ requestId: string }>(`SELECT "requestId" FROM "SessionEvent"`);
    expect(events.filter(({ requestId }) => requestId === payloads[4]!.requestId)).toEqual([]);
  });

  it('is not counted for a send of the same intent again, nor for an input that is not valid', async () => {
    const from = newAddress();
    /** Asks for these in one request; what each has come to. */
    const openEach = async (...inputs: object[]) => {
      const given = inputs.map((_input, n) => `$i${n}: CreateGuestSessionInput!`).join(' ');
      const fields = inputs.map(
        (_input, n) => `a${n}: createGuestSession(input: $i${n}) { clientToken userErrors { code } }`,
      );
      const query = `mutation (${given}) { ${fields.join(' ')} }`;
      const variables = Object.fromEntries(inputs.map((input, n) => [`i${n}`, input]));
      const { answer } = await ask({ from, key: 'guest', body: JSON.stringify({ query, variables }) });
      const payloads = Object.values(answer.data) as { clientToken: string | null; userErrors: { code: string }[] }[];
      return payloads.map(({ clientToken, userErrors: [error] }) => (clientToken ? 'a token' : error?.code));
    };
    const inputOf = (guestId?: string) => ({ ...inputFor(guestId), deviceFingerprint: 'a patient device' });
    const intent = { ...inputOf(), idempotencyKey: randomUUID() };
    const thrice = () => openEach(intent, intent, intent);

    expect((await Promise.all([thrice(), thrice(), thrice()])).flat()).toEqual(Array(9).fill('a token'));
    expect(await openEach(...Array.from({ length: 5 }, () => inputOf('nobody')))).toEqual(
      Array(5).fill('INVALID_INPUT'),
    );
    expect(await openEach(inputOf(), inputOf(), inputOf())).toEqual(['a token', 'a token', 'RATE_LIMITED']);
  });

  it('is counted by device', async () => {
    const codesOf = async (count: number, fingerprint: string) => {
      const { answer } = await openMany(count, newAddress(), 'backend', fingerprint);
      const payloads = Object.values(answer.data) as { userErrors: { code: string }[] }[];
      return payloads.map(({ userErrors: [error] }) => error?.code === 'RATE_LIMITED');
    };

    expect(await codesOf(3, 'one device')).toEqual([false, false, false]);
    expect(await codesOf(2, 'one device')).toEqual([false, true]);
    expect(await codesOf(1, 'another device')).toEqual([false]);
    await isAudited('backend', 'CREATE_RATE_PER_FINGERPRINT');
  });
});

describe('over a socket', () => {
  it('connecting and each subscription are counted, and pings are not', async () => {
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const connectionParams = { authorization: 'Bearer crm' };
    const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams, keepAlive: 10 });
    let pongs = 0;
    client.on('pong', () => {
      pongs += 1;
    });
    onTestFinished(async () => client.dispose());
    const refusals: unknown[] = [];
    const subscribe = () =>
      client.subscribe(
        { query: 'subscription { sessionEvents { type } }' },
        { next: () => undefined, complete: () => undefined, error: (error) => refusals.push(error) },
      );
    for (let i = 0; i < 11; i += 1) subscribe();
    await eventually(() => pongs > 20);
    expect(refusals).toEqual([]);

    subscribe();
    await eventually(() => refusals.length > 0);
    expect(refusals).toEqual([[{ message: expect.stringMatching(/^Too many requests\. /), extensions: tooMany }]]);
    const another = await openWithKey(server.url, 'crm');
    expect(await another.closes()).toBe(4429);
    await isAudited('crm', 'RATE_PER_KEY');
  });

  it('whoever has no good key is closed with 4403, and with 4429 when that is too often', async () => {
    const from = newAddress();
    const codeOf = async () => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
        localAddress: from,
      });
      onTestFinished(() => socket.terminate());
      socket.on('open', () => socket.send('{"type":"connection_init"}'));
      let code: number | null = null;
      socket.on('close', (given) => {
        code = given;
      });
      return eventually(() => code);
    };

    await statuses(5, { from });
    expect([await codeOf(), await codeOf()]).toEqual([4403, 4429]);
  });

  it('those that nobody with a good key comes by are counted too, and refused at the upgrade; who has one is not counted', async () => {
    const from = newAddress();
    const open = async (path = '/graphql') => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}${path}`, 'graphql-transport-ws', {
        localAddress: from,
      });
      onTestFinished(() => socket.terminate());
      socket.on('error', () => undefined);
      return new Promise<WebSocket | IncomingMessage>((resolve) => {
        socket.on('open', () => resolve(socket));
        socket.on('unexpected-response', (_request, response) => resolve(response));
      });
    };
    const close = async (socket: WebSocket) => {
      socket.close();
      await once(socket, 'close');
    };
    const known = (await open()) as WebSocket;
    known.send(JSON.stringify({ type: 'connection_init', payload: { authorization: 'Bearer observer' } }));
    await once(known, 'message');
    await close(known);
    for (let count = 0; count < 50; count += 1) await close((await open()) as WebSocket);
    for (let count = 0; count < 10; count += 1) expect(await open('/elsewhere')).toMatchObject({ statusCode: 404 });

    const { statusCode, headers } = await eventually(async () => {
      const answer = await open();
      return answer instanceof WebSocket ? close(answer) : answer;
    }).then((answer) => answer as IncomingMessage);
    expect(statusCode).toBe(429);
    expect(headers['retry-after']).toMatch(SECONDS);
    const reason = 'too many sockets without a good key in a minute, by RATE_PER_ADDRESS';
    await eventually(() => rows(`SELECT 1 FROM "AuditEntry" WHERE "reason" = '${reason}'`).length === 1);
    expect((await openWithKey(server.url, 'observer')).isAcknowledged).toBe(true); // from another address
  });
});
