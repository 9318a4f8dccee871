import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { expect, it } from 'vitest';
import { unrest, violations } from '../support/check-books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, open } from '../support/network.js';
import { Site } from '../support/server-process.js';

const CALLERS = 24;
const CREATE_DEADLINE_MS = 5_000;
/** What the server gives itself: the deadline of an attempt, and what it takes to close and answer it. */
const DRAIN_MS = CREATE_DEADLINE_MS + 5_000;

/** How a request went. */
type Fate =
  | {
      readonly is: 'ANSWERED';
      readonly status: number;
      readonly body: string;
      /** Whether it says that the connection carries no other. */
      readonly isLast: boolean;
    }
  | {
      readonly is: 'FAILED';
      readonly code: string;
      /** Whether it was written on a connection that had carried another before. */
      readonly isKept: boolean;
      /** Whether an answer had begun to come. */
      readonly hasBegun: boolean;
    };

interface Sent {
  readonly key: string;
  readonly fate: Fate;
}

/** Somebody with one connection, kept from request to request, who opens one session after the other. */
class Caller {
  readonly sent: Sent[] = [];
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #isWaiting = false;

  constructor(url: string) {
    this.#url = url;
  }

  /** Whether a request of it is under way. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Goes on until nobody listens any more. */
  async work(): Promise<void> {
    for (;;) {
      const key = randomUUID();
      this.#isWaiting = true;
      const fate = await this.#send({ ...inputFor(), idempotencyKey: key });
      this.#isWaiting = false;
      this.sent.push({ key, fate });
      if (fate.is === 'FAILED' && !fate.isKept) break;
    }
    this.#agent.destroy();
  }

  #send(input: object): Promise<Fate> {
    return new Promise((resolve) => {
      let hasBegun = false;
      const headers = { 'content-type': 'application/json' };
      const sending = request(`${this.#url}/graphql`, { method: 'POST', agent: this.#agent, headers });
      const fail = ({ code, message }: NodeJS.ErrnoException) =>
        resolve({ is: 'FAILED', code: code ?? message, isKept: sending.reusedSocket, hasBegun });
      sending.on('error', fail);
      sending.setTimeout(2 * DRAIN_MS, () => sending.destroy(new Error('not answered in time')));
      sending.on('response', (response) => {
        hasBegun = true;
        let body = '';
        response.setEncoding('utf8');
        response.on('error', fail);
        response.on('data', (chunk) => {
          body += chunk;
        });
        const { statusCode: status = 0, headers } = response;
        const isLast = headers.connection === 'close';
        response.on('end', () => resolve({ is: 'ANSWERED', status, body, isLast }));
      });
      sending.end(JSON.stringify({ query: OPEN, variables: { input } }));
    });
  }
}

it('a server that is asked to end under load answers what it has accepted, and leaves its books in order', {
  timeout: 90_000,
}, async () => {
  const site = await Site.prepare({ env: { CREATE_DEADLINE_MS: `${CREATE_DEADLINE_MS}`, CRM_CONCURRENCY: '1' } });
  const { scenarios } = site.cxone;
  scenarios.add({ on: 'create', fault: { kind: 'rate-limit', retryAfter: '1' }, skip: 100, times: 3 });
  scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 150 } });
  scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs: 30 } });
  // The CRM cannot keep up.
  site.crm.scenarios.add({ on: 'webhook', fault: { kind: 'slow', delayMs: 100 } });
  const server = await site.start();
  const callers = Array.from({ length: CALLERS }, () => new Caller(site.url));
  const working = Promise.all(callers.map((caller) => caller.work()));
  await eventually(() => site.cxone.count('create') >= 120, 30_000);

  const underWay = callers.filter(({ isWaiting }) => isWaiting).length;
  const askedAt = performance.now();
  const exit = await server.end('SIGTERM');
  const tookMs = performance.now() - askedAt;
  await working;

  expect([exit, server.err]).toEqual([[0, null], '']);
  expect(tookMs).toBeLessThan(DRAIN_MS);
  expect(underWay).toBeGreaterThan(CALLERS / 2);

  // Every answer is a whole one, with a session or with the reason why there is none.
  const sent = callers.flatMap((caller) => caller.sent);
  const answers = sent.flatMap(({ key, fate }) => (fate.is === 'ANSWERED' ? [{ key, ...fate }] : []));
  const payloads = answers.map(({ status, body }) => {
    expect(status, body).toBe(200);
    const { createGuestSession } = JSON.parse(body).data;
    expect(createGuestSession.session !== null || createGuestSession.userErrors.length > 0).toBe(true);
    return createGuestSession;
  });

  // Who was waiting is told not to use the connection again.
  expect(answers.filter(({ isLast }) => isLast).length).toBeGreaterThan(CALLERS / 2);

  // What was not answered was not accepted. That is either no connection, or a request that was written on a kept one while
  // the server was closing it: HTTP lets a server close an idle connection at any time, and its client send at any time
  // (RFC 9112 §9.5), so that they can cross. Nobody has read such a request, then: it has left no trace.
  const failed = sent.flatMap(({ key, fate }) => (fate.is === 'FAILED' ? [{ key, ...fate }] : []));
  for (const { key, code, isKept, hasBegun } of failed) {
    expect(isKept ? ['ECONNRESET', 'EPIPE'] : ['ECONNREFUSED', 'ECONNRESET']).toContain(code);
    expect(hasBegun).toBe(false);
    expect(site.count('FROM "IdempotencyKey" WHERE "key" = ?', key)).toBe(0);
    expect(site.count('FROM "GuestSession" WHERE "idempotencyKey" = ?', key)).toBe(0);
  }

  // Nothing is under way any more, and nothing is leased to a process that is gone.
  const { open: openAttempts, keys, webhooks } = unrest(site);
  expect({ openAttempts, keys }).toEqual({ openAttempts: 0, keys: 0 });
  expect(site.count('FROM "WebhookDelivery" WHERE "leaseToken" IS NOT NULL')).toBe(0);
  expect(webhooks).toBeGreaterThan(0);
  const opened = payloads.flatMap(({ session }) => (session ? [session.sessionId] : [])).sort();
  expect(
    site.cxone
      .sessions()
      .map(({ sessionId }) => sessionId)
      .sort(),
  ).toEqual(opened);
  expect(violations(site, { maxConcurrentSessions: 5 })).toEqual([]);

  // The next server serves at once, and sends what was left.
  site.cxone.scenarios.clear();
  site.crm.scenarios.clear();
  await site.start();
  expect((await open(site)).userErrors).toEqual([]);
  await eventually(() => unrest(site).webhooks === 0, 20_000);
  const heard = new Set(
    site.crm.received.map(({ body }) => (body as { payload: { sessionId: string } }).payload.sessionId),
  );
  expect(opened.filter((sessionId) => !heard.has(sessionId))).toEqual([]);
});
