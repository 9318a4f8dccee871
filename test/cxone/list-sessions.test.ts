import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { closedUrl } from '../outbound/raw-server.js';
import {
  GUEST,
  HOUR_MS,
  inTime,
  outcomeOf,
  payloadOf,
  startClient,
  status,
  stepsThat,
  timeoutMsFor,
} from './client.js';

test('the sessions of a guest are listed with what CXone says of them', async () => {
  const { sandbox, client } = await startClient({ sandbox: { echoToken: true } });
  const requestId = randomUUID();
  const { sessionId } = await client.createSession(payloadOf(requestId), inTime(), stepsThat());
  const foreign = sandbox.addSession(GUEST);
  sandbox.addSession(randomUUID());
  const [ours] = sandbox.sessions(GUEST);
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([
    {
      sessionId,
      requestId,
      createdAt: ours?.createdAt,
      expiresAt: ours?.expiresAt,
      clientToken: ours?.token,
      namesGuest: true,
    },
    {
      sessionId: foreign.sessionId,
      requestId: null,
      createdAt: foreign.createdAt,
      expiresAt: foreign.expiresAt,
      clientToken: foreign.token,
      namesGuest: true,
    },
  ]);
});

test('where CXone echoes neither request ids nor tokens the sessions are listed without', async () => {
  const { client } = await startClient({ sandbox: { echoAttributes: false } });
  const { sessionId } = await client.createSession(payloadOf(), inTime(), stepsThat());
  expect(await client.listActiveSessions(GUEST, inTime())).toMatchObject([
    { sessionId, requestId: null, clientToken: null },
  ]);
});

const LIST_ROWS: { what: string; fault: Fault; code: string; gets: number }[] = [
  { what: '400', fault: status(400), code: 'CXONE_REJECTED', gets: 1 },
  { what: '302', fault: status(302), code: 'CXONE_REJECTED', gets: 1 },
  { what: '500', fault: status(500), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '502', fault: status(502), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '503', fault: status(503), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '504', fault: status(504), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'a reset', fault: { kind: 'reset' }, code: 'CXONE_UNAVAILABLE', gets: 3 },
  { what: 'an outage', fault: { kind: 'outage' }, code: 'CXONE_UNAVAILABLE', gets: 3 },
  { what: 'a hang', fault: { kind: 'hang' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'a dripping body', fault: { kind: 'drip', everyMs: 20 }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'half a body', fault: { kind: 'truncated' }, code: 'CXONE_UNAVAILABLE', gets: 3 },
  { what: '5 MB', fault: { kind: 'oversized' }, code: 'CXONE_UNAVAILABLE', gets: 3 },
  { what: 'HTML', fault: { kind: 'malformed' }, code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: '{}', fault: { kind: 'wrong-shape' }, code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'null', fault: status(200, 'null'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'a bare list', fault: status(200, '[]'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'items that are no list', fault: status(200, '{"items":{}}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'an item without an id', fault: status(200, '{"items":[{}]}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  ...[7, '', 'a b', 'caf\u00e9', '..', 'x'.repeat(257)].map((sessionId) => ({
    what: `the id ${JSON.stringify(sessionId)}`,
    fault: status(200, JSON.stringify({ items: [{ sessionId: 'fine' }, { sessionId }] })),
    code: 'CXONE_CONTRACT_BROKEN',
    gets: 1,
  })),
  { what: 'an item that is null', fault: status(200, '{"items":[null]}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', gets: 2 },
  { what: '429 for ever', fault: { kind: 'rate-limit' }, code: 'RATE_LIMITED', gets: 3 },
  { what: '429 of an hour', fault: { kind: 'rate-limit', retryAfter: '3600' }, code: 'RATE_LIMITED', gets: 1 },
];

test.each(LIST_ROWS)('listing: $what is $code after $gets GETs', async ({ fault, code, gets }) => {
  const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(fault) });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'list', fault });
  expect(await outcomeOf(client.listActiveSessions(GUEST, inTime()))).toMatchObject({ name: 'AttemptError', code });
  expect(sandbox.count('list')).toBe(gets);
});

test.each([403, 404])('listing: %i means that CXone does not let us count', async (code) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'list', fault: status(code) });
  expect(await client.listActiveSessions(GUEST, inTime())).toBe('SKIPPED');
});

test('listing: a rate limit is waited for, and a revoked token is replaced', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'rate-limit', retryAfter: '0' }, times: 2 });
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([]);
  expect(sandbox.count('token')).toBe(2);
});

test.each([
  '{"items":[{"sessionId":"s","routing":null}]}',
  '{"items":[{"sessionId":"s","routing":{"attributes":null}}]}',
  '{"items":[{"sessionId":"s","routing":{"attributes":{"requestId":7}}}]}',
  '{"items":[{"sessionId":"s","routing":"none"}]}',
  '{"items":[{"sessionId":"s","routing":{"attributes":{"requestId":""}}}]}',
])('listing: %s has no request id that could be read', async (body) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'list', fault: status(200, body) });
  expect(await client.listActiveSessions(GUEST, inTime())).toMatchObject([{ sessionId: 's', requestId: null }]);
});

test.each([
  '{"items":[{"sessionId":"s"}]}',
  '{"items":[{"sessionId":"s","createdAt":null,"expiresAt":null,"token":null}]}',
  '{"items":[{"sessionId":"s","createdAt":1893456000,"expiresAt":1893456000,"token":7}]}',
  '{"items":[{"sessionId":"s","createdAt":"yesterday","expiresAt":"","token":""}]}',
])('listing: %s has no time and no token that could be read', async (body) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'list', fault: status(200, body) });
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([
    { sessionId: 's', requestId: null, createdAt: null, expiresAt: null, clientToken: null, namesGuest: false },
  ]);
});

test.each(['reset', 'outage', 'truncated'] as const)('listing: after a %s the GET is sent again', async (kind) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'list', fault: { kind }, times: 2 });
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([]);
  expect(sandbox.count('list')).toBe(3);
});

test('listing: where nobody listens it is tried as often as is allowed', async () => {
  const { client } = await startClient({ sessionsUrl: await closedUrl() });
  expect(await outcomeOf(client.listActiveSessions(GUEST, inTime()))).toMatchObject({
    code: 'CXONE_UNAVAILABLE',
    retryAfterSeconds: expect.any(Number),
  });
});

test('listing: a hang that outlasts the deadline is DEADLINE_EXCEEDED', async () => {
  const { sandbox, client } = await startClient({ timeoutMs: HOUR_MS });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'hang' } });
  expect(await outcomeOf(client.listActiveSessions(GUEST, new Deadline(200)))).toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
});
