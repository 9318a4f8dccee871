import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CxoneSandbox, type CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '300' };
const RESET: Fault = { kind: 'reset' };

const keyed = (guestId?: string) => ({ ...inputFor(guestId), idempotencyKey: randomUUID() });

const start = (cxone: CxoneSandboxOptions = {}, env: Record<string, string> = {}) =>
  startNetwork({ cxone, env: { ...ENV, ...env } });

/** The next POST does its work, and its answer is lost. */
function loseAnswer(network: Network, fault: Fault = RESET): void {
  network.cxone.scenarios.add({ on: 'create', fault, when: 'after', times: 1 });
}

const UNKNOWN = { code: 'OUTCOME_UNKNOWN', stage: 'CREATE', field: null };

/** Opens a session whose answer is lost; gives the payload, and what CXone has of it. */
async function lose(network: Network, input: ReturnType<typeof keyed>, fault?: Fault) {
  loseAnswer(network, fault);
  const payload = await open(network, input);
  expect(payload).toMatchObject({ session: null, clientToken: null, replayed: false, userErrors: [UNKNOWN] });
  const session = network.cxone.history(input.guestId).find(({ requestId }) => requestId === payload.requestId)!;
  return { payload, session };
}

/** What CXone knows of a guest, after a look that no two sessions lived at the same time. */
function livesOf(network: Network, guestId: string) {
  const history = network.cxone.history(guestId);
  for (const [index, { createdAt }] of history.entries()) {
    const before = history[index - 1];
    if (before) expect(before.endedAt?.getTime()).toBeLessThanOrEqual(createdAt.getTime());
  }
  return history;
}

const typesOf = (events: { type: string; requestId: string }[], requestId: string) =>
  events.filter((event) => event.requestId === requestId && !event.type.includes('CRM')).map(({ type }) => type);

/** Of how it was opened, oldest first: not of who was told afterwards. */
const auditsOf = (audits: { kind: string; requestId: string }[], requestId: string) =>
  audits
    .filter((audit) => audit.requestId === requestId && !['CRM_SYNC', 'SESSION_REPLAYED'].includes(audit.kind))
    .reverse();

describe('an answer that was lost', () => {
  test('is found again where CXone’s list tells the token: one POST, and all is well', async () => {
    const network = await start({ echoToken: true });
    const input = keyed();
    loseAnswer(network);

    const payload = await open(network, input);

    const [session] = livesOf(network, input.guestId);
    expect(payload).toMatchObject({
      userErrors: [],
      replayed: false,
      clientToken: session?.token,
      session: { sessionId: session?.sessionId, status: 'ACTIVE', attempts: 1 },
    });
    expect(network.cxone.count('create')).toBe(1);
    const { audits, events } = await booksOf(network, input.guestId);
    expect(typesOf(events, payload.requestId)).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED']);
    expect(auditsOf(audits, payload.requestId)).toMatchObject([{ kind: 'SESSION_INITIATION', status: 'SUCCESS' }]);
    expect(await open(network, input)).toMatchObject({ replayed: true, clientToken: session?.token });
    expect(network.cxone.count('create')).toBe(1);
  });

  test.each([
    ['a reset', RESET],
    ['a hang', { kind: 'hang' }],
    ['500', { kind: 'status', status: 500 }],
    ['502', { kind: 'status', status: 502 }],
    ['504', { kind: 'status', status: 504 }],
    ['half a body', { kind: 'truncated' }],
    ['HTML', { kind: 'malformed' }],
    ['{}', { kind: 'wrong-shape' }],
    ['a dripping body', { kind: 'drip', everyMs: 20 }],
  ] as [string, Fault][])(
    'by %s leaves the outcome open and the place held; the same key ends what is there and opens afresh',
    async (_what, fault) => {
      const network = await start({}, { MAX_CONCURRENT_SESSIONS: '1' });
      const input = keyed();
      const { payload: first, session: lost } = await lose(network, input, fault);
      expect(first.userErrors).toMatchObject([{ retryable: true }]);
      expect(network.cxone.count('create')).toBe(1);
      expect((await booksOf(network, input.guestId)).sessions).toMatchObject([
        { id: first.requestId, status: 'UNKNOWN', failureCode: 'OUTCOME_UNKNOWN', sessionId: lost.sessionId },
      ]);
      expect((await open(network, keyed(input.guestId))).userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED' }]);

      const second = await open(network, input);

      expect(second).toMatchObject({ userErrors: [], replayed: false, session: { status: 'ACTIVE' } });
      const [ended, live, ...more] = livesOf(network, input.guestId);
      expect(more).toEqual([]);
      expect(ended).toMatchObject({ sessionId: lost.sessionId, endedAt: expect.any(Date) });
      expect(live).toMatchObject({
        requestId: second.requestId,
        token: second.clientToken,
        sessionId: second.session.sessionId,
        endedAt: null,
      });
      expect([network.cxone.count('create'), network.cxone.count('end')]).toEqual([2, 1]);
      await expectBooksOfTwo(network, input.guestId, first.requestId, second.requestId, lost.sessionId);
      expect(await open(network, input)).toMatchObject({ replayed: true, clientToken: live?.token });
      expect(network.cxone.count('create')).toBe(2);
    },
  );

  test('is not to be asked for again without a key: that could open a second session', async () => {
    const network = await start({}, { MAX_CONCURRENT_SESSIONS: '1' });
    const input = inputFor();
    loseAnswer(network);

    expect((await open(network, input)).userErrors).toMatchObject([{ ...UNKNOWN, retryable: false }]);
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED' }]);
    expect(network.cxone.sessions(input.guestId)).toHaveLength(1);
  });

  test('that had opened nothing is looked for, and the POST is sent again', async () => {
    const network = await start();
    const input = keyed();
    network.cxone.scenarios.add({ on: 'create', fault: RESET, times: 1 });

    const payload = await open(network, input);

    expect(payload).toMatchObject({ userErrors: [], session: { attempts: 2 } });
    expect(livesOf(network, input.guestId)).toMatchObject([{ requestId: payload.requestId }]);
  });

  test('asked for again by twenty at once gives one session, and one order to end the lost one', async () => {
    const network = await start();
    const input = keyed();
    const { payload: first, session: lost } = await lose(network, input);

    const answers = await Promise.all(Array.from({ length: 20 }, () => open(network, input)));

    expect(new Set(answers.map(({ clientToken, requestId }) => `${clientToken} ${requestId}`)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(livesOf(network, input.guestId)).toHaveLength(2);
    expect([network.cxone.count('create'), network.cxone.count('end')]).toEqual([2, 1]);
    await expectBooksOfTwo(network, input.guestId, first.requestId, answers[0].requestId, lost.sessionId);
  });

  test('asked for again may be lost again: what is there is ended each time', async () => {
    const network = await start();
    const input = keyed();
    for (let round = 0; round < 3; round += 1) await lose(network, input);

    expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
    expect(livesOf(network, input.guestId)).toHaveLength(4);
    expect(network.cxone.count('end')).toBe(3);
    const { sessions } = await booksOf(network, input.guestId);
    expect(sessions.map(({ status }) => status)).toEqual(['ACTIVE', 'ENDED', 'ENDED', 'ENDED']);
  });

  test('of one of twenty at once: that one is told so, and the others get one session', async () => {
    const network = await start();
    const input = keyed();
    loseAnswer(network);

    const answers = await Promise.all(Array.from({ length: 20 }, () => open(network, input)));

    const unknown = answers.filter(({ session }) => session === null);
    expect(unknown.map(({ userErrors }) => userErrors[0].code)).toEqual(['OUTCOME_UNKNOWN']);
    const opened = answers.filter(({ session }) => session !== null);
    expect(new Set(opened.map(({ clientToken, requestId }) => `${clientToken} ${requestId}`)).size).toBe(1);
    expect(opened.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(livesOf(network, input.guestId)).toMatchObject([
      { requestId: unknown[0].requestId, endedAt: expect.any(Date) },
      { requestId: opened[0].requestId, endedAt: null },
    ]);
  });

  test('is nobody’s any more when the session was ended by its id: the same key opens afresh', async () => {
    const network = await start();
    const input = keyed();
    const { payload: first } = await lose(network, input);
    const end = 'mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded userErrors { code } } }';
    const { data } = await network.graphql(end, { id: first.requestId });
    expect(data.endGuestSession).toEqual({ upstreamEnded: true, userErrors: [] });

    expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
    expect(network.cxone.count('end')).toBe(1);
    expect(livesOf(network, input.guestId)).toHaveLength(2);
  });

  test('is cleared up by the next server', async () => {
    const cxone = await CxoneSandbox.start();
    onTestFinished(() => cxone[Symbol.asyncDispose]());
    const directory = mkdtempSync(join(tmpdir(), 'lost-answer-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const settings = { databaseUrl: `file:${join(directory, 'test.db')}`, env: { ...ENV, CXONE_BASE_URL: cxone.url } };
    const input = keyed();
    const before = await startNetwork(settings);
    cxone.scenarios.add({ on: 'create', fault: RESET, when: 'after', times: 1 });
    const first = await open(before, input);
    expect(first.userErrors).toMatchObject([UNKNOWN]);
    await before[Symbol.asyncDispose]();

    const after = await startNetwork(settings);
    const second = await open(after, input);

    expect(second).toMatchObject({ userErrors: [], replayed: false });
    expect(cxone.history(input.guestId).map(({ requestId, endedAt }) => [requestId, endedAt !== null])).toEqual([
      [first.requestId, true],
      [second.requestId, false],
    ]);
  });

  async function expectBooksOfTwo(network: Network, guestId: string, first: string, second: string, lostId: string) {
    const { sessions, audits, events } = await booksOf(network, guestId);
    expect(sessions.filter(({ status }) => status !== 'FAILED')).toMatchObject([
      { id: second, status: 'ACTIVE' },
      { id: first, status: 'ENDED', sessionId: lostId, endedAt: expect.any(String) },
    ]);
    expect(typesOf(events, first)).toEqual([
      'SESSION_REQUESTED',
      'SESSION_FAILED',
      'SESSION_RECONCILED',
      'SESSION_ENDED',
    ]);
    expect(typesOf(events, second)).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED']);
    expect(auditsOf(audits, first)).toMatchObject([
      { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: 'OUTCOME_UNKNOWN', attempts: 1 },
      { kind: 'SESSION_RECONCILED', status: 'SUCCESS', sessionId: lostId },
      { kind: 'SESSION_ENDED', status: 'SUCCESS', sessionId: lostId, actor: 'retry' },
    ]);
    expect(auditsOf(audits, second)).toMatchObject([{ kind: 'SESSION_INITIATION', status: 'SUCCESS' }]);
    expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
  }
});

describe('a lost session that CXone’s list tells the token of, when it can be asked at last', () => {
  /** The answer to the POST is lost, and CXone does not answer the question what came of it. */
  async function loseSight() {
    const network = await start({ echoToken: true });
    const input = keyed();
    loseAnswer(network);
    network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 500 }, skip: 1, times: 1 });
    const first = await open(network, input);
    expect(first.userErrors).toMatchObject([{ ...UNKNOWN, retryable: true }]);
    expect((await booksOf(network, input.guestId)).sessions).toMatchObject([{ status: 'UNKNOWN', sessionId: null }]);
    return { network, input, first };
  }

  async function expectAdopted(
    network: Network,
    { guestId }: { guestId: string },
    requestId: string,
    answers: object[],
  ) {
    const [session, ...more] = network.cxone.history(guestId);
    expect(more).toEqual([]);
    const { sessions, audits, events } = await booksOf(network, guestId);
    expect(sessions).toMatchObject([{ id: requestId, status: 'ACTIVE', sessionId: session?.sessionId, attempts: 1 }]);
    const initiated = events.find(({ type }) => type === 'SESSION_INITIATED');
    for (const answer of answers) {
      expect(answer).toMatchObject({
        requestId,
        replayed: true,
        userErrors: [],
        clientToken: session?.token,
        session: { sessionId: session?.sessionId, status: 'ACTIVE' },
        eventCursor: initiated.cursor,
      });
    }
    expect(typesOf(events, requestId)).toEqual([
      'SESSION_REQUESTED',
      'SESSION_FAILED',
      'SESSION_RECONCILED',
      'SESSION_INITIATED',
    ]);
    expect(auditsOf(audits, requestId)).toMatchObject([
      { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: 'OUTCOME_UNKNOWN' },
      { kind: 'SESSION_RECONCILED', status: 'SUCCESS', sessionId: session?.sessionId },
    ]);
    expect([network.cxone.count('create'), network.cxone.count('end')]).toEqual([1, 0]);
    await eventually(async () => (await booksOf(network, guestId)).sessions[0].crmSync === 'DELIVERED');
    expect(network.crm.received).toHaveLength(1);
  }

  test('is the answer to the next request with the key', async () => {
    const { network, input, first } = await loseSight();

    const answer = await open(network, input);

    await expectAdopted(network, input, first.requestId, [answer, await open(network, input)]);
  });

  test('is the answer to all of twenty at once', async () => {
    const { network, input, first } = await loseSight();

    const answers = await Promise.all(Array.from({ length: 20 }, () => open(network, input)));

    await expectAdopted(network, input, first.requestId, answers);
  });

  test('is the answer as soon as the reconciler has found it, without another call to CXone', async () => {
    const { network, input, first } = await loseSight();
    const database = new SqliteConnection(network.app.engine.databasePath);
    onTestFinished(() => database.close());
    database.run('UPDATE "GuestSession" SET "reconcileAt" = 1'); // what the test need not wait for
    await eventually(async () => (await booksOf(network, input.guestId)).sessions[0].status === 'ACTIVE');
    const calls = network.cxone.calls.length;

    const answer = await open(network, input);

    expect(network.cxone.calls).toHaveLength(calls);
    await expectAdopted(network, input, first.requestId, [answer]);
  });
});

describe('a lost session that cannot be ended', () => {
  test.each([
    ['is not to be (CXONE_END_SESSION=off)', {}, { CXONE_END_SESSION: 'off' }, 0],
    ['is at a tenant that ends none', { canEndSessions: false }, {}, 1],
  ] as const)('because it %s: the answer stays open, and nothing more is opened', async (_why, cxone, env, ends) => {
    const network = await start(cxone, env);
    const input = keyed();
    const { session: lost } = await lose(network, input);

    for (let again = 1; again <= 2; again += 1) {
      const answer = await open(network, input);
      expect(answer).toMatchObject({ session: null, clientToken: null, replayed: false });
      expect(answer.userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE', retryable: true }]);
      expect(network.cxone.count('end')).toBe(again * ends);
    }
    expect(network.cxone.sessions(input.guestId).map(({ sessionId }) => sessionId)).toEqual([lost.sessionId]);
    expect(network.cxone.count('create')).toBe(1);
    // An agent has ended it: when CXone's list has shown so for long enough to be believed, there is room.
    network.cxone.endSession(lost.sessionId);
    const database = new SqliteConnection(network.app.engine.databasePath);
    onTestFinished(() => database.close());
    database.run('UPDATE "GuestSession" SET "looks" = 10, "reconcileAt" = 1'); // what the test need not wait for
    await eventually(async () => (await booksOf(network, input.guestId)).sessions[0].status === 'ENDED');
    expect(await open(network, input)).toMatchObject({ userErrors: [], session: { status: 'ACTIVE' } });
    expect(livesOf(network, input.guestId)).toHaveLength(2);
    const { sessions } = await booksOf(network, input.guestId);
    expect(sessions.map(({ status }) => status)).toEqual(['ACTIVE', 'ENDED']);
  });

  test.each([
    ['before', 0],
    ['after', 1],
  ] as const)(
    'nor seen, at a tenant that lists none: the answer stays open, and nothing more is opened (lost %s the work)',
    async (when, opened) => {
      const network = await start({ canList: false }, { MAX_CONCURRENT_SESSIONS: '1' });
      const input = keyed();
      network.cxone.scenarios.add({ on: 'create', fault: RESET, when, times: 1 });

      for (const stage of ['CREATE', 'RECOGNISE', 'RECOGNISE']) {
        expect((await open(network, input)).userErrors).toMatchObject([
          { code: 'OUTCOME_UNKNOWN', stage, retryable: true },
        ]);
      }
      expect(network.cxone.sessions(input.guestId)).toHaveLength(opened);
      expect(network.cxone.count('create')).toBe(1);
      expect((await open(network, keyed(input.guestId))).userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED' }]);
    },
  );

  test('because CXone is in trouble is tried again with the next request', async () => {
    const network = await start();
    const input = keyed();
    await lose(network, input);
    network.cxone.scenarios.add({ on: 'end', fault: { kind: 'status', status: 500 } });
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE' }]);
    expect(network.cxone.count('create')).toBe(1);
    network.cxone.scenarios.clear();
    network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 500 }, times: 1 });
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE' }]);
    expect(network.cxone.count('create')).toBe(1);

    expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
    expect(livesOf(network, input.guestId)).toHaveLength(2);
  });

  test('because it is over already is no hindrance', async () => {
    const network = await start();
    const input = keyed();
    const { session: lost } = await lose(network, input);
    network.cxone.endSession(lost.sessionId);

    expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
    expect(network.cxone.count('end')).toBe(0);
    expect(livesOf(network, input.guestId)).toHaveLength(2);
  });
});

describe('where CXone’s list does not tell our request ids', () => {
  /** A server that can know of it: there is a live session of ours, which is listed without its id. */
  async function startQuiet(options: CxoneSandboxOptions = {}): Promise<Network> {
    const network = await start({ ...options, echoAttributes: false });
    expect((await open(network)).userErrors).toEqual([]);
    network.cxone.reset();
    return network;
  }

  test('a session that appeared since is taken for ours', async () => {
    const network = await startQuiet({ echoToken: true });
    const input = keyed();
    loseAnswer(network);

    const payload = await open(network, input);

    const [session] = livesOf(network, input.guestId);
    expect(payload).toMatchObject({ userErrors: [], clientToken: session?.token, session: { attempts: 1 } });
    expect(network.cxone.count('create')).toBe(1);
  });

  test('and not the token either, that session is ended before another is opened', async () => {
    const network = await startQuiet();
    const input = keyed();
    const { session: lost } = await lose(network, input);

    const second = await open(network, input);

    expect(second).toMatchObject({ userErrors: [], replayed: false });
    expect(livesOf(network, input.guestId)).toMatchObject([
      { sessionId: lost.sessionId, endedAt: expect.any(Date) },
      { requestId: second.requestId, endedAt: null },
    ]);
  });

  test('a session of others that was there before is neither taken for ours nor ended', async () => {
    const network = await startQuiet();
    const input = keyed();
    const foreign = network.cxone.addSession(input.guestId);
    network.cxone.scenarios.add({ on: 'create', fault: RESET, times: 1 });
    expect(await open(network, input)).toMatchObject({ userErrors: [], session: { attempts: 2 } });

    const other = keyed(input.guestId);
    const { session: lost } = await lose(network, other);
    expect(await open(network, other)).toMatchObject({ userErrors: [], replayed: false });

    const live = network.cxone.sessions(input.guestId).map(({ sessionId }) => sessionId);
    expect(live).toHaveLength(3);
    expect(live).toContain(foreign.sessionId);
    expect(live).not.toContain(lost.sessionId);
    expect(network.cxone.count('end')).toBe(1);
  });

  test('sessions of our own that another attempt has opened are not taken for the one that was lost', async () => {
    const network = await startQuiet();
    const guestId = randomUUID();
    const input = keyed(guestId);
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'hang' }, times: 1 });
    const lost = open(network, input);
    await eventually(() => network.cxone.count('create') === 1);
    const other = await open(network, keyed(guestId));
    expect(other.userErrors).toEqual([]);

    // Nothing was opened by the POST that hung, and the session that appeared belongs to the other attempt.
    expect(await lost).toMatchObject({ userErrors: [], session: { attempts: 2 } });
    expect(network.cxone.sessions(guestId)).toHaveLength(2);
    expect(network.cxone.count('end')).toBe(0);
  });

  test('which of two that appeared is ours is not guessed: both live, and the answer stays open', async () => {
    const network = await startQuiet();
    const input = keyed();
    const { foreign, first } = await meetForeign(network, input, 'after');

    expect(first.userErrors).toMatchObject([{ ...UNKNOWN, retryable: true }]);
    const ours = network.cxone.sessions(input.guestId).find(({ sessionId }) => sessionId !== foreign.sessionId);
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE' }]);
    expect(network.cxone.sessions(input.guestId)).toHaveLength(2);
    expect([network.cxone.count('create'), network.cxone.count('end')]).toEqual([1, 0]);

    // Once the other is over, ours can be told.
    network.cxone.endSession(foreign.sessionId);
    expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
    expect(network.cxone.sessions(input.guestId)).toHaveLength(1);
    expect(network.cxone.history(input.guestId).find((it) => it.sessionId === ours?.sessionId)?.endedAt).not.toBeNull();
  });
});

describe('while it is not known whether CXone’s list tells our request ids', () => {
  test.each([true, false])('a session of others is not taken for ours, where it would (%s)', async (echoAttributes) => {
    const network = await start({ echoAttributes });
    const input = keyed();
    const { foreign, first } = await meetForeign(network, input, 'before');

    expect(first.userErrors).toMatchObject([{ ...UNKNOWN, retryable: true }]);
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE' }]);
    expect(network.cxone.sessions(input.guestId)).toMatchObject([{ sessionId: foreign.sessionId }]);
    expect([network.cxone.count('create'), network.cxone.count('end')]).toEqual([1, 0]);
  });

  test('a session of another guest tells, and then all is clear', async () => {
    const network = await start();
    const input = keyed();
    const { foreign, first } = await meetForeign(network, input, 'before');
    expect(first.userErrors).toMatchObject([UNKNOWN]);
    expect((await open(network)).userErrors).toEqual([]);

    const second = await open(network, input);

    expect(second).toMatchObject({ userErrors: [], replayed: false });
    expect(network.cxone.sessions(input.guestId)).toMatchObject([
      { sessionId: foreign.sessionId },
      { requestId: second.requestId },
    ]);
    expect(network.cxone.count('end')).toBe(0);
  });
});

/** A POST that hangs, before or after its work, and meanwhile somebody else opens a session for the same guest. */
async function meetForeign(network: Network, input: ReturnType<typeof keyed>, when: 'before' | 'after') {
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'hang' }, when, times: 1 });
  const opening = open(network, input);
  await eventually(() => network.cxone.count('create') === 1);
  const foreign = network.cxone.addSession(input.guestId);
  return { foreign, first: await opening };
}
