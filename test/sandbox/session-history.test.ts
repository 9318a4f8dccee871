import { expect, test } from 'vitest';
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
} from './requests.js';

test('a session that an agent ends is neither listed nor ended again', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const { sessionId } = (await (await postSession(sandbox, bearer)).json()) as SessionAnswer;
  expect(sandbox.endSession(sessionId)).toBe(true);
  expect(await (await getSessions(sandbox, bearer)).json()).toEqual({ items: [] });
  expect((await deleteSession(sandbox, bearer, sessionId)).status).toBe(410);
  expect(sandbox.endSession(sessionId)).toBe(false);
  expect(sandbox.endSession('cxs_unknown')).toBe(false);
});

test('the history holds sessions live and over with their end, by guest, as they were when it was asked', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const payload = sessionPayload();
  const { requestId } = payload.routing.attributes;
  const ended = (await (await postSession(sandbox, bearer, payload)).json()) as SessionAnswer;
  const other = sandbox.addSession(OTHER_GUEST);
  await deleteSession(sandbox, bearer, ended.sessionId);
  const live = (await (await postSession(sandbox, bearer, payload)).json()) as SessionAnswer;
  const history = sandbox.history(GUEST);
  sandbox.endSession(live.sessionId);
  expect(history).toMatchObject([
    { sessionId: ended.sessionId, requestId, createdAt: expect.any(Date), endedAt: expect.any(Date) },
    { sessionId: live.sessionId, requestId, endedAt: null },
  ]);
  expect(sandbox.history().map(({ sessionId }) => sessionId)).toEqual([
    ended.sessionId,
    other.sessionId,
    live.sessionId,
  ]);
  sandbox.reset();
  expect(sandbox.history(GUEST).map(({ endedAt }) => endedAt)).toEqual([expect.any(Date), expect.any(Date)]);
});
