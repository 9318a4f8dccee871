import type { FastifyInstance } from 'fastify';

/**
 * `/health/live`: the process answers. `/health/ready`: send it requests. CXone being down does not make it unready: it then
 * answers with errors that say so, and its queries work.
 */
export function registerHealth(app: FastifyInstance, isReady: () => boolean): void {
  app.get('/health/live', (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }));
  app.get('/health/ready', (_request, reply) => {
    const ready = isReady();
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: ready ? 'ready' : 'draining' });
  });
}
