import { describe, expect, it } from 'vitest';
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
    for (let time = 0; time < 500; time += 1) {
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
