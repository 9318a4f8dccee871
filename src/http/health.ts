import type { FastifyInstance } from 'fastify';

export type Readiness = 'ready' | 'draining' | 'failed';

/**
 * `/health/live`: the process answers. `/health/ready`: send it requests. CXone being down does not make it unready: it then
 * answers with errors that say so, and its queries work. A ledger that cannot be written does, for as long as that lasts:
 * another server may have a disk with room.
 */
export function registerHealth(app: FastifyInstance, readiness: () => Readiness): void {
  app.get('/health/live', (_request, reply) => reply.send({ status: 'ok' }));
  app.get('/health/ready', (_request, reply) => {
    const status = readiness();
    return reply.code(status === 'ready' ? 200 : 503).send({ status });
  });
}
