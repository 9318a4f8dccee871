import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Client, type ClientOptions, createClient } from 'graphql-ws';
import { onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';

/** What a client has asked for, and where. */
export interface Subscription {
  readonly id: string;
  readonly query: string;
  readonly variables: { readonly after?: string; readonly types?: string[]; readonly guestId?: string };
  readonly socket: WebSocket;
  /** `performance.now()` of its arrival. */
  readonly atMs: number;
  isLive: boolean;
}

type Message = { type: string; id: string; payload: Pick<Subscription, 'query' | 'variables'> };

/**
 * A server that speaks graphql-transport-ws, and does to its subscribers what ours does when something is wrong. Its log has
 * events whose cursors are the numbers from 1.
 */
export class EventServer {
  readonly url: string;
  readonly subscriptions: Subscription[] = [];
  connections = 0;
  pongs = 0;
  /** What to answer to a subscription: by default what is in the log after its cursor, and then what comes. */
  onSubscribe = (subscription: Subscription): void => this.follow(subscription);
  /** The payload of the next acks. */
  ack: object | undefined;
  head = 0;
  readonly #sockets: WebSocketServer;

  private constructor(sockets: WebSocketServer) {
    this.#sockets = sockets;
    this.url = `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`;
    sockets.on('connection', (socket) => this.#serve(socket));
  }

  /** Starts a server that is gone when the test is over. */
  static async start(): Promise<EventServer> {
    const sockets = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      handleProtocols: () => 'graphql-transport-ws',
    });
    await once(sockets, 'listening');
    const server = new EventServer(sockets);
    onTestFinished(() => server.stop());
    return server;
  }

  /** A client that connects again at once, as often as it takes. */
  client(options: Partial<ClientOptions> = {}): Client {
    const client = createClient({
      url: this.url,
      webSocketImpl: WebSocket,
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => true,
      retryWait: () => new Promise(setImmediate),
      ...options,
    });
    onTestFinished(() => client.dispose());
    return client;
  }

  get live(): Subscription[] {
    return this.subscriptions.filter(({ isLive }) => isLive);
  }

  get openSockets(): number {
    return this.#sockets.clients.size;
  }

  /** Adds events to the log, and gives them to who is there. */
  append(count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.head += 1;
      for (const subscription of this.live) this.send(subscription, this.head);
    }
  }

  follow(subscription: Subscription): void {
    for (let n = Number(subscription.variables.after ?? this.head) + 1; n <= this.head; n += 1)
      this.send(subscription, n);
  }

  send({ id, socket }: Subscription, number: number): void {
    const payload = { data: { sessionEvents: { cursor: `${number}`, id: `event-${number}` } } };
    socket.send(JSON.stringify({ id, type: 'next', payload }));
  }

  /** Says on every connection that all up to this event has been sent. */
  mark(number: number): void {
    const ping = JSON.stringify({ type: 'ping', payload: { eventCursor: `${number}` } });
    for (const socket of this.#sockets.clients) socket.send(ping);
  }

  refuse(subscription: Subscription, code: string): void {
    subscription.isLive = false;
    const payload = [{ message: `refused: ${code}`, extensions: { code } }];
    subscription.socket.send(JSON.stringify({ id: subscription.id, type: 'error', payload }));
  }

  complete(subscription: Subscription): void {
    subscription.isLive = false;
    subscription.socket.send(JSON.stringify({ id: subscription.id, type: 'complete' }));
  }

  close(code: number, reason: string): void {
    for (const socket of this.#sockets.clients) socket.close(code, reason);
  }

  /** Cuts every connection, without a word. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#sockets.close(resolve));
  }

  #serve(socket: WebSocket): void {
    this.connections += 1;
    const own = new Map<string, Subscription>();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const subscription of own.values()) subscription.isLive = false;
    });
    socket.on('message', (data) => {
      const { type, id, payload } = JSON.parse(String(data)) as Message;
      if (type === 'connection_init') socket.send(JSON.stringify({ type: 'connection_ack', payload: this.ack }));
      if (type === 'pong') this.pongs += 1;
      if (type === 'complete') own.get(id)!.isLive = false;
      if (type !== 'subscribe') return;
      const subscription = { id, ...payload, socket, atMs: performance.now(), isLive: true };
      own.set(id, subscription);
      this.subscriptions.push(subscription);
      this.onSubscribe(subscription);
    });
  }
}
