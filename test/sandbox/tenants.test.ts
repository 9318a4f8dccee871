import { expect, test } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { bearerOf, deleteSession, GUEST, getSessions, postSession, type SessionAnswer } from './requests.js';

test('a tenant that does not echo attributes lists no request id', async () => {
  await using sandbox = await CxoneSandbox.start({ echoAttributes: false });
  const bearer = await bearerOf(sandbox);
  await postSession(sandbox, bearer);
  const { items } = (await (await getSessions(sandbox, bearer)).json()) as { items: object[] };
  expect(items).toHaveLength(1);
  expect(items[0]).not.toHaveProperty('routing');
});

test('a tenant that repeats credentials lists those that the creation gave', async () => {
  await using sandbox = await CxoneSandbox.start({ echoToken: true });
  const bearer = await bearerOf(sandbox);
  const { sessionId, token } = (await (await postSession(sandbox, bearer)).json()) as SessionAnswer;
  const { items } = (await (await getSessions(sandbox, bearer)).json()) as { items: object[] };
  expect(items).toMatchObject([{ sessionId, token }]);
});

test('a tenant that lets no sessions be listed answers 403, and opens them all the same', async () => {
  await using sandbox = await CxoneSandbox.start({ canList: false });
  const bearer = await bearerOf(sandbox);
  expect((await postSession(sandbox, bearer)).status).toBe(201);
  const list = await getSessions(sandbox, bearer);
  expect([list.status, await list.json()]).toEqual([403, expect.objectContaining({ error: 'forbidden' })]);
  expect((await getSessions(sandbox, 'made-up')).status).toBe(401);
});

test('a tenant that lets no session be ended answers 405, and only an agent can end it', async () => {
  await using sandbox = await CxoneSandbox.start({ canEndSessions: false });
  const bearer = await bearerOf(sandbox);
  const { sessionId } = sandbox.addSession(GUEST);
  const refused = await deleteSession(sandbox, bearer, sessionId);
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, '']);
  expect(await refused.json()).toMatchObject({ error: 'method_not_allowed' });
  expect(sandbox.sessions()).toHaveLength(1);
  expect((await deleteSession(sandbox, 'made-up', sessionId)).status).toBe(401);
  expect(sandbox.endSession(sessionId)).toBe(true);
  expect(sandbox.sessions()).toEqual([]);
});
