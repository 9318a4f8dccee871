import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { CreatedSession } from '../../src/guest-session/ports.js';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { bodyOf, closedUrl, serve } from '../outbound/raw-server.js';
import {
  clientOf,
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

test('a session is opened with the payload, the bearer and the request id, and given as CXone answered it', async () => {
  const { sandbox, client } = await startClient();
  const requestId = randomUUID();
  const created = await client.createSession(payloadOf(requestId), inTime(), stepsThat());
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
  await clientOf(url).client.createSession(payload, inTime(), stepsThat());
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
  code: string;
  posts: number;
  retryAfterSeconds?: unknown;
}

const REFUSALS: Row[] = [
  { what: '400', fault: status(400), code: 'CXONE_SCHEMA_REJECTED', posts: 1 },
  { what: '403', fault: status(403), code: 'CXONE_SCOPE_MISSING', posts: 1 },
  ...[302, 402, 404, 405, 408, 409, 410, 413, 415, 422, 451].map((code) => ({
    what: String(code),
    fault: status(code),
    code: 'CXONE_REJECTED',
    posts: 1,
  })),
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

test.each(REFUSALS)('creating: $what is $code after $posts POSTs, and nothing is searched for', async (row) => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'create', fault: row.fault });
  const payload = payloadOf();
  const steps = stepsThat();

  const error = await outcomeOf(client.createSession(payload, inTime(), steps));

  expect(error).toMatchObject({ name: 'AttemptError', code: row.code, status: 'FAILED' });
  expect((error as AttemptError).retryAfterSeconds).toEqual(row.retryAfterSeconds);
  expect(steps.heard).toEqual({ posts: row.posts, searches: 0 });
  expect(sandbox.count('create')).toBe(row.posts);
  expect(sandbox.sessions()).toEqual([]);
  expect(new Set(postedIds(sandbox))).toEqual(new Set([payload.routing.attributes.requestId]));
});

interface Loss {
  what: string;
  fault: Fault;
}

const LOSSES: Loss[] = [
  ...[500, 501, 502, 503, 504, 599].map((code) => ({ what: String(code), fault: status(code) })),
  { what: '503 with an empty word', fault: { kind: 'rate-limit', status: 503 } },
  { what: 'a reset', fault: { kind: 'reset' } },
  { what: 'an outage', fault: { kind: 'outage' } },
  { what: 'a hang', fault: { kind: 'hang' } },
  { what: 'a dripping body', fault: { kind: 'drip', everyMs: 20 } },
  { what: 'half a body', fault: { kind: 'truncated' } },
  { what: 'HTML', fault: { kind: 'malformed' } },
  { what: '{}', fault: { kind: 'wrong-shape' } },
  { what: '5 MB', fault: { kind: 'oversized' } },
];

test.each(LOSSES)('creating: after $what the session that was opened is found, and not opened again', async (loss) => {
  const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(loss.fault) });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'create', fault: loss.fault, when: 'after' });
  const steps = stepsThat(async () => createdAt(sandbox));

  const created = await client.createSession(payloadOf(), inTime(), steps);

  expect(created).toEqual(createdAt(sandbox));
  expect(steps.heard).toEqual({ posts: 1, searches: 1 });
  expect(sandbox.sessions()).toHaveLength(1);
});

test.each(LOSSES)('creating: after $what that opened nothing the same POST is sent again', async (loss) => {
  const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(loss.fault) });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'create', fault: loss.fault, times: 1 });
  const payload = payloadOf();
  const steps = stepsThat();

  const created = await client.createSession(payload, inTime(), steps);

  expect(created).toEqual(createdAt(sandbox));
  expect(steps.heard).toEqual({ posts: 2, searches: 1 });
  expect(postedIds(sandbox)).toEqual(Array(2).fill(payload.routing.attributes.requestId));
});

test.each(LOSSES)('creating: after $what of which nobody can tell nothing more is sent', async (loss) => {
  const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(loss.fault) });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'create', fault: loss.fault });
  const unknown = new AttemptError('OUTCOME_UNKNOWN');
  const steps = stepsThat(() => Promise.reject(unknown));

  expect(await outcomeOf(client.createSession(payloadOf(), inTime(), steps))).toBe(unknown);

  expect(steps.heard).toEqual({ posts: 1, searches: 1 });
  expect(sandbox.count('create')).toBe(1);
});

test('creating: a CXone that loses every answer is given up after as many searches as POSTs', async () => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: status(502, '<html>Bad gateway</html>') });
  const steps = stepsThat();
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), steps));
  expect(error).toMatchObject({
    code: 'CXONE_UNAVAILABLE',
    retryable: true,
    retryAfterSeconds: expect.any(Number),
    detail: 'CXone answered 502: <html>Bad gateway</html>; CXone has no such session',
  });
  expect(steps.heard).toEqual({ posts: 3, searches: 3 });
});

test('creating: what the last search finds is not given up', async () => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' }, times: 2 });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after' });
  const steps = stepsThat(async () => (sandbox.sessions().length > 0 ? createdAt(sandbox) : null));
  expect(await client.createSession(payloadOf(), inTime(), steps)).toEqual(createdAt(sandbox));
  expect(steps.heard).toEqual({ posts: 3, searches: 3 });
});

test('creating: a lost answer that is followed by a rate limit is waited for', async () => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' }, times: 1 });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'rate-limit', retryAfter: '0' }, times: 1 });
  const steps = stepsThat();
  await client.createSession(payloadOf(), inTime(), steps);
  expect(steps.heard).toEqual({ posts: 3, searches: 1 });
});

test('creating: a bug of ours is neither searched for nor sent again', async () => {
  const { sandbox, client } = await startClient();
  const bug = new TypeError('a bug of ours');
  let searches = 0;
  const steps = {
    onPost: () => {
      throw bug;
    },
    findLost: async () => {
      searches += 1;
      return null;
    },
  };
  expect(await outcomeOf(client.createSession(payloadOf(), inTime(), steps))).toBe(bug);
  expect([searches, sandbox.count('create')]).toEqual([0, 0]);

  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' } });
  expect(
    await outcomeOf(
      client.createSession(
        payloadOf(),
        inTime(),
        stepsThat(() => Promise.reject(bug)),
      ),
    ),
  ).toBe(bug);
  expect(sandbox.count('create')).toBe(1);
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
    const created = await client.createSession(payload, inTime(), stepsThat());
    expect(sandbox.sessions()).toMatchObject([{ sessionId: created.sessionId }]);
    const requestIds = sandbox.calls.filter(({ call }) => call === 'create').map(({ requestId }) => requestId);
    expect(requestIds).toEqual(Array(3).fill(payload.routing.attributes.requestId));
  },
);

test.each([
  ['no session id', '{"token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['an empty session id', '{"sessionId":"","token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
  ['a session id of two dots', '{"sessionId":"..","token":"t0p-secret","expiresAt":"2030-01-01T00:00:00Z"}'],
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
  const steps = stepsThat();
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), steps));
  expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE' });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('t0p-secret');
  expect(steps.heard).toEqual({ posts: 3, searches: 3 });
});

test.each([200, 201, 202, 299])('creating: a session that is answered with %i is a session', async (code) => {
  const body = '{"sessionId":"s","token":"t","expiresAt":"2030-01-01T00:00:00.000Z"}';
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'create', fault: status(code, body) });
  expect(await client.createSession(payloadOf(), inTime(), stepsThat())).toEqual({
    sessionId: 's',
    clientToken: 't',
    expiresAt: new Date('2030-01-01T00:00:00.000Z'),
  });
});

test('creating: where nobody listens it is tried as often as is allowed, and nothing was opened', async () => {
  const { client } = await startClient({ sessionsUrl: await closedUrl(), maxAttempts: 4 });
  const steps = stepsThat();
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), steps));
  expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE', retryable: true, retryAfterSeconds: expect.any(Number) });
  expect(steps.heard).toEqual({ posts: 4, searches: 0 });
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
  await client.createSession(payloadOf(), inTime(), {
    ...stepsThat(),
    onPost: () => {
      posts += 1;
      if (posts === 2) back = sandbox.acceptConnections();
    },
  });
  await back;
  expect(posts).toBeGreaterThan(1);
  expect(sandbox.sessions()).toHaveLength(1);
  expect(sandbox.count('create')).toBe(1);
});

test.each([
  ['a hang', { kind: 'hang' }],
  ['a dripping body', { kind: 'drip', everyMs: 20 }],
] as [string, Fault][])(
  'creating: %s is cut at the deadline, when that comes before the timeout, and searched for',
  async (_what, fault) => {
    const { sandbox, client } = await startClient({ timeoutMs: HOUR_MS });
    await client.authenticate(inTime());
    sandbox.scenarios.add({ on: 'create', fault });
    const steps = stepsThat();
    expect(await outcomeOf(client.createSession(payloadOf(), new Deadline(200), steps))).toMatchObject({
      code: 'CXONE_UNAVAILABLE',
    });
    expect(steps.heard).toEqual({ posts: 1, searches: 1 });
  },
);

/** The one session at CXone, as a POST would have answered it. */
function createdAt(sandbox: CxoneSandbox): CreatedSession {
  const [session] = sandbox.sessions(GUEST);
  if (!session) throw new Error('there is no session');
  return { sessionId: session.sessionId, clientToken: session.token, expiresAt: session.expiresAt };
}

const postedIds = (sandbox: CxoneSandbox) =>
  sandbox.calls.filter(({ call }) => call === 'create').map(({ requestId }) => requestId);
