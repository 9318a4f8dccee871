import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { NOT_FROM_HERE } from '../access/from-this-machine.js';
import { StartupError } from '../errors.js';
import { registerAuditKey } from './audit-key.js';
import { registerCors } from './cors.js';
import { registerHealth } from './health.js';
import { cutPipelines } from './pipelining.js';
import { registerPlayground } from './playground.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { refuseExpectations, refuseUnparsed } from './unparsed-requests.js';

/** How often is looked for requests that take too long. */
const LOOK_MS = 1_000;
/** Longer than that of the proxies in front, which would lose a request to a connection that closes meanwhile. */
const KEEP_ALIVE_MS = 72_000;
const IDLE_SWEEP_MS = 50;

export interface HttpServerOptions<Context extends object> {
  readonly host: string;
  readonly port: number;
  readonly apollo: ApolloServer<Context>;
  /** Who asks, and what for; rejects for nobody, and for who asks too often. */
  createContext(request: RequestFacts): Promise<Context>;
  /** Counts a request that nobody can be asked for. @returns in how many seconds to come again, where that is too often */
  countRefused(message: IncomingMessage): Promise<number | null>;
  /** What who comes too often is told, as a GraphQL error. */
  tooManyRequests(retryAfterSeconds: number): object;
  /** Null: there is no playground. */
  readonly playgroundDirectory: string | null;
  /** Larger ones are refused with 413. */
  readonly maxBodyBytes: number;
  /** How long a client may take to send a request: whoever sends a byte now and then would keep its connection for ever. */
  readonly requestTimeoutMs: number;
  /** The public keys of the audit trail's checkpoints; null where it is not signed. */
  readonly auditKeySet: object | null;
  /** Requests get this long to finish once the server drains; longer than any attempt takes. */
  readonly drainTimeoutMs: number;
  readonly log: { error(fields: object, message: string): void };
  /** Whether a request with these headers is ours to answer. */
  answersTo(headers: IncomingHttpHeaders): boolean;
  /** Whether pages of another origin may ask. */
  knowsOrigin(origin: string): boolean;
  /** False once requests should go elsewhere. */
  isHealthy(): boolean;
}

/** What GraphQL is told of a request. */
interface RequestFacts {
  readonly authorization: string | undefined;
  /** Null where there is none. */
  readonly idempotencyKey: string | null;
  readonly message: IncomingMessage;
}

/** The server's HTTP, listening. Disposing of it drains: what was accepted is answered. */
export interface HttpServer extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly url: string;
  /** Ends accepting, and says so on `/health/ready`; returns before the requests at work are done. */
  stopListening(): void;
}

const NO_HOST = { error: 'The header Host is missing, or is none.' };
const FROM_ELSEWHERE = { error: NOT_FROM_HERE };
const NOTHING_HERE = { statusCode: 404, error: 'Not Found', message: 'There is nothing here.' };

export const GRAPHQL_PATH = '/graphql';

/** @throws StartupError when it cannot listen there */
export async function startHttpServer<Context extends object>(
  options: HttpServerOptions<Context>,
): Promise<HttpServer> {
  const { host, port, apollo, createContext, playgroundDirectory, answersTo, isHealthy, log } = options;
  const { maxBodyBytes, requestTimeoutMs } = options;
  const app = fastify({
    bodyLimit: maxBodyBytes,
    return503OnClosing: false,
    serverFactory: (handle) =>
      createServer(
        {
          // Also of a connection on which nothing comes at all.
          headersTimeout: requestTimeoutMs,
          requestTimeout: requestTimeoutMs,
          connectionsCheckingInterval: LOOK_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
        },
        cutPipelines(handle),
      ),
    frameworkErrors: (error, request, reply) => {
      // No hook has seen a request whose path cannot be decoded.
      reply.headers(SECURITY_HEADERS);
      refuse(request, reply, error.statusCode ?? 400, { error: 'The path is not valid.' }).catch((failure: unknown) => {
        log.error({ err: failure }, 'a request failed on a bug of ours');
        request.raw.destroy();
      });
    },
    clientErrorHandler: refuseUnparsed,
  });
  refuseExpectations(app.server);
  /** Says what is wrong with a request before GraphQL sees it; or, where there are too many of those, just that. */
  const refuse = async (request: FastifyRequest, reply: FastifyReply, status: number, body: object) => {
    const retryAfterSeconds = await options.countRefused(request.raw);
    if (retryAfterSeconds === null) return reply.code(status).send(body);
    const errors = [options.tooManyRequests(retryAfterSeconds)];
    return reply.code(429).headers({ 'retry-after': retryAfterSeconds, connection: 'close' }).send({ errors });
  };
  const connections = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    connections.add(socket);
    void socket.remoteAddress; // read once, it is known also when the client is gone by the time that its request is read
    socket.once('close', () => connections.delete(socket));
  });
  let closed: Promise<void> | null = null;
  const stopListening = () => {
    closed ??= drain(app, connections, options.drainTimeoutMs);
  };

  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(SECURITY_HEADERS);
    // RFC 9112 §3.2. Who goes on makes a URL of it.
    const { host = '' } = request.headers;
    if (!URL.canParse(`http://${host}`)) refuse(request, reply, 400, NO_HOST).catch(done);
    else if (answersTo(request.headers)) done();
    else refuse(request, reply, 421, FROM_ELSEWHERE).catch(done);
  });
  registerCors(app, GRAPHQL_PATH, options.knowsOrigin);
  // Who goes on using a connection that is swept as soon as it is idle would lose a request now and then; and who asks too
  // often may as well connect again.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closed || reply.statusCode === 429) reply.header('connection', 'close');
    done(null, payload);
  });
  registerHealth(app, () => (closed ? 'draining' : isHealthy() ? 'ready' : 'failed'));
  registerAuditKey(app, options.auditKeySet);
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    // What is wrong with a request before GraphQL sees it, in the form that GraphQL clients know.
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: error }, 'a request failed on a bug of ours');
    const described = status === 413 ? tooLarge(maxBodyBytes) : describe(status, error);
    return refuse(request, reply, status, { errors: [described] });
  });
  // Fastify's own would repeat what was asked for.
  app.setNotFoundHandler((request, reply) => refuse(request, reply, 404, NOTHING_HERE));
  await registerPlayground(app, { directory: playgroundDirectory });
  app.route({
    url: GRAPHQL_PATH,
    method: ['GET', 'POST'],
    handler: fastifyApolloHandler(apollo, { context: ({ raw }) => createContext(factsOf(raw)) }),
  });

  await app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    throw cannotListen(host, port, error);
  });
  return {
    app,
    url: urlOf(app.server.address() as AddressInfo),
    stopListening,
    async [Symbol.asyncDispose]() {
      stopListening();
      await closed;
    },
  };
}

const describe = (status: number, { message }: FastifyError) =>
  status < 500
    ? { message, extensions: { code: 'BAD_REQUEST' } }
    : { message: 'Something went wrong on our side.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };

const tooLarge = (maxBodyBytes: number) => ({
  message: `The body has more than ${maxBodyBytes} bytes. Ask for less at a time.`,
  extensions: { code: 'PAYLOAD_TOO_LARGE', limit: 'MAX_BODY_BYTES' },
});

/**
 * A kept connection that becomes idle only later would hold the server up, so idle ones are swept until all are gone. Node
 * does not count those as idle on which nothing was ever sent; browsers keep such in reserve.
 */
async function drain(app: FastifyInstance, connections: ReadonlySet<Socket>, timeoutMs: number): Promise<void> {
  const sweep = setInterval(() => {
    app.server.closeIdleConnections();
    for (const connection of connections) if (connection.bytesRead === 0) connection.destroy();
  }, IDLE_SWEEP_MS);
  const enough = setTimeout(() => app.server.closeAllConnections(), timeoutMs);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(enough);
  }
}

function cannotListen(host: string, port: number, error: NodeJS.ErrnoException): Error {
  const problem =
    error.code === 'EADDRINUSE'
      ? `PORT: ${host}:${port} is in use by another program. Stop that one, or set PORT to another number (0: any free one).`
      : error.code === 'EACCES'
        ? `PORT: ${port} needs more rights than this program has. Set PORT to a number above 1023.`
        : `HOST: cannot listen on ${host}:${port} (${error.code ?? error.message})`;
  return new StartupError(problem, { cause: error });
}

function factsOf(message: IncomingMessage): RequestFacts {
  const { headers } = message;
  const { authorization } = headers;
  const key = headers['idempotency-key'];
  const text = Array.isArray(key) ? key.join(', ') : key;
  return { authorization, message, idempotencyKey: text === undefined ? null : unquoted(text.trim()) };
}

/**
 * The draft of the header (draft-ietf-httpapi-idempotency-key-header) makes it a quoted string, as in RFC 9651 §3.3.3; most
 * clients send it bare.
 */
function unquoted(text: string): string {
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text) ?? [];
  return quoted === undefined ? text : quoted.replace(/\\(.)/g, '$1');
}

const urlOf = ({ address, family, port }: AddressInfo): string =>
  `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
