import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const WATCH = 'subscription { sessionEvents { cursor } }';

describe('the id of a subscription', () => {
  it('may be used again as soon as the client has ended the one before', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    for (let time = 0; time < 5; time += 1) {
      socket.subscribe(WATCH, {}, 'same');
      socket.send({ type: 'complete', id: 'same' });
    }
    socket.subscribe(WATCH, {}, 'same');
    await eventually(() => server.stream.followerCount === 1);
    server.commit(3);

    await eventually(() => socket.heard('same').length >= 3);
    expect(socket.heard()).toEqual([1, 2, 3]);
    socket.send({ type: 'complete', id: 'same' });
    await eventually(() => server.stream.followerCount === 0);
  });

  it('counts each time: what a client ends before it has begun does not go on beside the others', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    for (let time = 0; time < 100; time += 1) {
      socket.subscribe(WATCH, {}, 'same');
      socket.send({ type: 'complete', id: 'same' });
    }
    socket.send({ type: 'ping' });
    await socket.receives('pong');

    await eventually(() => server.stream.followerCount === 0);
    server.commit(1);
    socket.subscribe(WATCH, {}, 'last');
    await eventually(() => server.stream.followerCount === 1);
    server.commit(1);
    await eventually(() => socket.heard('last').length === 1);
    expect(socket.heard()).toEqual([2]);
  });

  it('may have 255 characters, because every event repeats it: with more the socket is closed with 4400', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    socket.subscribe(WATCH, {}, 'x'.repeat(255));
    await eventually(() => server.stream.followerCount === 1);
    socket.subscribe(WATCH, {}, 'x'.repeat(256));

    expect(await socket.closes()).toEqual({ code: 4400, reason: 'Invalid message received' });
    expect(server.logged).toEqual([]);
  });

  it.each(['short', 'x'.repeat(255)])('may not be that of another: the socket is closed with 4409', async (id) => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    for (let time = 0; time < 2; time += 1) socket.subscribe(WATCH, {}, id);

    expect(await socket.closes()).toEqual({ code: 4409, reason: 'Subscriber already exists' });
    expect(server.logged).toEqual([]);
  });
});

describe('a message that no client should send', () => {
  const NESTED = `${'['.repeat(15_000)}${']'.repeat(15_000)}`;

  it.each([
    'nonsense',
    '{"type":"connection_ack"}',
    '{"type":"next","id":"1","payload":{}}',
    '{"type":"error","id":"1","payload":[]}',
    '{"type":"other"}',
  ])('closes the socket with 4400, and is nothing to log: %s', async (text) => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    socket.sendText(text);

    expect(await socket.closes()).toEqual({ code: 4400, reason: 'Invalid message received' });
    expect(server.logged).toEqual([]);
  });

  it('is answered without what it carries where that is much: nobody could write what is nested that deep', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    socket.send({ type: 'ping', payload: { at: 1 } });
    expect(await socket.receives('pong')).toEqual({ type: 'pong', payload: { at: 1 } });

    socket.messages.length = 0;
    socket.sendText(`{"type":"ping","payload":{"x":${NESTED}}}`);
    expect(await socket.receives('pong')).toEqual({ type: 'pong' });
    expect(server.logged).toEqual([]);
  });

  it('is refused where variables are nested that deep', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    const query = 'subscription ($x: String) { sessionEvents(guestId: $x) { cursor } }';
    socket.sendText(`{"type":"subscribe","id":"1","payload":{"query":"${query}","variables":{"x":${NESTED}}}}`);

    expect(await socket.receives('error')).toMatchObject({ payload: [{ message: expect.stringContaining('"$x"') }] });
    expect(server.logged).toEqual([]);
  });
});

describe('a flood of small messages', () => {
  const TOO_MANY = { code: 4429, reason: 'Too many messages' };

  /** Who does not say who it is. */
  async function stranger(url: string) {
    const socket = new WebSocket(url, 'graphql-transport-ws');
    onTestFinished(() => socket.terminate());
    const heard: string[] = [];
    socket.on('message', (data) => heard.push(String(data)));
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    );
    await once(socket, 'open');
    return { socket, heard, closed };
  }

  it.each([
    ['messages', (socket: WebSocket) => socket.send('{"type":"ping"}')],
    ['pings', (socket: WebSocket) => socket.ping()],
    ['pongs', (socket: WebSocket) => socket.pong()],
  ])('of a stranger, as %s, closes the socket with 4429', async (_what, send) => {
    const server = await startStreamServer();
    const { socket, heard, closed } = await stranger(server.url);
    for (let time = 0; time < 11; time += 1) send(socket);

    expect(await closed).toEqual(TOO_MANY);
    expect(heard.length).toBeLessThanOrEqual(10);
    await eventually(async () => (await server.connections()) === 0);
  });

  it('is not read on, whether the client was to go for that or for another reason', async () => {
    const server = await startStreamServer();
    const rude = await stranger(server.url);
    rude.socket.send('nonsense');
    for (let time = 0; time < 20_000; time += 1) rude.socket.send('x'.repeat(500));
    expect(await rude.closed).toMatchObject({ code: 4400 });
    expect(server.bytesRead()).toBeLessThan(1_000_000);
  });

  it('closes the socket of a client that is known, too, which may send more', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    for (let time = 0; time < 250; time += 1) socket.send({ type: 'pong' });
    socket.send({ type: 'ping' });
    await socket.receives('pong');
    expect(socket.isOpen).toBe(true);
    for (let time = 0; time < 400; time += 1) socket.send({ type: 'pong' });

    expect(await socket.closes()).toEqual(TOO_MANY);
  });
});
