import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/outbound/http-client.js';

export interface RawServer {
  readonly url: string;
  readonly server: Server;
  /** How many connections were made to it so far. */
  readonly connections: () => number;
  /** How many of them are open. */
  readonly open: () => number;
  /** The requests so far. */
  readonly requests: IncomingMessage[];
}

/** A server that does what a test wants of it; gone when the test is over. */
export async function serve(listener: RequestListener): Promise<RawServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.on('error', () => undefined);
    listener(request, response);
  });
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    connections: () => connections,
    open: () => sockets.size,
    requests,
  };
}

/** An address where nobody listens. */
export async function closedUrl(): Promise<string> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Our HTTP client; its connections are gone when the test is over. */
export function httpClient(): HttpClient {
  const client = createHttpClient();
  onTestFinished(() => client[Symbol.asyncDispose]());
  return client;
}
