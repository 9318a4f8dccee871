import type { FastifyInstance } from 'fastify';

/** For how many seconds a browser may remember that it may ask. */
const MAX_AGE = 600;

const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, apollo-require-preflight',
  'access-control-max-age': String(MAX_AGE),
};

/**
 * Lets pages of certain origins, and no others, ask at one path (CORS). Which key may come from which of them is not decided
 * here: a browser asks first, without the key. No credentials: a key is sent by the page, never by the browser itself.
 */
export function registerCors(app: FastifyInstance, path: string, allows: (origin: string) => boolean): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.url.split('?', 1)[0] !== path) return done();
    reply.header('vary', 'Origin');
    const { origin } = request.headers;
    if (origin === undefined || !allows(origin)) return done();
    reply.header('access-control-allow-origin', origin);
    const isPreflight = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers;
    if (isPreflight) return void reply.headers(PREFLIGHT_HEADERS).code(204).send();
    reply.header('access-control-expose-headers', 'retry-after');
    done();
  });
}
