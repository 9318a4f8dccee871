import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../support/eventually.js';
import { API_KEYS, bearer, RawConnection, type Server, startServer } from './server.js';

const MARK = 'canary4711';
/** What only a bug or a framework would say: a stack, a path of the server, the name of a library. */
const INTERNALS = /(?:\n|\\n) +at |node_modules|\.[jt]s:\d|file:|FST_|prisma|sqlite|undici|axios/i;

let server: Server;
beforeAll(async () => {
  server = await startServer({ API_KEYS });
});
afterAll(() => server[Symbol.asyncDispose]());

async function ask(head: string, headers: object = {}, body = ''): Promise<string> {
  const connection = await RawConnection.open(server.url);
  const all = { host: 'localhost', connection: 'close', ...(body && { 'content-length': body.length }), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  connection.write(`${[`${head} HTTP/1.1`, ...lines].join('\n')}\n\n`);
  connection.socket.write(body);
  await connection.closes();
  return connection.received;
}

const json = { 'content-type': 'application/json', ...bearer('OPS') };
const graphql = (query: string, variables: object = {}) => JSON.stringify({ query, variables });

const create = 'mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { requestId } }';
const whole = { guestId: MARK, deviceFingerprint: MARK, ipMetadata: {} };

describe('an answer to what is wrong tells neither what was sent nor what we are made of', () => {
  it.each<[what: string, status: number, ask: () => Promise<string>]>([
    ['a path that is not there', 404, () => ask(`GET /nowhere/${MARK}?key=${MARK}`)],
    ['a path below one that is', 404, () => ask(`POST /graphql/${MARK}`, json, '{}')],
    ['a method that it does not take', 404, () => ask(`PUT /graphql?key=${MARK}`)],
    ['a path that cannot be decoded', 400, () => ask(`GET /%zz${MARK}`)],
    ['a target that is no path', 400, () => ask(`GET http://[${MARK}/`)],
    ['a body that is no JSON', 400, () => ask('POST /graphql', json, `{"query":"${MARK}`)],
    ['a body that would poison prototypes', 400, () => ask('POST /graphql', json, `{"__proto__":{"x":"${MARK}"}}`)],
    ['no body', 400, () => ask('POST /graphql', { ...json, 'content-length': 0 })],
    ['a body of another type', 415, () => ask('POST /graphql', { ...json, 'content-type': `text/${MARK}` }, 'x')],
    ['a body that is too long', 413, () => ask('POST /graphql', { ...json, 'content-length': 200_000 })],
    ['a list of requests', 400, () => ask('POST /graphql', json, `[${graphql(`{ ${MARK} }`)}]`)],
    ['a request without a query', 400, () => ask('POST /graphql', json, `{"${MARK}":"${MARK}"}`)],
    ['variables that are no object', 400, () => ask('POST /graphql', json, `{"query":"{a}","variables":"${MARK}"}`)],
    ['a header that is too long', 431, () => ask('GET /', { 'x-long': MARK.repeat(2_000) })],
    ['a header that is none', 400, () => ask(`GET /\n${MARK}`)],
    ['no HTTP', 400, () => ask(`${MARK} ${MARK}`)],
    ['a wrong key', 401, () => ask('POST /graphql', { ...json, authorization: `Bearer ${MARK}` }, graphql('{a}'))],
    ['a key of another scheme', 401, () => ask('POST /graphql', { ...json, authorization: MARK }, graphql('{a}'))],
    ['a query over GET without a preflight', 400, () => ask(`GET /graphql?query={${MARK}}`, bearer('OPS'))],
  ])('%s', async (_, status, answered) => {
    const answer = await answered();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).not.toContain(MARK);
    expect(answer).not.toMatch(INTERNALS);
  });

  it.each<[what: string, query: string, variables: object]>([
    ['an input that lacks a field', create, { input: { deviceFingerprint: MARK, idempotencyKey: MARK } }],
    ['an input with a field too many', create, { input: { ...whole, more: MARK } }],
    ['a fingerprint that is no text', create, { input: { ...whole, deviceFingerprint: { value: MARK } } }],
    ['a list for a text', create, { input: { ...whole, idempotencyKey: [MARK, MARK] } }],
    ['a value that an enum does not have', create, { input: { ...whole, priority: MARK } }],
    [
      'a literal of another type',
      'mutation { createGuestSession(input: { deviceFingerprint: ["canary4711"] }) { requestId } }',
      {},
    ],
    [
      'a literal for a field that is not there',
      'mutation { createGuestSession(input: { x: "canary4711" }) { requestId } }',
      {},
    ],
    ['a text where none may stand', 'mutation { createGuestSession("canary4711") { requestId } }', {}],
    ['a text without an end', '{ session(id: "canary4711', {}],
    ['a date that is none', `{ metrics(from: "${MARK}", to: "${MARK}") { totalRequests } }`, {}],
    ['a cursor that is none', `{ sessions(after: "${MARK}") { nodes { id } } }`, {}],
  ])('%s', async (_, query, variables) => {
    const answer = await ask('POST /graphql', json, graphql(query, variables));
    expect(answer).toMatch(/"errors":\[\{"message":".{10,}/);
    expect(answer).not.toContain(MARK);
    expect(answer).not.toMatch(INTERNALS);
  });
});

const init = { type: 'connection_init', payload: bearer('OPS') };

/** How a socket ends on which these messages are sent, and what it heard. */
async function closeOf(...messages: readonly (object | string)[]) {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  let heard = '';
  socket.on('message', (data) => {
    heard += data;
  });
  await once(socket, 'open');
  for (const message of messages) {
    socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    if (message === init) await eventually(() => heard.includes('connection_ack'));
  }
  const [code, reason] = await once(socket, 'close');
  return { code, said: `${heard} ${reason}` };
}

describe('a socket is closed without a word of what was sent', () => {
  const twice = {
    id: MARK.repeat(30).slice(0, 255),
    type: 'subscribe',
    payload: { query: 'subscription { sessionEvents { id } }' },
  };

  it.each<[what: string, code: number, messages: (object | string)[]]>([
    ['for a wrong key', 4403, [{ type: 'connection_init', payload: { authorization: `Bearer ${MARK}` } }]],
    ['for what is no JSON', 4400, [init, MARK]],
    ['for what is no message', 4400, [init, { type: MARK }]],
    ['for a subscription without a key', 4401, [twice]],
    ['for two subscriptions of the same name', 4409, [init, twice, twice]],
    ['for the name of a subscription that is too long', 4400, [init, { ...twice, id: MARK.repeat(30) }]],
  ])('%s', async (_, code, messages) => {
    const closed = await closeOf(...messages);
    expect(closed.code).toBe(code);
    expect(closed.said).not.toContain(MARK);
    expect(closed.said).not.toMatch(INTERNALS);
    expect(server.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });
});
