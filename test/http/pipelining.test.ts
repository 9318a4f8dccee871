import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { cutPipelines } from '../../src/http/pipelining.js';
import { RawConnection } from './server.js';

/** A server that answers in a moment, and counts what it is asked. */
async function start() {
  let asked = 0;
  const http = createServer(
    cutPipelines((request, response) => {
      asked += 1;
      if (request.method === 'POST') request.resume().once('end', () => response.end('taken'));
      else setImmediate(() => response.end(`answer to ${request.url}.`));
    }),
  );
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(() => void http.close());
  const connection = await RawConnection.open(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  onTestFinished(() => void connection.socket.destroy());
  return { connection, asked: () => asked };
}

const request = (path: string | number) => `GET /${path} HTTP/1.1\nHost: localhost\n\n`;

it('answers a few requests that come before the answers to others, in their order', async () => {
  const { connection } = await start();
  for (let round = 0; round < 3; round += 1) {
    connection.received = '';
    connection.write(Array.from({ length: 10 }, (_, index) => request(index)).join(''));
    const heard = await connection.hears('answer to /9.');
    expect(heard.match(/answer to \/\d/g)).toEqual(Array.from({ length: 10 }, (_, index) => `answer to /${index}`));
  }
});

it('cuts off who sends thousands, having begun a few', async () => {
  const { connection, asked } = await start();
  connection.write(request('x').repeat(5_000));
  await connection.closes();
  expect(asked()).toBe(10);
  expect(connection.received).toBe('');
});

it('cuts off who sends thousands that are answered as they are read', async () => {
  const { connection, asked } = await start();
  connection.write('POST / HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}'.repeat(5_000));
  await connection.closes();
  expect(asked()).toBe(10);
});

it('goes on with a connection for ever that waits for its answers', async () => {
  const { connection, asked } = await start();
  for (let count = 0; count < 200; count += 1) {
    connection.write(request(count));
    await connection.hears(`answer to /${count}.`);
  }
  expect(asked()).toBe(200);
});
