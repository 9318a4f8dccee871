import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Admitted } from '../../src/access/gate.js';
import { tooManyRequests, unauthenticated, unavailable } from '../../src/graphql/error-format.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const ALICE: Admitted = { name: 'jwt:alice', role: 'CRM', sourceAddress: null };

/** A server that lets sockets in when the test says so, and how many it holds. */
async function start() {
  const waiting: { letIn(caller: Admitted): void; refuse(error: Error): void }[] = [];
  let held = 0;
  const server = await startStreamServer({
    authenticate: () => new Promise((letIn, refuse) => waiting.push({ letIn, refuse })),
    hold: () => {
      held += 1;
      return () => {
        held -= 1;
      };
    },
  });
  const socket = new WebSocket(server.url, 'graphql-transport-ws');
  onTestFinished(() => socket.terminate());
  const codes: number[] = [];
  socket.on('close', (code) => codes.push(code));
  const messages: string[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data)).type));
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  const { letIn, refuse } = await eventually(() => waiting[0]);
  return { server, socket, letIn, refuse, codes, messages, held: () => held };
}

it('a socket whose caller takes a while to be known is let in then, and held until it goes', async () => {
  const { socket, letIn, messages, held } = await start();
  expect([messages, held()]).toEqual([[], 0]);
  letIn(ALICE);
  await eventually(() => messages[0] === 'connection_ack');

  expect(held()).toBe(1);
  socket.terminate();
  await eventually(() => held() === 0);
});

it('a socket that goes before its caller is known is not held: nobody would let go of it', async () => {
  const { server, socket, letIn, held } = await start();
  socket.terminate();
  await eventually(async () => (await server.connections()) === 0);
  letIn(ALICE);
  await new Promise(setImmediate);

  expect(held()).toBe(0);
});

it('a socket that subscribes before its caller is known is closed, and not held', async () => {
  const { server, socket, letIn, codes, held } = await start();
  const payload = { query: 'subscription { sessionEvents { type } }' };
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
  await eventually(() => codes[0] === 4401);
  letIn(ALICE);
  await new Promise(setImmediate);

  expect([held(), server.stream.followerCount]).toEqual([0, 0]);
});

it.each([
  ['4403 when that is nobody', 4403, unauthenticated('no')],
  ['4429 when it comes too often', 4429, tooManyRequests(7, 'HTTP')],
  ['1013 when nobody can tell, which clients take for a reason to come again', 1013, unavailable('not now')],
])('a socket is closed with %s', async (_what, code, error) => {
  const { server, refuse, codes, held } = await start();
  refuse(error);
  await eventually(() => codes[0]);

  expect([codes, held(), server.logged]).toEqual([[code], 0, []]);
});

it('a socket is closed with 4500 for a bug of ours that keeps it from being let in, and the log has it', async () => {
  const { server, refuse, codes, held } = await start();
  refuse(new TypeError('a bug in the gate'));
  await eventually(() => codes[0]);

  expect([codes, held(), server.logged]).toEqual([[4500], 0, ['TypeError: a bug in the gate']]);
});

describe('what the subscriptions of a socket hold', () => {
  const WATCH = 'subscription { sessionEvents { cursor } }';
  const refusal = (most: number) => ({
    type: 'error',
    id: 'last',
    payload: [
      {
        message: expect.stringContaining(`may have ${most} characters in all`),
        extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 'MAX_SUBSCRIPTIONS_PER_SOCKET' },
      },
    ],
  });

  it.each([
    ['comments', { query: `${WATCH} # ${'x'.repeat(15_000)}` }],
    ['variables', { query: WATCH, variables: { none: Array(5_000).fill({}) } }],
    ['extensions', { query: WATCH, extensions: { none: Array(5_000).fill({}) } }],
  ])('is 32,000 characters at most, also in %s: nobody keeps more, until some is ended', async (_what, payload) => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    const subscribe = (id: string) => socket.send({ type: 'subscribe', id, payload });
    for (const id of ['first', 'second', 'last']) subscribe(id);

    expect(await socket.receives('error')).toEqual(refusal(32_000));
    expect(server.stream.followerCount).toBe(2);
    socket.send({ type: 'complete', id: 'first' });
    await eventually(() => server.stream.followerCount === 1);
    subscribe('last');
    await eventually(() => server.stream.followerCount === 2);
    expect(socket.messages.filter(({ type }) => type === 'error')).toHaveLength(1);
  });

  it('is more where a socket may have more of them', async () => {
    const server = await startStreamServer({ settings: { MAX_SUBSCRIPTIONS_PER_SOCKET: '30' } });
    const socket = await server.subscriber();
    socket.subscribe(`${WATCH} # ${'x'.repeat(45_000)}`);
    await eventually(() => server.stream.followerCount === 1);
    socket.subscribe(`${WATCH} # ${'x'.repeat(5_000)}`, {}, 'last');

    expect(await socket.receives('error')).toEqual(refusal(48_000));
  });
});
