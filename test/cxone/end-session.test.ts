import { expect, test } from 'vitest';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { closedUrl, serve } from '../outbound/raw-server.js';
import { clientOf, GUEST, HOUR_MS, inTime, outcomeOf, startClient, status, timeoutMsFor } from './client.js';

test('a session is ended at CXone', async () => {
  const { sandbox, client } = await startClient();
  const { sessionId } = sandbox.addSession(GUEST);
  const other = sandbox.addSession(GUEST);
  expect(await client.endSession(sessionId, inTime())).toBe('ENDED');
  expect(sandbox.sessions(GUEST)).toMatchObject([{ sessionId: other.sessionId }]);
  expect(await client.endSession(sessionId, inTime())).toBe('NOT_THERE');
  expect(await client.endSession('cxs_unknown', inTime())).toBe('NOT_THERE');
});

test('the order is a DELETE with the bearer, and an id of any kind is one part of the path', async () => {
  const { url, requests } = await serve((request, response) => {
    if (request.method === 'DELETE') response.writeHead(204).end();
    else response.end('{"access_token":"bearer-1","token_type":"Bearer","expires_in":60}');
  });
  expect(await clientOf(url).client.endSession('a/../b?c#d%2F', inTime())).toBe('ENDED');
  expect(requests[1]).toMatchObject({
    method: 'DELETE',
    url: '/api/v1/messaging/sessions/a%2F..%2Fb%3Fc%23d%252F',
  });
  expect(requests[1]?.headers).toMatchObject({ authorization: 'Bearer bearer-1' });
});

test.each([
  [200, 'ENDED'],
  [202, 'ENDED'],
  [204, 'ENDED'],
  [404, 'NOT_THERE'],
  [410, 'NOT_THERE'],
  [405, 'UNSUPPORTED'],
  [501, 'UNSUPPORTED'],
])('ending: %i means %s', async (code, end) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'end', fault: status(code) });
  expect(await client.endSession('cxs_1', inTime())).toBe(end);
  expect(sandbox.count('end')).toBe(1);
});

test.each(['malformed', 'wrong-shape'] as const)('ending: what a 2xx says is not looked at (%s)', async (kind) => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'end', fault: { kind } });
  expect(await client.endSession('cxs_1', inTime())).toBe('ENDED');
});

const REFUSALS: { what: string; fault: Fault; code: string; orders: number; retryAfterSeconds?: unknown }[] = [
  { what: '400', fault: status(400), code: 'CXONE_REJECTED', orders: 1 },
  { what: '302', fault: status(302), code: 'CXONE_REJECTED', orders: 1 },
  { what: '409', fault: status(409), code: 'CXONE_REJECTED', orders: 1 },
  { what: '403', fault: status(403), code: 'CXONE_SCOPE_MISSING', orders: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', orders: 2 },
  {
    what: '429 for ever',
    fault: { kind: 'rate-limit' },
    code: 'RATE_LIMITED',
    orders: 3,
    retryAfterSeconds: someWait(),
  },
  {
    what: '503 of an hour',
    fault: { kind: 'rate-limit', status: 503, retryAfter: '3600' },
    code: 'RATE_LIMITED',
    orders: 1,
    retryAfterSeconds: 3600,
  },
  ...[500, 502, 503, 504].map((code) => ({
    what: `${code} for ever`,
    fault: status(code),
    code: 'CXONE_UNAVAILABLE',
    orders: 3,
    retryAfterSeconds: someWait(),
  })),
  ...(['reset', 'outage', 'hang', 'truncated', 'drip', 'oversized'] as const).map((kind) => ({
    what: `a ${kind} for ever`,
    fault: { kind },
    code: 'CXONE_UNAVAILABLE',
    orders: 3,
    retryAfterSeconds: someWait(),
  })),
];

test.each(REFUSALS)('ending: $what is $code after $orders DELETEs', async (row) => {
  const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(row.fault) });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'end', fault: row.fault });
  const { retryAfterSeconds, code } = row;
  expect(await outcomeOf<unknown>(client.endSession('cxs_1', inTime()))).toMatchObject({
    name: 'AttemptError',
    code,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
  expect(sandbox.count('end')).toBe(row.orders);
});

test.each([
  ['a reset', { kind: 'reset' }],
  ['a hang', { kind: 'hang' }],
  ['half a body', { kind: 'truncated' }],
  ['a dripping body', { kind: 'drip', everyMs: 20 }],
  ['a 500', { kind: 'status', status: 500 }],
  ['a 504', { kind: 'status', status: 504 }],
] as [string, Fault][])(
  'ending: an order that was carried out and answered with %s has ended it',
  async (_what, fault) => {
    const { sandbox, client } = await startClient({ timeoutMs: timeoutMsFor(fault) });
    await client.authenticate(inTime());
    const { sessionId } = sandbox.addSession(GUEST);
    sandbox.scenarios.add({ on: 'end', fault, when: 'after', times: 1 });
    expect(await client.endSession(sessionId, inTime())).toBe('ENDED');
    // The second was answered 410.
    expect(sandbox.calls.filter(({ call }) => call === 'end').map(({ status: code }) => code)[1]).toBe(410);
  },
);

test('ending: a rate limit comes before any work, so that a 404 after it means what it says', async () => {
  const { sandbox, client } = await startClient();
  sandbox.scenarios.add({ on: 'end', fault: { kind: 'rate-limit', retryAfter: '0', status: 503 }, times: 1 });
  expect(await client.endSession('cxs_1', inTime())).toBe('NOT_THERE');
  expect(sandbox.count('end')).toBe(2);
});

test('ending: a token that was revoked is replaced once', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  expect(await client.endSession(sandbox.addSession(GUEST).sessionId, inTime())).toBe('ENDED');
  expect([sandbox.count('token'), sandbox.count('end')]).toEqual([2, 2]);
});

test('ending: all who end one session at once hear the same of one order', async () => {
  const { sandbox, client } = await startClient();
  const { sessionId } = sandbox.addSession(GUEST);
  const ends = await Promise.all(Array.from({ length: 5 }, () => client.endSession(sessionId, inTime())));
  expect(ends).toEqual(Array(5).fill('ENDED'));
  expect(sandbox.count('end')).toBe(1);
  expect(await client.endSession(sessionId, inTime())).toBe('NOT_THERE');
});

test('ending: where nobody listens it is tried as often as is allowed', async () => {
  const { client } = await startClient({ sessionsUrl: await closedUrl() });
  expect(await outcomeOf<unknown>(client.endSession('cxs_1', inTime()))).toMatchObject({
    code: 'CXONE_UNAVAILABLE',
    retryAfterSeconds: someWait(),
  });
});

test('ending: a hang that outlasts the deadline is DEADLINE_EXCEEDED', async () => {
  const { sandbox, client } = await startClient({ timeoutMs: HOUR_MS });
  await client.authenticate(inTime());
  sandbox.scenarios.add({ on: 'end', fault: { kind: 'hang' } });
  expect(await outcomeOf<unknown>(client.endSession('cxs_1', new Deadline(100)))).toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
});

function someWait(): unknown {
  return expect.any(Number);
}
