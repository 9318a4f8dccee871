import { expect, test, vi } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { callOverHttp, closed, createOverHttp, headOfCreate } from './raw-requests.js';
import { bearerOf, GUEST, getSessions, postSession, postToken, WITHIN } from './requests.js';

test('a rate limit is a 429 with the Retry-After as it was given, or without one', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'rate-limit', retryAfter: 'Wed, 21 Oct 2026' }, times: 1 });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'rate-limit', status: 503 }, times: 1 });
  const limited = await postSession(sandbox, bearer);
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, 'Wed, 21 Oct 2026']);
  const busy = await postSession(sandbox, bearer);
  expect([busy.status, busy.headers.get('retry-after')]).toEqual([503, null]);
  expect((await postSession(sandbox, bearer)).status).toBe(201);
});

test('any status can be answered, with a body and headers of choice', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const fault: Fault = { kind: 'status', status: 502, body: '<h1>Bad gateway</h1>', headers: { 'x-proxy': 'edge' } };
  sandbox.scenarios.add({ on: 'list', fault });
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'status', status: 401 } });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'status', status: 500 } });
  const list = await getSessions(sandbox, bearer);
  expect([list.status, list.headers.get('x-proxy'), await list.text()]).toEqual([502, 'edge', '<h1>Bad gateway</h1>']);
  expect(await (await postToken(sandbox)).json()).toMatchObject({ error: 'invalid_client' });
  expect(await (await postSession(sandbox, bearer)).json()).toMatchObject({ error: 'sandbox_fault' });
});

test.each(['outage', 'reset'] as const)(
  '%s cuts the connection before any answer, with or without the work done',
  async (kind) => {
    await using sandbox = await CxoneSandbox.start();
    const bearer = await bearerOf(sandbox);
    sandbox.scenarios.add({ on: 'create', fault: { kind }, times: 1 });
    await expect(createOverHttp(sandbox, bearer)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(sandbox.sessions()).toEqual([]);
    sandbox.scenarios.add({ on: 'create', fault: { kind }, times: 1, when: 'after' });
    await expect(createOverHttp(sandbox, bearer)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(sandbox.sessions()).toHaveLength(1);
    expect(sandbox.calls.slice(-2).map(({ status }) => status)).toEqual([null, null]);
  },
);

test('an outage strikes before the body is there, a reset waits for it', async () => {
  await using sandbox = await CxoneSandbox.start();
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'outage' }, times: 1 });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' }, times: 1 });
  const withoutBody = headOfCreate(sandbox);
  await closed(withoutBody);
  const withBody = headOfCreate(sandbox);
  const end = closed(withBody);
  await vi.waitFor(() => expect(sandbox.count('create')).toBe(2), WITHIN);
  expect(withBody.closed).toBe(false);
  withBody.write('{}');
  expect(await end).toMatchObject({ code: 'ECONNRESET' });
});

test('a slow call opens its session at once and answers late', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 300 } });
  const startedAt = performance.now();
  let answered = false;
  const pending = postSession(sandbox, bearer).finally(() => {
    answered = true;
  });
  await vi.waitFor(() => expect(sandbox.sessions()).toHaveLength(1), WITHIN);
  expect(answered).toBe(false);
  expect((await pending).status).toBe(201);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290);
});

test.each([
  ['create', 1, 2],
  ['end', 1, 0],
] as const)('a slow %s whose work comes last is done even when the client has left', async (call, before, after) => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.addSession(GUEST);
  sandbox.scenarios.add({ on: call, fault: { kind: 'slow', delayMs: 200 }, when: 'before' });
  const { abort, answer } = callOverHttp(sandbox, call, bearer);
  await vi.waitFor(() => expect(sandbox.calls.at(-1)?.guestId).toBe(GUEST), WITHIN);
  abort();
  await expect(answer).rejects.toThrow();
  expect(sandbox.sessions()).toHaveLength(before);
  await vi.waitFor(() => expect(sandbox.sessions()).toHaveLength(after), WITHIN);
  expect(sandbox.calls.at(-1)?.status).toBeNull();
});

test.each(['before', 'after'] as const)(
  'a call that hangs is never answered, with the fault %s the work',
  async (when) => {
    await using sandbox = await CxoneSandbox.start();
    const bearer = await bearerOf(sandbox);
    sandbox.scenarios.add({ on: 'create', fault: { kind: 'hang' }, when });
    const { abort, answer } = callOverHttp(sandbox, 'create', bearer);
    await vi.waitFor(() => expect(sandbox.calls.at(-1)?.guestId).toBe(GUEST), WITHIN);
    abort();
    await expect(answer).rejects.toThrow();
    expect(sandbox.sessions()).toHaveLength(when === 'after' ? 1 : 0);
  },
);

test('a drip gives headers at once and bytes that never end', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'drip', everyMs: 1 } });
  const response = await createOverHttp(sandbox, bearer);
  expect(response.statusCode).toBe(201);
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await vi.waitFor(() => expect(bytes).toBeGreaterThan(5), WITHIN);
  expect(response.complete).toBe(false);
  response.destroy();
});

test('an oversized answer is 5 MB of JSON', async () => {
  await using sandbox = await CxoneSandbox.start();
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'oversized' } });
  const body = await (await getSessions(sandbox, 'any')).text();
  expect(body.length).toBeGreaterThan(5_000_000);
  expect(JSON.parse(body)).toMatchObject({ items: [] });
});

test('refused connections are ECONNREFUSED until they are accepted again, on the same port', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const { url } = sandbox;
  await sandbox.refuseConnections();
  await expect(createOverHttp(sandbox, bearer)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await sandbox.acceptConnections();
  expect(sandbox.url).toBe(url);
  expect((await createOverHttp(sandbox, bearer)).statusCode).toBe(201);
});
