import 'reflect-metadata';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Role } from '../../src/access-settings.js';
import { loadSettings } from '../../src/config.js';
import type { Services } from '../../src/graphql/context.js';
import { eventCursor } from '../../src/graphql/relay.js';
import { buildGraphqlSchema } from '../../src/graphql/schema.js';
import { attachSubscriptions, type SubscriptionServerOptions } from '../../src/graphql/subscriptions.js';
import { UNKNOWN_CONNECTION } from '../../src/guest-session/believed-connection.js';
import { matchesFilter, type SessionEventRecord } from '../../src/guest-session/session-event.js';
import { SessionEventStream } from '../../src/lifecycle/session-event-stream.js';
import type { EventLogReader } from '../../src/lifecycle/shared-pages.js';
import { someEvent } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';

const schema = buildGraphqlSchema();

interface StreamServerOptions
  extends Pick<SubscriptionServerOptions, 'authenticate' | 'hold' | 'maxBufferedEvents' | 'keepAliveMs'> {
  /** Of the log, at the start. */
  readonly head: number;
  readonly settings: Record<string, string>;
}

/** The subscription server on real sockets, over a log in memory that can be made to fail. */
export async function startStreamServer({
  maxBufferedEvents = 1_000,
  head = 0,
  keepAliveMs = 15_000,
  settings = {},
  authenticate = async (role) => ({ name: role ?? 'OPS', role: (role ?? 'OPS') as Role, sourceAddress: null }),
  hold = () => () => undefined,
}: Partial<StreamServerOptions> = {}) {
  const events: SessionEventRecord[] = [];
  /** How often `reason` of each event was read: once for each time that it was executed. */
  const executions = new Map<number, number>();
  const asked: number[] = [];
  const logged: string[] = [];
  const turnedAway: string[] = [];
  const log: EventLogReader = {
    eventsAfter: async (sequence, filter, limit) => {
      asked.push(sequence);
      return events.filter((event) => event.sequence > sequence && matchesFilter(event, filter)).slice(0, limit);
    },
  };
  const sessions = {
    asked: [] as string[][],
    byIds: async (ids: readonly string[]) => {
      sessions.asked.push([...ids]);
      // The later ones come first.
      await new Promise((resolve) => setTimeout(resolve, 5 / sessions.asked.length));
      return ids.map((id) => ({ id }));
    },
  };
  const stream = new SessionEventStream({ eventsAfter: (...args) => log.eventsAfter(...args) }, head);
  const { config } = loadSettings(settings);
  const http = createServer();
  const server = attachSubscriptions(http, {
    path: '/graphql',
    schema,
    limits: { ...config.limits, aliases: 1_000 }, // large documents make large events
    socketLimits: config.transport.sockets,
    services: { stream, sessions, events: { newestSequence: async () => head + events.length } } as unknown as Services,
    maxBufferedEvents,
    keepAliveMs,
    authenticate,
    countRequest: async () => null,
    countStranger: async () => undefined,
    waitOfStrangers: async () => null,
    arrivalOf: () => ({
      sourceAddress: null,
      client: null,
      origin: undefined,
      isSameOrigin: true,
      connection: UNKNOWN_CONNECTION,
    }),
    onForbidden: () => undefined,
    hold,
    admitsOrigin: () => false,
    onTurnedAway: (_sourceAddress, reason) => turnedAway.push(reason),
    answersTo: () => true,
    log: { error: (fields) => logged.push(String((fields as { err: unknown }).err)) },
  });
  let last: Socket | undefined;
  http.on('connection', (connection: Socket) => {
    last = connection;
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]();
    http.close();
  });

  /** Commits so many events, of which `content` tells. @returns tells the stream of them */
  function commitSilently(count: number, content: Partial<SessionEventRecord> = {}): () => void {
    const committed = Array.from({ length: count }, () => {
      const sequence = head + events.length + 1;
      const event = { ...someEvent(), sequence, ...content };
      Object.defineProperty(event, 'reason', {
        enumerable: true,
        get: () => {
          executions.set(sequence, (executions.get(sequence) ?? 0) + 1);
          return null;
        },
      });
      events.push(event);
      return event;
    });
    return () => stream.publish(committed);
  }

  const { port } = http.address() as AddressInfo;
  const url = `ws://127.0.0.1:${port}/graphql`;
  return {
    url,
    port,
    /** How many clients are there. */
    connections: () => new Promise<number>((resolve) => http.getConnections((_error, count) => resolve(count))),
    /** What was read of the client that came last. */
    bytesRead: () => last?.bytesRead ?? 0,
    commit: (count: number, content: Partial<SessionEventRecord> = {}) => commitSilently(count, content)(),
    commitSilently,
    stream,
    log,
    asked,
    sessions,
    executions,
    logged,
    turnedAway,
    subscriber: (role?: Role) => connect(url, role),
  };
}

interface Message {
  readonly type: string;
  readonly id?: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests say what they expect of it
  readonly payload?: any;
}

/** A client that can stop reading. */
async function connect(url: string, role?: Role) {
  const socket = new WebSocket(url, 'graphql-transport-ws');
  onTestFinished(() => socket.terminate());
  const messages: Message[] = [];
  let closed: { code: number; reason: string } | null = null;
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('close', (code, reason) => {
    closed = { code, reason: String(reason) };
  });
  await once(socket, 'open');
  const send = (message: object) => socket.send(JSON.stringify(message));
  send({ type: 'connection_init', payload: { authorization: role } });
  await eventually(() => messages[0]);
  const { _socket: tcp } = socket as unknown as { _socket: Socket };

  return {
    tcp,
    ack: messages[0],
    send,
    sendText: (text: string) => socket.send(text),
    messages,
    /** What it has heard, as sequences. */
    heard: (id?: string) => eventsOf(messages, id).map(({ cursor }) => eventCursor.read(cursor)),
    lastCursor: (): string => eventsOf(messages).at(-1).cursor,
    /** Up to where it was told that it has everything. */
    marks: () =>
      messages.filter(({ type }) => type === 'ping').map(({ payload }) => eventCursor.read(payload.eventCursor)),
    /** The message of this type. */
    receives: (type: string) => eventually(() => messages.find((message) => message.type === type)),
    closes: () => eventually(() => closed),
    get isOpen() {
      return closed === null;
    },
    subscribe(query: string, variables: object = {}, id = '1') {
      send({ type: 'subscribe', id, payload: { query, variables } });
    },
  };
}

const eventsOf = (messages: readonly Message[], id?: string) =>
  messages
    .filter((message) => message.type === 'next' && (!id || message.id === id))
    .map(({ payload }) => payload.data.sessionEvents);
