import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import {
  bearerOf,
  deleteSession,
  GUEST,
  getSessions,
  OTHER_GUEST,
  postSession,
  type SessionAnswer,
  sessionPayload,
  WITHIN,
} from './requests.js';

test('a session that is opened is listed with its request id and ends once', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const requestId = randomUUID();
  const created = await postSession(sandbox, bearer, sessionPayload(GUEST, requestId));
  expect(created.status).toBe(201);
  const session = (await created.json()) as SessionAnswer;
  expect(session).toEqual({
    sessionId: expect.stringMatching(/^cxs_[0-9a-f-]{36}$/),
    token: expect.stringMatching(/^ctk_\S{20,}$/),
    expiresAt: expect.stringMatching(/Z$/),
    status: 'active',
  });
  expect(sandbox.sessions(GUEST)).toMatchObject([{ ...withoutStatus(session), requestId }]);

  const list = await getSessions(sandbox, bearer);
  expect(await list.json()).toEqual({
    items: [
      {
        sessionId: session.sessionId,
        guestId: GUEST,
        status: 'active',
        createdAt: expect.any(String),
        expiresAt: expect.any(String),
        routing: { attributes: { requestId } },
      },
    ],
  });
  expect(await (await getSessions(sandbox, bearer, OTHER_GUEST)).json()).toEqual({ items: [] });

  expect((await deleteSession(sandbox, bearer, session.sessionId)).status).toBe(204);
  expect((await deleteSession(sandbox, bearer, session.sessionId)).status).toBe(410);
  expect((await deleteSession(sandbox, bearer, 'cxs_unknown')).status).toBe(404);
  expect(sandbox.sessions()).toEqual([]);
  expect(await (await getSessions(sandbox, bearer)).json()).toEqual({ items: [] });
});

test('the same request id twice opens two sessions, as CXone would', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const payload = sessionPayload();
  await postSession(sandbox, bearer, payload);
  await postSession(sandbox, bearer, payload);
  expect(sandbox.sessions(GUEST)).toHaveLength(2);
});

test('a session that somebody else opened is listed too', async () => {
  await using sandbox = await CxoneSandbox.start();
  const { sessionId } = sandbox.addSession(OTHER_GUEST);
  const { items } = (await (await getSessions(sandbox, await bearerOf(sandbox), OTHER_GUEST)).json()) as {
    items: object[];
  };
  expect(items).toMatchObject([{ sessionId, guestId: OTHER_GUEST }]);
});

test('a session is over when its time is', async () => {
  await using sandbox = await CxoneSandbox.start({ sessionTtlSeconds: 0.05 });
  const bearer = await bearerOf(sandbox);
  const { sessionId } = (await (await postSession(sandbox, bearer)).json()) as SessionAnswer;
  await vi.waitFor(() => expect(sandbox.sessions()).toEqual([]), WITHIN);
  expect(await (await getSessions(sandbox, bearer)).json()).toEqual({ items: [] });
  expect((await deleteSession(sandbox, bearer, sessionId)).status).toBe(410);
});

test('every problem of a payload is told with its path, and no session is opened', async () => {
  await using sandbox = await CxoneSandbox.start();
  const payload = { ...sessionPayload('GUEST'), channel: 'fax', extra: 1, metadata: [] };
  const response = await postSession(sandbox, await bearerOf(sandbox), payload);
  expect(response.status).toBe(400);
  const answer = (await response.json()) as { error: string; details: { path: string }[] };
  expect(answer.error).toBe('validation_failed');
  expect(answer.details.map(({ path }) => path)).toEqual(['extra', 'guestId', 'channel', 'metadata']);
  expect(sandbox.sessions()).toEqual([]);
});

test('a creation without X-Request-Id, with another type or with no JSON is refused', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const headers = { 'x-request-id': randomUUID() };
  for (const response of [
    await postSession(sandbox, bearer, sessionPayload(), {}),
    await postSession(sandbox, bearer, sessionPayload(), { ...headers, 'content-type': 'text/plain' }),
    await postSession(sandbox, bearer, '{', headers),
  ]) {
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: 'validation_failed' });
  }
});

test('a list needs a guest and status=active', async () => {
  await using sandbox = await CxoneSandbox.start();
  const headers = { authorization: `Bearer ${await bearerOf(sandbox)}` };
  for (const query of ['', '?guestId=', '?status=active', `?guestId=${GUEST}&status=ended`]) {
    expect((await fetch(`${sandbox.url}/api/v1/messaging/sessions${query}`, { headers })).status).toBe(400);
  }
});

test('a body above 64 kB is answered 413, and an unknown path 404, both in JSON', async () => {
  await using sandbox = await CxoneSandbox.start();
  const tooLarge = await postSession(sandbox, await bearerOf(sandbox), 'x'.repeat(64 * 1024 + 1));
  expect(tooLarge.status).toBe(413);
  expect(await tooLarge.json()).toMatchObject({ error: 'payload_too_large' });
  const unknown = await fetch(`${sandbox.url}/api/v2`);
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ error: 'not_found' });
});

test('calls are recorded in order, without any credential', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  await postSession(sandbox, bearer, sessionPayload(), { 'x-request-id': 'request-1' });
  await getSessions(sandbox, bearer);
  expect(sandbox.calls).toEqual([
    { call: 'token', at: expect.any(Date), requestId: null, guestId: null, status: 200 },
    { call: 'create', at: expect.any(Date), requestId: 'request-1', guestId: GUEST, status: 201 },
    { call: 'list', at: expect.any(Date), requestId: null, guestId: GUEST, status: 200 },
  ]);
  expect(JSON.stringify(sandbox.calls)).not.toContain(bearer);
  expect(sandbox.count('create')).toBe(1);
  sandbox.reset();
  expect(sandbox.calls).toEqual([]);
  expect(sandbox.count('create')).toBe(0);
  expect(sandbox.sessions()).toHaveLength(1);
});

test('a sandbox does not listen where others could reach it', async () => {
  await expect(CxoneSandbox.start({ host: '0.0.0.0' })).rejects.toThrow(/loopback/);
});

test('a port that is taken is an error at start', async () => {
  await using sandbox = await CxoneSandbox.start();
  const port = Number(new URL(sandbox.url).port);
  await expect(CxoneSandbox.start({ port })).rejects.toThrow(/EADDRINUSE/);
});

function withoutStatus({ sessionId, token }: SessionAnswer) {
  return { sessionId, token };
}
