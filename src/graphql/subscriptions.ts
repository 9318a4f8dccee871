import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, GraphQLError, type GraphQLSchema, getOperationAST, parse, validate } from 'graphql';
import {
  CloseCode,
  handleProtocols,
  makeServer,
  type Server as ProtocolServer,
  type SubscribePayload,
} from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { createContext, type KnownCaller, type Services } from './context.js';
import { badUserInput, formatError } from './error-format.js';
import { VALIDATION_RULES } from './limit-depth.js';
import { MAX_TOKENS } from './server.js';

const MAX_FRAME_BYTES = 100_000;
/** More than a few answers: a client that has not read this much reads nothing. */
const MAX_BUFFERED_BYTES = 1_000_000;
const KEEP_ALIVE_MS = 15_000;
const INIT_TIMEOUT_MS = 3_000;
/** How long the shutdown waits for clients to answer the close; one that stands still never does. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface SubscriptionServerOptions {
  readonly path: string;
  readonly schema: GraphQLSchema;
  readonly services: Services;
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
  readonly socket: WebSocket;
  caller?: KnownCaller;
}

/**
 * graphql-ws on the same port as HTTP. Apollo's guards do not cover sockets, so documents are parsed, validated, authorised
 * and their errors formatted here, by the same functions. Sockets are for subscriptions: all else goes over HTTP.
 */
export function attachSubscriptions(http: Server, options: SubscriptionServerOptions): AsyncDisposable {
  const { path, schema, services, authenticate, log } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    handleProtocols,
  });
  const format = formatError(log);

  const protocol = makeServer<ConnectionParams, SocketExtra>({
    schema,
    connectionInitWaitTimeout: INIT_TIMEOUT_MS,
    onConnect: (context) => {
      const { authorization, Authorization } = context.connectionParams ?? {};
      const given = authorization ?? Authorization;
      try {
        context.extra.caller = authenticate(typeof given === 'string' ? given : undefined);
        return true;
      } catch {
        context.extra.socket.close(CloseCode.Forbidden, 'Forbidden');
        return false;
      }
    },
    onSubscribe: ({ extra }, _id, payload) => {
      const { caller } = extra;
      if (!caller) throw new Error('a socket subscribed before it was let in');
      return prepare(schema, payload, () => createContext(caller, services));
    },
    onNext: (_context, _id, _payload, _args, result) =>
      result.errors ? { ...result, errors: result.errors.map((error) => format(error.toJSON(), error)) } : result,
    onError: (_context, _id, _payload, errors) =>
      errors.map((error) => format(error instanceof GraphQLError ? error.toJSON() : error, error)),
  });

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (request.url?.split('?', 1)[0] !== path) refuse(socket, '404 Not Found');
    else if (!options.acceptsHost(request.headers.host)) refuse(socket, '421 Misdirected Request');
    else if (!isSameOrigin(request)) refuse(socket, '403 Forbidden');
    else sockets.handleUpgrade(request, socket, head, (webSocket) => serve(webSocket, protocol, log));
  };
  http.on('upgrade', upgrade);

  return {
    async [Symbol.asyncDispose]() {
      http.off('upgrade', upgrade);
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
function serve(socket: WebSocket, protocol: ProtocolServer<SocketExtra>, log: SubscriptionServerOptions['log']): void {
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Resolves when the bytes have left: a socket that stands still is given nothing more. A broken one closes soon.
      // What is not asked for one by one, such as the answers to pings, must not pile up either.
      send: (data) =>
        new Promise<void>((resolve) => {
          if (socket.bufferedAmount > MAX_BUFFERED_BYTES) socket.terminate();
          socket.send(data, () => resolve());
        }),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) => {
        socket.on('message', (data) => {
          handle(String(data)).catch((error: unknown) => {
            log.error({ err: error }, 'a socket failed on a bug of ours');
            socket.close(CloseCode.InternalServerError, 'Internal server error');
          });
        });
      },
    },
    { socket },
  );
  let hasAnswered = true;
  const ping = setInterval(() => {
    if (!hasAnswered) return socket.terminate();
    hasAnswered = false;
    socket.ping();
  }, KEEP_ALIVE_MS);
  socket.on('pong', () => {
    hasAnswered = true;
  });
  socket.on('error', () => undefined); // of the client's making; the close follows
  socket.once('close', (code, reason) => {
    clearInterval(ping);
    closed(code, String(reason)).catch((error: unknown) =>
      log.error({ err: error }, 'a socket failed on a bug of ours'),
    );
  });
}

/** What to execute, or what is wrong with the document. */
function prepare(
  schema: GraphQLSchema,
  { query, operationName, variables }: SubscribePayload,
  contextValue: () => object,
): ExecutionArgs | readonly GraphQLError[] {
  try {
    const document = parse(query, { maxTokens: MAX_TOKENS });
    const errors = validate(schema, document, VALIDATION_RULES);
    if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
    const operation = getOperationAST(document, operationName);
    if (operation?.operation !== 'subscription') {
      return [badUserInput('Sockets are for subscriptions. Send queries and mutations over HTTP.')];
    }
    return { schema, document, operationName, variableValues: variables, contextValue: contextValue() };
  } catch (error) {
    if (error instanceof GraphQLError) return [withCode(error, 'GRAPHQL_PARSE_FAILED')];
    throw error;
  }
}

/** The codes that Apollo gives over HTTP. */
const withCode = ({ message, nodes, source, positions }: GraphQLError, code: string): GraphQLError =>
  new GraphQLError(message, { nodes, source, positions, extensions: { code } });

/** A page of another site must not read our events through its visitor's browser. Programs send no Origin. */
function isSameOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

function refuse(socket: Duplex, status: string): void {
  socket.on('error', () => undefined); // whoever is refused may be gone already
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
