import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { bodyOf, closedUrl, serve } from '../outbound/raw-server.js';
import { eventually } from '../support/eventually.js';
import { clientOf, GUEST, inTime, startClient, timeoutMsFor } from './client.js';

test('the token is asked for as RFC 6749 §4.4 says, with every character of the secret', async () => {
  const clientSecret = 'p+ss/w&rd=%20 ü';
  const { sandbox, tokens } = await startClient({ sandbox: { clientSecret }, clientSecret });
  expect(await tokens.get(inTime())).toMatch(/^\S{40,}$/);
  expect(sandbox.calls).toMatchObject([{ call: 'token', status: 200 }]);

  let form = '';
  const { url, requests } = await serve(async (request, response) => {
    form = await bodyOf(request);
    response.end('{"access_token":"t","token_type":"Bearer","expires_in":60}');
  });
  await clientOf(`${url}//`, { clientSecret }).tokens.get(inTime());
  expect(requests[0]).toMatchObject({ method: 'POST', url: '/oauth/token' });
  expect(requests[0]?.headers).toMatchObject({ 'content-type': 'application/x-www-form-urlencoded' });
  expect(requests[0]?.headers).not.toHaveProperty('authorization');
  expect(Object.fromEntries(new URLSearchParams(form))).toEqual({
    grant_type: 'client_credentials',
    client_id: 'sandbox-client',
    client_secret: clientSecret,
  });
});

test('a hundred that ask at once cause one fetch and get one token', async () => {
  const { sandbox, tokens } = await startClient();
  const got = await Promise.all(Array.from({ length: 100 }, () => tokens.get(inTime())));
  expect(new Set(got).size).toBe(1);
  expect(sandbox.count('token')).toBe(1);
});

test('a hundred that ask while a fetch fails share its failure, and the next one begins afresh', async () => {
  const { sandbox, tokens } = await startClient();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'status', status: 500 }, times: 1 });
  const settled = await Promise.allSettled(Array.from({ length: 100 }, () => tokens.get(inTime())));
  expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
  expect(sandbox.count('token')).toBe(1);
  expect(await tokens.get(inTime())).toMatch(/\S/);
  expect(sandbox.count('token')).toBe(2);
});

test('a token is used again until shortly before it expires, and then replaced before CXone has to reject it', async () => {
  const { sandbox, tokens, client } = await startClient({ sandbox: { tokenTtlSeconds: 1 } });
  const first = await tokens.get(inTime());
  expect(await tokens.get(inTime())).toBe(first);
  await eventually(async () => {
    await client.listActiveSessions(GUEST, inTime());
    return sandbox.count('token') === 2;
  });
  expect(await tokens.get(inTime())).not.toBe(first);
  expect(sandbox.calls.filter(({ status }) => status === 401)).toEqual([]);
});

test('a token of an hour is not fetched again within it', async () => {
  const { sandbox, tokens } = await startClient({ sandbox: { tokenTtlSeconds: 3600 } });
  for (let count = 0; count < 10; count += 1) await tokens.get(inTime());
  expect(sandbox.count('token')).toBe(1);
});

test('a token without a lifetime is used all the same', async () => {
  const { url, requests } = await tokenServer(200, '{"access_token":"t-1","token_type":"bearer"}');
  const { tokens } = clientOf(url);
  expect([await tokens.get(inTime()), await tokens.get(inTime())]).toEqual(['t-1', 't-1']);
  expect(requests).toHaveLength(1);
});

test.each([
  ['messaging:write', true],
  ['messaging:read messaging:write', true],
  [null, true],
  ['messaging:read', false],
  ['messaging:writer', false],
  ['MESSAGING:WRITE', false],
  ['', false],
])('a token with the scope %j is taken: %s', async (scope, isTaken) => {
  const { tokens } = await startClient({ sandbox: { scope } });
  if (isTaken) expect(await tokens.get(inTime())).toMatch(/\S/);
  else await expect(tokens.get(inTime())).rejects.toMatchObject({ code: 'CXONE_SCOPE_MISSING', retryable: false });
});

test('a token that lacks the scope is not remembered', async () => {
  const { sandbox, tokens } = await startClient({ sandbox: { scope: 'messaging:read' } });
  await expect(tokens.get(inTime())).rejects.toThrow(AttemptError);
  await expect(tokens.get(inTime())).rejects.toThrow(AttemptError);
  expect(sandbox.count('token')).toBe(2);
});

test('wrong credentials are refused once and for all, without a retry', async () => {
  const { sandbox, tokens } = await startClient({ clientSecret: 'wrong-secret-of-ours' });
  const error = await tokens.get(inTime()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'CXONE_AUTH_FAILED', status: 'FAILED', retryable: false });
  expect((error as AttemptError).detail).toContain('invalid_client');
  expect(sandbox.count('token')).toBe(1);
});

const REFUSALS: [string, Fault, string][] = [
  ['invalid_client with 400', status(400, '{"error":"invalid_client"}'), 'CXONE_AUTH_FAILED'],
  ['invalid_client with 401', status(401), 'CXONE_AUTH_FAILED'],
  ['unauthorized_client', status(400, '{"error":"unauthorized_client"}'), 'CXONE_AUTH_FAILED'],
  ['invalid_scope', status(400, '{"error":"invalid_scope"}'), 'CXONE_SCOPE_MISSING'],
  ['a 403 page', status(403, '<html>Forbidden</html>'), 'CXONE_AUTH_FAILED'],
  ['a 404', status(404), 'CXONE_AUTH_FAILED'],
  ['a redirect', { ...status(302), headers: { location: 'http://127.0.0.1:9/' } }, 'CXONE_AUTH_FAILED'],
  ['a 500', status(500), 'CXONE_UNAVAILABLE'],
  ['a 502 page', status(502, '<html>Bad gateway</html>'), 'CXONE_UNAVAILABLE'],
  ['a 503 without Retry-After', status(503), 'CXONE_UNAVAILABLE'],
  ['a reset', { kind: 'reset' }, 'CXONE_UNAVAILABLE'],
  ['an outage', { kind: 'outage' }, 'CXONE_UNAVAILABLE'],
  ['a hang', { kind: 'hang' }, 'CXONE_UNAVAILABLE'],
  ['a dripping body', { kind: 'drip', everyMs: 20 }, 'CXONE_UNAVAILABLE'],
  ['half a body', { kind: 'truncated' }, 'CXONE_UNAVAILABLE'],
  ['5 MB', { kind: 'oversized' }, 'CXONE_UNAVAILABLE'],
  ['HTML instead of a token', { kind: 'malformed' }, 'CXONE_CONTRACT_BROKEN'],
  ['{} instead of a token', { kind: 'wrong-shape' }, 'CXONE_CONTRACT_BROKEN'],
];

test.each(REFUSALS)('%s is one fetch and no token, and is forgotten', async (_what, fault, code) => {
  const { sandbox, tokens } = await startClient({ timeoutMs: timeoutMsFor(fault) });
  sandbox.scenarios.add({ on: 'token', fault, times: 1 });
  await expect(tokens.get(inTime())).rejects.toMatchObject({ name: 'AttemptError', code });
  expect(sandbox.count('token')).toBe(1);
  expect(await tokens.get(inTime())).toMatch(/\S/);
});

test.each([
  ['null', 'null'],
  ['a list', '[]'],
  ['a bare text', '"token"'],
  ['nothing', ''],
  ['a token that is a number', '{"access_token":7,"expires_in":60}'],
  ['an empty token', '{"access_token":"","expires_in":60}'],
  ['a lifetime as text', '{"access_token":"t","expires_in":"60"}'],
  ['a lifetime of nothing', '{"access_token":"t","expires_in":0}'],
  ['a lifetime in the past', '{"access_token":"t","expires_in":-60}'],
  ['scopes as a list', '{"access_token":"t","expires_in":60,"scope":["messaging:write"]}'],
  ['scopes as an object', '{"access_token":"t","expires_in":60,"scope":{"messaging":"write"}}'],
])('an answer that is %s breaks the contract, and is not repeated in the error', async (_what, body) => {
  const { url } = await tokenServer(200, body.replace('"t"', '"t0p-secret"'));
  const error = await clientOf(url)
    .tokens.get(inTime())
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'AttemptError', code: 'CXONE_CONTRACT_BROKEN' });
  expect(inspect(error, { depth: 9 })).not.toContain('t0p-secret');
});

test.each([
  ['429 with seconds', { kind: 'rate-limit', retryAfter: '0' }],
  ['429 with a date', { kind: 'rate-limit', retryAfter: new Date(0).toUTCString() }],
  ['429 without a word', { kind: 'rate-limit' }],
  ['429 with garbage', { kind: 'rate-limit', retryAfter: '7 apples' }],
  ['503 with seconds', { kind: 'rate-limit', retryAfter: '0', status: 503 }],
] as [string, Fault][])('%s is waited for', async (_what, fault) => {
  const { sandbox, tokens } = await startClient();
  sandbox.scenarios.add({ on: 'token', fault, times: 2 });
  expect(await tokens.get(inTime())).toMatch(/\S/);
  expect(sandbox.count('token')).toBe(3);
});

test('a rate limit that outlasts the tries is RATE_LIMITED', async () => {
  const { sandbox, tokens } = await startClient();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'rate-limit' } });
  const error = await tokens.get(inTime()).catch((thrown: unknown) => thrown as AttemptError);
  expect(error).toMatchObject({ code: 'RATE_LIMITED', retryable: true, retryAfterSeconds: expect.any(Number) });
  expect(sandbox.count('token')).toBe(3);
});

test('a rate limit of an hour is told at once', async () => {
  const { sandbox, tokens } = await startClient();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'rate-limit', retryAfter: '3600', status: 503 } });
  await expect(tokens.get(inTime())).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: 3600 });
  expect(sandbox.count('token')).toBe(1);
});

test('where nobody listens the token is tried for as often as is allowed, then CXone is unavailable', async () => {
  const { tokens } = clientOf(await closedUrl());
  await expect(tokens.get(inTime())).rejects.toMatchObject({
    code: 'CXONE_UNAVAILABLE',
    retryAfterSeconds: expect.any(Number),
  });
});

test('a token endpoint that comes back between two tries is found', async () => {
  const { sandbox, tokens } = await startClient({ maxAttempts: 10 });
  await sandbox.refuseConnections();
  const token = tokens.get(inTime());
  await sandbox.acceptConnections();
  expect(await token).toMatch(/\S/);
});

test('a caller whose deadline passes leaves, and the fetch goes on for the others', async () => {
  const { sandbox, tokens } = await startClient();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'slow', delayMs: 300 }, times: 1 });
  const patient = tokens.get(inTime());
  await expect(tokens.get(new Deadline(30))).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
  expect(await patient).toMatch(/\S/);
  expect(await tokens.get(new Deadline(30))).toBe(await patient);
  expect(sandbox.count('token')).toBe(1);
});

test('a fetch that hangs ends at its own deadline, when all who waited for it have left', async () => {
  const { sandbox, tokens } = await startClient({ timeoutMs: 60_000, fetchDeadlineMs: 200 });
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'hang' }, times: 1 });
  await expect(tokens.get(new Deadline(20))).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(await eventually(() => tokens.get(inTime()).catch(() => null))).toMatch(/\S/);
  expect(sandbox.count('token')).toBe(2);
});

test('a token that CXone rejects is dropped, and only as long as it is the one in use', async () => {
  const { sandbox, tokens } = await startClient();
  const first = await tokens.get(inTime());
  tokens.reject('some other token');
  expect(await tokens.get(inTime())).toBe(first);
  tokens.reject(first);
  const second = await tokens.get(inTime());
  expect(second).not.toBe(first);
  tokens.reject(first);
  expect(await tokens.get(inTime())).toBe(second);
  expect(sandbox.count('token')).toBe(2);
});

test('a token endpoint that echoes our secret does not get it into the error, in whatever coding', async () => {
  const clientSecret = 'p@ss/w+rd "quoted" ü';
  const encoded = new URLSearchParams({ client_secret: clientSecret }).toString().slice('client_secret='.length);
  const echoes = [clientSecret, JSON.stringify(clientSecret).slice(1, -1), encoded, encodeURIComponent(clientSecret)];
  for (const echo of echoes) {
    const { url } = await tokenServer(400, `bad client: ${echo}`);
    const error = await clientOf(url, { clientSecret })
      .tokens.get(inTime())
      .catch((thrown: unknown) => thrown as AttemptError);
    expect((error as AttemptError).detail).toContain('bad client: [redacted]');
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(echo);
  }
});

const tokenServer = (code: number, body: string) =>
  serve(async (request, response) => {
    await bodyOf(request);
    response.writeHead(code, { 'content-type': 'application/json' }).end(body);
  });

function status(code: number, body?: string): Fault & { kind: 'status' } {
  return { kind: 'status', status: code, ...(body !== undefined && { body }) };
}
