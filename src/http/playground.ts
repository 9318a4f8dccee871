import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fastifyStatic } from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Where the playground is; its pages name their files by this path (`scripts/playground/`). */
const BASE = '/playground';

const PAGE = 'index.html';

/** Stands in the page for the nonce that is made for each answer (`scripts/playground/build-playground.mjs`). */
const NONCE = '{{nonce}}';

/** What nobody can guess before the page is there. */
const NONCE_BYTES = 16;

const HASHED_NAME = /^\/[\w-]+\.[0-9a-f]{12}\.\w+$/;

/** Seconds for which a browser may keep a file whose name carries a hash of its content. */
const ONE_YEAR = 31_536_000;

/**
 * Serves GraphiQL at `/playground` from static files, with no other host involved, and leads browsers there from `/`.
 *
 * @param options.directory what `npm run build` wrote, `dist/playground`; without it the routes say how to make it. Null: it is
 * not served at all
 */
export async function registerPlayground(
  app: FastifyInstance,
  { directory }: { readonly directory: string | null },
): Promise<void> {
  if (directory === null) {
    app.get('/', (_request, reply) => reply.send({ graphql: '/graphql' }));
    return;
  }
  app.get('/', leadToPlayground);
  const isBuilt = existsSync(join(directory, PAGE));
  // A context of its own, so that its headers and its 404 are for these routes only.
  await app.register(
    async (scope) => {
      scope.addHook('onRequest', protect);
      if (isBuilt) await servePlayground(scope, directory);
      else explainMissingPlayground(scope);
    },
    { prefix: BASE },
  );
}

async function servePlayground(scope: FastifyInstance, directory: string): Promise<void> {
  await scope.register(fastifyStatic, {
    root: directory,
    preCompressed: true,
    index: false,
    dotfiles: 'ignore',
    maxAge: ONE_YEAR * 1000,
    immutable: true,
    // Not the page, in whatever way its path is written: it would go out without a nonce, and be kept for a year.
    allowedPath: (path) => HASHED_NAME.test(path),
  });
  const page = async (request: FastifyRequest, reply: FastifyReply) => {
    const nonce = randomBytes(NONCE_BYTES).toString('base64url');
    // Read each time, so that a new build shows at once; kept by nobody, because the nonce is of this answer alone.
    const html = await readFile(join(directory, PAGE), 'utf8');
    return reply
      .header('content-security-policy', contentSecurityPolicy(request.host, nonce))
      .header('cache-control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(html.replaceAll(NONCE, nonce));
  };
  scope.get('/', page);
  scope.get(`/${PAGE}`, page);
  scope.setNotFoundHandler((_request, reply) => sendText(reply, 'The playground has no such file.\n'));
}

function explainMissingPlayground(scope: FastifyInstance): void {
  const explain = (_request: FastifyRequest, reply: FastifyReply) =>
    sendText(reply, 'The playground has not been built: run `npm run build` and start the server again.\n');
  scope.get('/', explain);
  scope.setNotFoundHandler(explain);
}

const sendText = (reply: FastifyReply, text: string) =>
  reply.code(404).header('cache-control', 'no-store').type('text/plain; charset=utf-8').send(text);

/** Sets headers over those that the app around has set for all of its answers. */
async function protect(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers({
    'content-security-policy': contentSecurityPolicy(request.host),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    // Which form of a file is sent depends on it, so that a shared cache must keep them apart.
    vary: 'accept-encoding',
  });
}

/**
 * Scripts, workers and styles from this server only, and nothing of the kind that stands in markup. GraphiQL's editor makes
 * style elements: `scripts/playground/styles.js` gives them the nonce.
 */
function contentSecurityPolicy(host: string, nonce?: string): string {
  // 'self' covers the socket as well, except in browsers older than that rule; a host that is no plain name is not repeated.
  const socket = /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  const made = nonce === undefined ? '' : ` 'nonce-${nonce}'`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    `connect-src 'self'${socket}`,
    `style-src 'self'${made}`,
    "font-src 'self' data:",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Sends a person to the playground, and tells a program where things are. */
function leadToPlayground(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.header('vary', 'accept');
  if (request.headers.accept?.includes('text/html')) return reply.redirect(BASE, 302);
  return reply.send({ graphql: '/graphql', playground: BASE });
}
