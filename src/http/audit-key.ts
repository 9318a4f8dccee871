import type { FastifyInstance } from 'fastify';

/** Seconds. A new key comes with a restart, and does not make what the former one has signed wrong. */
const MAX_AGE = 3_600;

/**
 * Serves the public key of the audit trail's checkpoints, as a JWK Set (RFC 7517), to everybody: to check a signature must not
 * need our leave.
 * @param keySet null where there is no key
 */
export function registerAuditKey(app: FastifyInstance, keySet: object | null): void {
  app.get('/.well-known/audit-key.json', (_request, reply) => {
    if (!keySet) return reply.code(404).send({ error: 'This server does not sign its audit trail.' });
    return reply
      .header('cache-control', `public, max-age=${MAX_AGE}`)
      .type('application/jwk-set+json')
      .send(JSON.stringify(keySet));
  });
}
