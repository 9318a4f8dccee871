import { request } from 'undici';
import { expect, test } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { bearerOf, GUEST, getSessions, OTHER_GUEST, postSession, postToken } from './requests.js';

test('scenarios are added, shown and removed over HTTP, without counting as calls', async () => {
  await using sandbox = await CxoneSandbox.start();
  const scenario = { on: 'token', fault: { kind: 'rate-limit', retryAfter: '7' }, times: 2 };
  expect((await control(sandbox, 'POST', 'scenarios', scenario)).status).toBe(201);
  expect((await postToken(sandbox)).headers.get('retry-after')).toBe('7');
  const state = await (await control(sandbox, 'GET', 'state')).json();
  expect(state).toEqual({
    sessions: [],
    counts: { token: 1, list: 0, create: 0, end: 0 },
    scenarios: [{ ...scenario, times: 1 }],
  });
  expect((await control(sandbox, 'DELETE', 'scenarios')).status).toBe(204);
  expect((await postToken(sandbox)).status).toBe(200);
});

test('several scenarios come as an array, all or none', async () => {
  await using sandbox = await CxoneSandbox.start();
  const good = { on: 'list', fault: { kind: 'hang' } };
  const refused = await control(sandbox, 'POST', 'scenarios', [good, { on: 'list' }]);
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ message: 'scenarios[1].fault: must be an object' });
  expect(sandbox.scenarios.list()).toEqual([]);
  await control(sandbox, 'POST', 'scenarios', [good, good]);
  expect(sandbox.scenarios.list()).toEqual([good, good]);
});

const hang = { kind: 'hang' };
test.each([
  ['no JSON', '{', 'scenario: the body must be JSON'],
  ['a number', 1, 'scenario: must be an object'],
  ['a call of another sandbox', { on: 'webhook', fault: hang }, 'scenario.on: must be one of token, list, create, end'],
  ['an unknown field', { on: 'list', fault: hang, time: 1 }, 'scenario.time: unknown; expected on, fault, times'],
  [
    'an unknown kind',
    { on: 'list', fault: { kind: 'fire' } },
    'scenario.fault.kind: must be one of rate-limit, status',
  ],
  ['a kind every object has', { on: 'list', fault: { kind: 'toString' } }, 'scenario.fault.kind: must be one of'],
  ['a field of another kind', { on: 'list', fault: { ...hang, delayMs: 1 } }, 'scenario.fault.delayMs: unknown'],
  ['no delay', { on: 'list', fault: { kind: 'slow' } }, 'scenario.fault.delayMs: must be a whole number from 0'],
  ['no status', { on: 'list', fault: { kind: 'status', status: 99 } }, 'scenario.fault.status: must be a whole number'],
  [
    'a bad header',
    { on: 'list', fault: { kind: 'status', status: 500, headers: { 'a b': '' } } },
    'fault.headers: a b',
  ],
  [
    'a numeric Retry-After',
    { on: 'list', fault: { kind: 'rate-limit', retryAfter: 3 } },
    'retryAfter: must be a string',
  ],
  ['an unknown moment', { on: 'list', fault: hang, when: 'during' }, 'scenario.when: must be one of before, after'],
])('a scenario with %s is refused with the field by name', async (_what, scenario, message) => {
  await using sandbox = await CxoneSandbox.start();
  const response = await control(sandbox, 'POST', 'scenarios', scenario);
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({ error: 'invalid_scenario', message: expect.stringContaining(message) });
});

test('sessions are added over HTTP and shown without their token', async () => {
  await using sandbox = await CxoneSandbox.start();
  const added = await control(sandbox, 'POST', 'sessions', { guestId: OTHER_GUEST, ttlSeconds: 60 });
  expect(added.status).toBe(201);
  const bearer = await bearerOf(sandbox);
  const opened = (await (await postSession(sandbox, bearer)).json()) as { token: string };
  const state = await (await control(sandbox, 'GET', 'state')).text();
  expect(JSON.parse(state).sessions).toMatchObject([{ guestId: OTHER_GUEST, requestId: null }, { guestId: GUEST }]);
  expect(state).not.toContain(opened.token);
  expect(state).not.toContain('ctk_');
  expect((await control(sandbox, 'POST', 'sessions', {})).status).toBe(400);
  expect((await control(sandbox, 'POST', 'sessions', { guestId: GUEST, ttlSeconds: -1 })).status).toBe(400);
});

test('a session is ended over HTTP, once, and stays in the history without its token', async () => {
  await using sandbox = await CxoneSandbox.start();
  const { sessionId } = sandbox.addSession(GUEST);
  sandbox.addSession(OTHER_GUEST);
  const statuses = [];
  for (const id of [sessionId, sessionId, 'cxs_unknown', '%', '']) {
    statuses.push((await control(sandbox, 'DELETE', `sessions/${id}`)).status);
  }
  expect(statuses).toEqual([204, 404, 404, 404, 404]);
  expect(sandbox.sessions()).toMatchObject([{ guestId: OTHER_GUEST }]);
  const history = await (await control(sandbox, 'GET', 'history')).text();
  expect(JSON.parse(history)).toMatchObject([
    { sessionId, guestId: GUEST, endedAt: expect.stringMatching(/Z$/) },
    { guestId: OTHER_GUEST, endedAt: null },
  ]);
  expect(history).not.toContain('ctk_');
  const ofGuest = await control(sandbox, 'GET', `history?guestId=${GUEST}`);
  expect(await ofGuest.json()).toMatchObject([{ sessionId }]);
  expect(sandbox.count('end')).toBe(0);
});

test('tokens are revoked over HTTP', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  expect((await control(sandbox, 'POST', 'revoke-tokens')).status).toBe(204);
  expect((await getSessions(sandbox, bearer)).status).toBe(401);
});

test('an unknown control route is a 404 that names those there are', async () => {
  await using sandbox = await CxoneSandbox.start();
  const response = await control(sandbox, 'GET', 'sessions');
  expect(response.status).toBe(404);
  expect(((await response.json()) as { message: string }).message).toContain('POST sessions');
});

function control(sandbox: CxoneSandbox, method: string, name: string, body?: unknown): Promise<Response> {
  return fetch(`${sandbox.controlUrl}${name}`, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}

test.each([
  ['an Origin', { origin: 'https://evil.example' }],
  ['an Origin of this machine', { origin: 'http://127.0.0.1:8080' }],
  ['the Host of a name that was made to lead here', { host: 'evil.example' }],
  ['no Host that can be read', { host: 'a b' }],
])('a web page may not play with the tenant: what comes with %s is refused', async (_what, headers) => {
  await using sandbox = await CxoneSandbox.start();
  const body = JSON.stringify({ on: 'token', fault: { kind: 'hang' } });
  const refused = await request(`${sandbox.controlUrl}scenarios`, { method: 'POST', headers, body });

  expect(refused.statusCode).toBe(403);
  expect(sandbox.scenarios.list()).toEqual([]);
});
