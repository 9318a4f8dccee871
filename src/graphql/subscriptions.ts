import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createSourceEventStream, type ExecutionResult, GraphQLError, type GraphQLSchema } from 'graphql';
import { CloseCode, handleProtocols, makeServer, type Server as ProtocolServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Follower } from '../lifecycle/session-event-stream.js';
import { createContext, type KnownCaller, type Services } from './context.js';
import { formatError } from './error-format.js';
import { FanOut } from './fan-out.js';
import { eventCursor } from './relay.js';
import { shareKey } from './share-key.js';
import { SubscriptionDocuments } from './subscription-document.js';
import { SubscriptionSocket } from './subscription-socket.js';

const MAX_FRAME_BYTES = 100_000;
const INIT_TIMEOUT_MS = 3_000;
/** How long the shutdown waits for clients to answer the close; one that stands still never does. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface SubscriptionServerOptions {
  readonly path: string;
  readonly schema: GraphQLSchema;
  readonly services: Services;
  /** How many events that match may wait for a subscriber whose socket takes nothing. */
  readonly maxBufferedEvents: number;
  /** Who a socket belongs to, by the `Authorization` of its `connection_init`; throws for nobody. */
  authenticate(authorization: string | undefined): KnownCaller;
  /** Whether requests to this `Host` are ours to answer. */
  acceptsHost(host: string | undefined): boolean;
  readonly log: { error(fields: object, message: string): void };
}

interface ConnectionParams extends Record<string, unknown> {
  readonly authorization?: unknown;
  readonly Authorization?: unknown;
}

interface SocketExtra {
  readonly socket: SubscriptionSocket;
  close(code: number, reason: string): void;
  caller?: KnownCaller;
}

/** What is wrong with a subscription that does not even begin. */
class RefusedSubscription extends Error {
  constructor(readonly errors: readonly GraphQLError[]) {
    super('the subscription was refused');
  }
}

/**
 * graphql-ws on the same port as HTTP. It speaks the protocol; the events themselves go past it, from the fan-out straight to
 * the sockets. Apollo's guards do not cover sockets, so documents are parsed, validated, authorised and their errors formatted
 * here, by the same functions. Sockets are for subscriptions: all else goes over HTTP.
 */
export function attachSubscriptions(http: Server, options: SubscriptionServerOptions): AsyncDisposable {
  const { path, schema, services, authenticate, log, maxBufferedEvents } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    handleProtocols,
  });
  const format = formatError(log);
  const fanOut = new FanOut({ format, maxBufferedEvents });
  const documents = new SubscriptionDocuments(schema);

  const protocol = makeServer<ConnectionParams, SocketExtra>({
    schema,
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    onConnect: ({ connectionParams, extra }) => {
      const { authorization, Authorization } = connectionParams ?? {};
      const given = authorization ?? Authorization;
      try {
        extra.caller = authenticate(typeof given === 'string' ? given : undefined);
      } catch {
        extra.close(CloseCode.Forbidden, 'Forbidden');
        return false;
      }
      // Who subscribes from now can go on from here, should the connection break before the first event.
      return { eventCursor: eventCursor.of({ sequence: services.stream.head }) };
    },
    onSubscribe: ({ extra }, _id, payload) => {
      const document = documents.read(payload);
      if (!('kind' in document)) return document;
      const { operationName, variables: variableValues } = payload;
      return {
        schema,
        document,
        operationName,
        variableValues,
        contextValue: createContext(callerOf(extra), services),
      };
    },
    // Not yet results but events; the next hook turns them into what graphql-ws expects.
    subscribe: (args) => createSourceEventStream(args) as Promise<AsyncIterable<ExecutionResult> | ExecutionResult>,
    onOperation: ({ extra }, id, payload, args, source) => {
      if ('errors' in source) return failing(new RefusedSubscription(source.errors ?? []));
      if (!isFollower(source)) throw new Error('a subscription that does not follow the log');
      const { role } = callerOf(extra);
      const key = shareKey(args.document, { ...payload, role });
      return fanOut.join({ id, shareKey: key, args, follower: source, socket: extra.socket });
    },
    onError: (_context, _id, _payload, errors) =>
      errors.flatMap(causesOf).map((error) => format(error instanceof GraphQLError ? error.toJSON() : error, error)),
  });

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (request.url?.split('?', 1)[0] !== path) refuse(socket, '404 Not Found');
    else if (!options.acceptsHost(request.headers.host)) refuse(socket, '421 Misdirected Request');
    else if (!isSameOrigin(request)) refuse(socket, '403 Forbidden');
    else sockets.handleUpgrade(request, socket, head, (webSocket) => serve(webSocket, socket, protocol, log));
  };
  http.on('upgrade', upgrade);

  return {
    async [Symbol.asyncDispose]() {
      http.off('upgrade', upgrade);
      await fanOut.flush(CLOSE_TIMEOUT_MS);
      await services.stream.end();
      // graphql-ws writes `complete` for each subscription before its socket is closed with 1001.
      await new Promise(setImmediate);
      for (const socket of sockets.clients) socket.close(1001, 'Going away');
      const cut = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, CLOSE_TIMEOUT_MS);
      await new Promise((resolve) => sockets.close(resolve));
      clearTimeout(cut);
    },
  };
}

/**
 * Ties one socket to the protocol. (`graphql-ws/use/ws` does the same, but writes what clients break to the console, and tells
 * clients what we break.)
 */
function serve(
  webSocket: WebSocket,
  tcp: Duplex,
  protocol: ProtocolServer<SocketExtra>,
  log: SubscriptionServerOptions['log'],
): void {
  const socket = new SubscriptionSocket(webSocket, tcp);
  const close = (code: number, reason: string) => webSocket.close(code, reason);
  const onBug = (error: unknown) => log.error({ err: error }, 'a socket failed on a bug of ours');
  const closed = protocol.opened(
    {
      protocol: webSocket.protocol,
      send: (message) => socket.send(message),
      close,
      onMessage: (handle) => {
        webSocket.on('message', (data) => {
          handle(String(data)).catch((error: unknown) => {
            onBug(error);
            close(CloseCode.InternalServerError, 'Internal server error');
          });
        });
      },
    },
    { socket, close },
  );
  webSocket.on('error', () => undefined); // of the client's making; the close follows
  webSocket.once('close', (code, reason) => {
    closed(code, String(reason)).catch(onBug);
  });
}

function callerOf({ caller }: SocketExtra): KnownCaller {
  if (!caller) throw new Error('a socket subscribed before it was let in');
  return caller;
}

/** Every subscription of the schema is a follower of the log. */
const isFollower = (source: object): source is Follower => 'read' in source && 'listen' in source;

/** A result that fails: graphql-ws answers with `error`, by `onError`, and not with a `next` that nothing follows. */
const failing = (error: Error): AsyncIterable<never> => ({
  [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }),
});

/** graphql-ws wraps what ends a subscription, and would tell its message. */
function causesOf(error: GraphQLError | { readonly message: string }): readonly (GraphQLError | Error)[] {
  const cause = error instanceof GraphQLError && !error.path ? error.originalError : undefined;
  if (cause instanceof RefusedSubscription) return cause.errors;
  return [cause ?? (error as GraphQLError)];
}

/** A page of another site must not read our events through its visitor's browser. Programs send no Origin. */
function isSameOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

function refuse(socket: Duplex, status: string): void {
  socket.on('error', () => undefined); // whoever is refused may be gone already
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
