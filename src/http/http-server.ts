import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import { type FastifyError, type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import { NOT_FROM_HERE } from '../access/from-this-machine.js';
import { StartupError } from '../errors.js';
import { registerAuditKey } from './audit-key.js';
import { registerCors } from './cors.js';
import { registerHealth } from './health.js';
import { registerPlayground } from './playground.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { refuseExpectations, refuseUnparsed } from './unparsed-requests.js';

/** How often is looked for requests that take too long. */
const LOOK_MS = 1_000;
const IDLE_SWEEP_MS = 50;

export interface HttpServerOptions<Context extends object> {
  readonly host: string;
  readonly port: number;
  readonly apollo: ApolloServer<Context>;
  /** Who asks, and what for; rejects for nobody, and for who asks too often. */
  createContext(request: RequestFacts): Promise<Context>;
  /** Counts a request that nobody can be asked for. @returns in how many seconds to come again, where that is too often */
  countRefused(message: IncomingMessage): Promise<number | null>;
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
    requestTimeout: requestTimeoutMs,
    // Also of a connection on which nothing comes at all.
    http: { headersTimeout: requestTimeoutMs, requestTimeout: requestTimeoutMs, connectionsCheckingInterval: LOOK_MS },
    frameworkErrors: refuseUrl,
    clientErrorHandler: refuseUnparsed,
  });
  refuseExpectations(app.server);
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
    if (!URL.canParse(`http://${host}`))
      void reply.code(400).send({ error: 'The header Host is missing, or is none.' });
    else if (answersTo(request.headers)) done();
    else void reply.code(421).send({ error: NOT_FROM_HERE });
  });
  registerCors(app, GRAPHQL_PATH, options.knowsOrigin);
  // Who goes on using a connection that is swept as soon as it is idle would lose a request now and then.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closed) reply.header('connection', 'close');
    done(null, payload);
  });
  registerHealth(app, () => (closed ? 'draining' : isHealthy() ? 'ready' : 'failed'));
  registerAuditKey(app, options.auditKeySet);
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    // What is wrong with a request before GraphQL sees it, in the form that GraphQL clients know.
    const status = error.statusCode ?? 500;
    if (status >= 500) log.error({ err: error }, 'a request failed on a bug of ours');
    const retryAfterSeconds = await options.countRefused(request.raw);
    if (retryAfterSeconds === null) {
      return reply.code(status).send({ errors: [status === 413 ? tooLarge(maxBodyBytes) : describe(status, error)] });
    }
    const extensions = { code: 'TOO_MANY_REQUESTS', retryAfterSeconds };
    return reply
      .code(429)
      .header('retry-after', retryAfterSeconds)
      .send({ errors: [{ message: `Too many requests. Try again in ${retryAfterSeconds} s.`, extensions }] });
  });
  // Fastify's own would repeat what was asked for.
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(NOTHING_HERE));
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

/** For a path that cannot be decoded: no hook has seen the request. */
function refuseUrl(error: FastifyError, _request: unknown, reply: FastifyReply): void {
  void reply
    .headers(SECURITY_HEADERS)
    .code(error.statusCode ?? 400)
    .send({ error: 'The path is not valid.' });
}

const urlOf = ({ address, family, port }: AddressInfo): string =>
  `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
