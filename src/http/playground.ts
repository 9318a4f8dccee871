import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fastifyStatic } from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Where the playground is; its pages name their files by this path (`scripts/playground/`). */
const BASE = '/playground';

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
  const isBuilt = existsSync(join(directory, 'index.html'));
  // A context of its own, so that its headers and its 404 are for these routes only.
  await app.register(
    async (scope) => {
      scope.addHook('onSend', protect);
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
  });
  const page = (_request: FastifyRequest, reply: FastifyReply) =>
    // The only name without a hash: asked for again each time, so that a new build shows at once.
    reply.header('cache-control', 'no-cache').sendFile('index.html', { cacheControl: false });
  scope.get('/', page);
  scope.get('/index.html', page);
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

/** Sets the headers last, so that they hold against those of the whole app. */
async function protect(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
  reply.headers({
    'content-security-policy': contentSecurityPolicy(request.host),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  });
  // Which form of a file is sent depends on it, so that a shared cache must keep them apart.
  reply.header('vary', 'accept-encoding');
  return payload;
}

/** Scripts and workers from this server only. GraphiQL's editor writes its styles itself, so inline ones are let in. */
function contentSecurityPolicy(host: string): string {
  // 'self' covers the socket as well, except in browsers older than that rule; a host that is no plain name is not repeated.
  const socket = /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    `connect-src 'self'${socket}`,
    "style-src 'self' 'unsafe-inline'",
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
