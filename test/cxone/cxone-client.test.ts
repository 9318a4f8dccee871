import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import { closedUrl, serve } from '../outbound/raw-server.js';
import {
  type ClientOptions,
  FINGERPRINT,
  GUEST,
  inTime,
  outcomeOf,
  payloadOf,
  startClient,
  status,
  stepsThat,
} from './client.js';

test('creating: a token that was revoked is replaced once, unseen by the caller', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  sandbox.revokeTokens();
  const steps = stepsThat();
  await client.createSession(payloadOf(), inTime(), steps);
  expect(steps.heard).toEqual({ posts: 2, searches: 0 });
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
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), stepsThat()));
  expect(error).toMatchObject({ code: 'CXONE_AUTH_FAILED' });
  expect((error as AttemptError).detail).toContain('invalid_client');
  expect(sandbox.count('create')).toBe(1);
});

test('nothing is sent when the deadline has passed', async () => {
  const { sandbox, client } = await startClient();
  await client.authenticate(inTime());
  const past = new Deadline(0);
  const steps = stepsThat();
  for (const call of [
    client.createSession(payloadOf(), past, steps),
    client.listActiveSessions(GUEST, past),
    client.endSession('cxs_1', past),
  ]) {
    expect(await outcomeOf<unknown>(call)).toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
  }
  expect(steps.heard).toEqual({ posts: 0, searches: 0 });
  expect([sandbox.count('create'), sandbox.count('list'), sandbox.count('end')]).toEqual([0, 0, 0]);
});

test("CXone's words reach operations, without fingerprint, bearer or line breaks, and not at any length", async () => {
  const { sandbox, client, tokens } = await startClient();
  const token = await tokens.get(inTime());
  const body = `{"error":"bad\n\tqueue","echo":"${FINGERPRINT}","bearer":"${token}","padding":"${'x'.repeat(5000)}"}`;
  sandbox.scenarios.add({ on: 'create', fault: status(400, body) });
  const error = (await outcomeOf(client.createSession(payloadOf(), inTime(), stepsThat()))) as AttemptError;
  expect(error.detail).toMatch(
    /^CXone answered 400: \{"error":"bad queue","echo":"\[redacted\]","bearer":"\[redacted\]"/,
  );
  expect(error.detail?.length).toBeLessThan(600);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token);
  expect(error.message).not.toContain('queue');
});

const BROKEN_CONNECTIONS: [string, (options: ClientOptions) => Promise<ClientOptions>][] = [
  ['nobody listens', async (options) => ({ ...options, sessionsUrl: await closedUrl() })],
  ['CXone hangs', async (options) => ({ ...options, sessionsUrl: (await serve(() => undefined)).url })],
];

test.each(BROKEN_CONNECTIONS)('where %s the bearer is in no error', async (_what, optionsOf) => {
  const { client, tokens } = await startClient(await optionsOf({ timeoutMs: 100 }));
  const token = await tokens.get(inTime());
  for (const error of [
    await outcomeOf(client.createSession(payloadOf(), inTime(), stepsThat())),
    await outcomeOf(client.listActiveSessions(GUEST, inTime())),
    await outcomeOf<unknown>(client.endSession('cxs_1', inTime())),
  ]) {
    expect(error).toBeInstanceOf(AttemptError);
    expect(JSON.stringify(error)).not.toContain(token);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(token);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(FINGERPRINT);
  }
});
