import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SubscriptionSocket } from '../../src/graphql/subscription-socket.js';

/** A WebSocket that is full, and whose pong comes from a real socket. */
async function fullSocket({ isPinged = true } = {}) {
  const listening = createServer().listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const client = connect((listening.address() as AddressInfo).port, '127.0.0.1');
  const [server] = (await once(listening, 'connection')) as [Socket];
  const closed: number[] = [];
  const webSocket = Object.assign(new EventEmitter(), {
    bufferedAmount: 1_000_000,
    readyState: WebSocket.OPEN,
    close: (code: number) => closed.push(code),
    ping: () => undefined,
    send: () => undefined,
  });
  server.on('data', () => webSocket.emit('pong'));
  const tcp = new Duplex({ read() {}, write() {} });
  const socket = new SubscriptionSocket(webSocket as unknown as WebSocket, tcp);
  onTestFinished(() => {
    webSocket.emit('close');
    client.destroy();
    server.destroy();
    listening.close();
  });
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  if (isPinged) socket.write(' '.repeat(32 * 1024));
  socket.isFull();
  clock.mockImplementation(() => now() + 2_001); // longer than one may take nothing
  return { socket, client, closed };
}

const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

it('closes one that has taken nothing for long', async () => {
  const { socket, closed } = await fullSocket();
  socket.accuse();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(closed).toEqual([4429]);
});

it('hears one out whose sign has come while the process itself stood still', async () => {
  const { socket, client, closed } = await fullSocket();
  await new Promise(setImmediate);
  client.write('pong');
  socket.accuse();
  standStill(20);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(closed).toEqual([]);
});

it('does not take a pong that nobody has asked for as a sign that something was taken', async () => {
  const { socket, client, closed } = await fullSocket({ isPinged: false });
  const unasked = new Promise<void>((resolve) => {
    socket.onUnaskedPong = resolve;
  });
  client.write('pong');
  await unasked;
  socket.accuse();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(closed).toEqual([4429]);
});
