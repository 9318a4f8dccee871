import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { bodyOf, closedUrl, serve } from '../outbound/raw-server.js';
import {
  type ClientOptions,
  clientOf,
  FINGERPRINT,
  GUEST,
  inTime,
  outcomeOf,
  payloadOf,
  startClient,
} from './client.js';

const HOUR_MS = 3_600_000;

test('a session is opened with the payload, the bearer and the request id, and given as CXone answered it', async () => {
  const { sandbox, client } = await startClient();
  const requestId = randomUUID();
  const created = await client.createSession(payloadOf(requestId), inTime(), () => undefined);
  const [session] = sandbox.sessions(GUEST);
  expect(created).toEqual({
    sessionId: session?.sessionId,
    clientToken: session?.token,
    expiresAt: session?.expiresAt,
  });
  expect(session?.requestId).toBe(requestId);
  expect(sandbox.calls).toMatchObject([
    { call: 'token', status: 200, requestId: null },
    { call: 'create', status: 201, requestId, guestId: GUEST },
  ]);
});

test('what goes over the wire is the payload to the letter', async () => {
  const payload = payloadOf();
  let body = '';
  const { url, requests } = await serve(async (request, response) => {
    body = await bodyOf(request);
    response.end(
      request.url === '/oauth/token'
        ? '{"access_token":"bearer-1","token_type":"Bearer","expires_in":60}'
        : '{"sessionId":"s","token":"t","expiresAt":"2030-01-01T00:00:00Z","status":"active"}',
    );
  });
  await clientOf(url).client.createSession(payload, inTime(), () => undefined);
  expect(requests[1]).toMatchObject({ method: 'POST', url: '/api/v1/messaging/sessions' });
  expect(requests[1]?.headers).toMatchObject({
    authorization: 'Bearer bearer-1',
    'content-type': 'application/json',
    accept: 'application/json',
    'x-request-id': payload.routing.attributes.requestId,
  });
  expect(body).toBe(JSON.stringify(payload));
});

interface Row {
  what: string;
  fault: Fault;
  when?: 'before' | 'after';
  code: string;
  posts: number;
  /** How many sessions there are at CXone afterwards. */
  sessions?: number;
  retryAfterSeconds?: unknown;
}

const CREATE_ROWS: Row[] = [
  { what: '400', fault: status(400), code: 'CXONE_SCHEMA_REJECTED', posts: 1 },
  { what: '403', fault: status(403), code: 'CXONE_SCOPE_MISSING', posts: 1 },
  ...[302, 402, 404, 405, 408, 409, 410, 413, 415, 422, 451].map((code) => ({
    what: String(code),
    fault: status(code),
    code: 'CXONE_REJECTED',
    posts: 1,
  })),
  ...[500, 501, 502, 503, 504, 599].map((code) => ({
    what: String(code),
    fault: status(code),
    code: 'OUTCOME_UNKNOWN',
    posts: 1,
  })),
  { what: '500 after the work', fault: status(500), when: 'after', code: 'OUTCOME_UNKNOWN', posts: 1, sessions: 1 },
  { what: 'a reset before the work', fault: { kind: 'reset' }, code: 'OUTCOME_UNKNOWN', posts: 1 },
  {
    what: 'a reset after the work',
    fault: { kind: 'reset' },
    when: 'after',
    code: 'OUTCOME_UNKNOWN',
    posts: 1,
    sessions: 1,
  },
  { what: 'an outage', fault: { kind: 'outage' }, code: 'OUTCOME_UNKNOWN', posts: 1 },
  { what: 'a hang', fault: { kind: 'hang' }, code: 'OUTCOME_UNKNOWN', posts: 1 },
  {
    what: 'a hang after the work',
    fault: { kind: 'hang' },
    when: 'after',
    code: 'OUTCOME_UNKNOWN',
    posts: 1,
    sessions: 1,
  },
  { what: 'a dripping body', fault: { kind: 'drip', everyMs: 20 }, code: 'OUTCOME_UNKNOWN', posts: 1 },
  { what: 'half a body', fault: { kind: 'truncated' }, when: 'after', code: 'OUTCOME_UNKNOWN', posts: 1, sessions: 1 },
  { what: 'HTML', fault: { kind: 'malformed' }, when: 'after', code: 'OUTCOME_UNKNOWN', posts: 1, sessions: 1 },
  { what: '{}', fault: { kind: 'wrong-shape' }, when: 'after', code: 'OUTCOME_UNKNOWN', posts: 1, sessions: 1 },
  { what: '5 MB', fault: { kind: 'oversized' }, when: 'after', code: 'OUTCOME_UNKNOWN', posts: 1, sessions: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', posts: 2 },
  {
    what: '429 for ever',
    fault: { kind: 'rate-limit' },
    code: 'RATE_LIMITED',
    posts: 3,
    retryAfterSeconds: expect.any(Number),
  },
  {
    what: '429 of an hour',
    fault: { kind: 'rate-limit', retryAfter: '3600' },
    code: 'RATE_LIMITED',
    posts: 1,
    retryAfterSeconds: 3600,
  },
  {
    what: '503 of an hour',
    fault: { kind: 'rate-limit', retryAfter: '3600', status: 503 },
    code: 'RATE_LIMITED',
    posts: 1,
    retryAfterSeconds: 3600,
  },
];

test.each(CREATE_ROWS)('creating: $what is $code after $posts POSTs', async (row) => {
  const { sandbox, client } = await startClient({ timeoutMs: 250 });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'create', fault: row.fault, ...(row.when && { when: row.when }) });
  const payload = payloadOf();
  let posts = 0;

  const error = await outcomeOf(
    client.createSession(payload, inTime(), () => {
      posts += 1;
    }),
  );

  expect(error).toMatchObject({ name: 'AttemptError', code: row.code, status: 'FAILED' });
  expect((error as AttemptError).retryAfterSeconds).toEqual(row.retryAfterSeconds);
  expect(posts).toBe(row.posts);
  expect(sandbox.count('create')).toBe(row.posts);
  expect(sandbox.sessions()).toHaveLength(row.sessions ?? 0);
  const requestIds = sandbox.calls.filter(({ call }) => call === 'create').map(({ requestId }) => requestId);
  expect(new Set(requestIds)).toEqual(new Set([payload.routing.attributes.requestId]));
});

test.each([
  ['429 with seconds', { kind: 'rate-limit', retryAfter: '0' }],
  ['429 with a date', { kind: 'rate-limit', retryAfter: new Date(0).toUTCString() }],
  ['429 without a word', { kind: 'rate-limit' }],
  ['429 with garbage', { kind: 'rate-limit', retryAfter: '7 apples' }],
  ['503 with seconds', { kind: 'rate-limit', retryAfter: '0', status: 503 }],
  ['503 with garbage', { kind: 'rate-limit', retryAfter: 'soon', status: 503 }],
] as [string, Fault][])(
  'creating: %s is waited for, and the third POST has the id of the first',
  async (_what, fault) => {
    const { sandbox, client } = await startClient();
    sandbox.scenarios.add({ on: 'create', fault, times: 2 });
    const payload = payloadOf();
    const created = await client.createSession(payload, inTime(), () => undefined);
    expect(sandbox.sessions()).toMatchObject([{ sessionId: created.sessionId }]);
    const requestIds = sandbox.calls.filter(({ call }) => call === 'create').map(({ requestId }) => requestId);
    expect(requestIds).toEqual(Array(3).fill(payload.routing.attributes.requestId));
  },
);

test.each([
  ['no session id', '{"token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['an empty session id', '{"sessionId":"","token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['a session id that is a number', '{"sessionId":7,"token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['no token', '{"sessionId":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['no expiry', '{"sessionId":"s","token":"t0p-secret"}'],
  ['an expiry that is no date', '{"sessionId":"s","token":"t0p-secret","expiresAt":"tomorrow"}'],
  ['an expiry that is a number', '{"sessionId":"s","token":"t0p-secret","expiresAt":1893456000}'],
  ['null', 'null'],
  ['a list', '[]'],
  ['a bare text', '"t0p-secret"'],
])('creating: a 2xx with %s is not believed, and its body is in no error', async (_what, body) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: status(201, body), when: 'after' });
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), () => undefined));
  expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('t0p-secret');
  expect(sandbox.count('create')).toBe(1);
});

test.each([200, 201, 202, 299])('creating: a session that is answered with %i is a session', async (code) => {
  const body = '{"sessionId":"s","token":"t","expiresAt":"2030-01-01T00:00:00.000Z"}';
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: status(code, body) });
  expect(await client.createSession(payloadOf(), inTime(), () => undefined)).toEqual({
    sessionId: 's',
    clientToken: 't',
    expiresAt: new Date('2030-01-01T00:00:00.000Z'),
  });
});

test('creating: where nobody listens it is tried as often as is allowed, and nothing was opened', async () => {
  const { client } = await startClient({ sessionsUrl: await closedUrl(), maxAttempts: 4 });
  let posts = 0;
  const error = await outcomeOf(
    client.createSession(payloadOf(), inTime(), () => {
      posts += 1;
    }),
  );
  expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE', retryable: true, retryAfterSeconds: expect.any(Number) });
  expect(posts).toBe(4);
});

test('creating: a CXone that comes back between two tries opens one session', async () => {
  const { sandbox, tokens } = await startClient();
  const token = await tokens.get(inTime());
  await sandbox.refuseConnections();
  // A client of its own, with no connection kept: what it sends is refused, not lost.
  const { url } = await serve((_request, response) => {
    response.end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 60 }));
  });
  const { client } = clientOf(url, { sessionsUrl: sandbox.url, maxAttempts: 10 });
  await client.authenticate(inTime());
  let posts = 0;
  let back: Promise<void> | undefined;
  await client.createSession(payloadOf(), inTime(), () => {
    posts += 1;
    if (posts === 2) back = sandbox.acceptConnections();
  });
  await back;
  expect(posts).toBeGreaterThan(1);
  expect(sandbox.sessions()).toHaveLength(1);
  expect(sandbox.count('create')).toBe(1);
});

test('creating: a token that was revoked is replaced once, unseen by the caller', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  let posts = 0;
  await client.createSession(payloadOf(), inTime(), () => {
    posts += 1;
  });
  expect(posts).toBe(2);
  expect(sandbox.calls.map(({ call, status: code }) => [call, code])).toEqual([
    ['token', 200],
    ['create', 401],
    ['token', 200],
    ['create', 201],
  ]);
});

test('fifty calls whose token was revoked cause one new fetch', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  await Promise.all(Array.from({ length: 50 }, () => client.listActiveSessions(GUEST, inTime())));
  // Those that were answered 401 late find a token that is newer than theirs, and leave it.
  expect(sandbox.count('token')).toBe(2);
});

test('a token that cannot be replaced ends the attempt with the reason of the token endpoint', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  sandbox.scenarios.add({ on: 'token', fault: status(401) });
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), () => undefined));
  expect(error).toMatchObject({ code: 'CXONE_AUTH_FAILED' });
  expect((error as AttemptError).detail).toContain('invalid_client');
  expect(sandbox.count('create')).toBe(1);
});

test.each([
  ['a hang', { kind: 'hang' }, 'OUTCOME_UNKNOWN'],
  ['a dripping body', { kind: 'drip', everyMs: 20 }, 'OUTCOME_UNKNOWN'],
] as [string, Fault, string][])(
  'creating: %s is cut at the deadline, when that comes before the timeout',
  async (_what, fault, code) => {
    const { sandbox, client } = await startClient({ timeoutMs: HOUR_MS });
    await client.authenticate(inTime());
    sandbox.scenarios.add({ on: 'create', fault });
    expect(await outcomeOf(client.createSession(payloadOf(), new Deadline(200), () => undefined))).toMatchObject({
      code,
    });
  },
);

test('nothing is sent when the deadline has passed', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  const past = new Deadline(0);
  let posts = 0;
  const creating = client.createSession(payloadOf(), past, () => {
    posts += 1;
  });
  expect(await outcomeOf(creating)).toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
  expect(await outcomeOf(client.listActiveSessions(GUEST, past))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect([posts, sandbox.count('create'), sandbox.count('list')]).toEqual([0, 0, 0]);
});

test("CXone's words reach operations, without fingerprint, bearer or line breaks, and not at any length", async () => {
  const { sandbox, client, tokens } = await startClient();
  const token = await tokens.get(inTime());
  const body = `{"error":"bad\n\tqueue","echo":"${FINGERPRINT}","bearer":"${token}","padding":"${'x'.repeat(5000)}"}`;
  sandbox.scenarios.add({ on: 'create', fault: status(400, body) });
  const error = (await outcomeOf(client.createSession(payloadOf(), inTime(), () => undefined))) as AttemptError;
  expect(error.detail).toMatch(
    /^CXone answered 400: \{"error":"bad queue","echo":"\[redacted\]","bearer":"\[redacted\]"/,
  );
  expect(error.detail?.length).toBeLessThan(600);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token);
  expect(error.message).not.toContain('queue');
});

test('the sessions of a guest are listed with the request ids that CXone echoes', async () => {
  const { sandbox, client } = await startClient();
  const requestId = randomUUID();
  const { sessionId } = await client.createSession(payloadOf(requestId), inTime(), () => undefined);
  const foreign = sandbox.addSession(GUEST);
  sandbox.addSession(randomUUID());
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([
    { sessionId, requestId },
    { sessionId: foreign.sessionId, requestId: null },
  ]);
});

test('where CXone does not echo request ids the sessions are listed without', async () => {
  const { client } = await startClient({ sandbox: { echoAttributes: false } });
  const { sessionId } = await client.createSession(payloadOf(), inTime(), () => undefined);
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([{ sessionId, requestId: null }]);
});

const LIST_ROWS: { what: string; fault: Fault; code: string; gets: number }[] = [
  { what: '400', fault: status(400), code: 'CXONE_REJECTED', gets: 1 },
  { what: '302', fault: status(302), code: 'CXONE_REJECTED', gets: 1 },
  { what: '500', fault: status(500), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '502', fault: status(502), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '503', fault: status(503), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '504', fault: status(504), code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'a reset', fault: { kind: 'reset' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'an outage', fault: { kind: 'outage' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'a hang', fault: { kind: 'hang' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'a dripping body', fault: { kind: 'drip', everyMs: 20 }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'half a body', fault: { kind: 'truncated' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: '5 MB', fault: { kind: 'oversized' }, code: 'CXONE_UNAVAILABLE', gets: 1 },
  { what: 'HTML', fault: { kind: 'malformed' }, code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: '{}', fault: { kind: 'wrong-shape' }, code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'null', fault: status(200, 'null'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'a bare list', fault: status(200, '[]'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'items that are no list', fault: status(200, '{"items":{}}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'an item without an id', fault: status(200, '{"items":[{}]}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: 'an item that is null', fault: status(200, '{"items":[null]}'), code: 'CXONE_CONTRACT_BROKEN', gets: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', gets: 2 },
  { what: '429 for ever', fault: { kind: 'rate-limit' }, code: 'RATE_LIMITED', gets: 3 },
  { what: '429 of an hour', fault: { kind: 'rate-limit', retryAfter: '3600' }, code: 'RATE_LIMITED', gets: 1 },
];

test.each(LIST_ROWS)('listing: $what is $code after $gets GETs', async ({ fault, code, gets }) => {
  const { sandbox, client } = await startClient({ timeoutMs: 250 });
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
  expect(await client.listActiveSessions(GUEST, inTime())).toEqual([{ sessionId: 's', requestId: null }]);
});

test('listing: a hang that outlasts the deadline is DEADLINE_EXCEEDED', async () => {
  const { sandbox, client } = await startClient({ timeoutMs: HOUR_MS });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'hang' } });
  expect(await outcomeOf(client.listActiveSessions(GUEST, new Deadline(200)))).toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
});

const BROKEN_CONNECTIONS: [string, (options: ClientOptions) => Promise<ClientOptions>][] = [
  ['nobody listens', async (options) => ({ ...options, sessionsUrl: await closedUrl() })],
  ['CXone hangs', async (options) => ({ ...options, sessionsUrl: (await serve(() => undefined)).url })],
];

test.each(BROKEN_CONNECTIONS)('where %s the bearer is in no error', async (_what, optionsOf) => {
  const { client, tokens } = await startClient(await optionsOf({ timeoutMs: 100 }));
  const token = await tokens.get(inTime());
  for (const error of [
    await outcomeOf(client.createSession(payloadOf(), inTime(), () => undefined)),
    await outcomeOf(client.listActiveSessions(GUEST, inTime())),
  ]) {
    expect(error).toBeInstanceOf(AttemptError);
    expect(JSON.stringify(error)).not.toContain(token);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(token);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(FINGERPRINT);
  }
});

function status(code: number, body?: string): Fault {
  return { kind: 'status', status: code, ...(body !== undefined && { body }) };
}
