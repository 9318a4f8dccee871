import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

// A POST that is given up for lost (CXONE_TIMEOUT_MS), and of which CXone makes a session all the same, when nobody waits for
// it any more. In the tests' time everything comes soon; where even that is too long, the books are told that it is due.

const keyed = () => ({ ...inputFor(), idempotencyKey: randomUUID() });

const start = (cxone: CxoneSandboxOptions = {}, env: Record<string, string> = {}) =>
  startNetwork({ cxone, env: { CXONE_TIMEOUT_MS: '300', ...env } });

/** The guest's next POST opens its session after so long, whether or not its caller is still there. */
function delayNextPost(network: Network, guestId: string, delayMs: number): void {
  const fault = { kind: 'slow', delayMs } as const;
  network.cxone.scenarios.add({ on: 'create', fault, when: 'before', times: 1, guestId });
}

/** The late POST has opened its session. */
const arrival = (network: Network, guestId: string) => eventually(() => network.cxone.history(guestId).length === 2);

/** One session lives: the surplus one was ended. */
const settled = (network: Network, guestId: string) =>
  eventually(async () => {
    const isReconciled = (await booksOf(network, guestId)).events.some(({ type }) => type === 'SESSION_RECONCILED');
    return isReconciled && network.cxone.sessions(guestId).length === 1;
  }, 10_000);

/** A second pair of hands on the books. */
function lookAt(network: Network) {
  const database = new SqliteConnection(network.app.engine.databasePath);
  onTestFinished(() => database.close());
  const nextLook = () =>
    database.get<{ at: number | null }>('SELECT max("reconcileAt") AS at FROM "GuestSession"')?.at ?? 0;
  return {
    nextLook,
    /** Has the reconciler look now, and waits until it has. */
    async look() {
      database.run('UPDATE "GuestSession" SET "reconcileAt" = 1 WHERE "reconcileAt" IS NOT NULL');
      await eventually(() => nextLook() !== 1);
    },
  };
}

const auditsOf = (audits: { kind: string; requestId: string }[], requestId: string) =>
  audits.filter((audit) => audit.requestId === requestId && audit.kind !== 'CRM_SYNC').reverse();

test('beside the session of the next POST it is ended, and that is in the books', async () => {
  const network = await start();
  const input = keyed();
  delayNextPost(network, input.guestId, 1_000);

  const payload = await open(network, input);
  expect(payload).toMatchObject({ userErrors: [], session: { attempts: 2 } });
  await arrival(network, input.guestId);
  await settled(network, input.guestId);

  expect(network.cxone.sessions(input.guestId)[0]?.sessionId).toBe(payload.session.sessionId);
  const surplus = network.cxone.history(input.guestId).find(({ endedAt }) => endedAt !== null)!;
  expect(surplus.requestId).toBe(payload.requestId);
  const reason = expect.stringContaining(surplus.sessionId);
  const { sessions, audits, events } = await booksOf(network, input.guestId);
  expect(sessions).toMatchObject([{ status: 'ACTIVE', sessionId: payload.session.sessionId, endedAt: null }]);
  expect(events.filter(({ type }) => type === 'SESSION_RECONCILED')).toMatchObject([
    { requestId: payload.requestId, status: 'ACTIVE', reason: expect.stringContaining('late') },
  ]);
  expect(auditsOf(audits, payload.requestId)).toMatchObject([
    { kind: 'SESSION_INITIATION', status: 'SUCCESS', attempts: 2 },
    { kind: 'SESSION_RECONCILED', status: 'SUCCESS', actor: 'reconciler', reason },
  ]);
  expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
  expect(await open(network, input)).toMatchObject({ replayed: true, clientToken: payload.clientToken });
});

test('after its attempt has failed it is ended as well, beside the session that a retry with the key has opened', async () => {
  const network = await start({}, { CXONE_MAX_ATTEMPTS: '1' });
  const input = keyed();
  delayNextPost(network, input.guestId, 1_000);
  const first = await open(network, input);
  expect(first.userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE', retryable: true }]);

  const second = await open(network, input);
  expect(second).toMatchObject({ userErrors: [], replayed: false });
  await arrival(network, input.guestId);
  await lookAt(network).look();
  await settled(network, input.guestId);

  expect(network.cxone.sessions(input.guestId)[0]?.requestId).toBe(second.requestId);
  const { sessions, audits } = await booksOf(network, input.guestId);
  expect(sessions).toMatchObject([
    { id: second.requestId, status: 'ACTIVE' },
    { id: first.requestId, status: 'FAILED', failureCode: 'CXONE_UNAVAILABLE' },
  ]);
  expect(auditsOf(audits, first.requestId)).toMatchObject([
    { kind: 'SESSION_INITIATION', status: 'FAILED' },
    { kind: 'SESSION_RECONCILED', status: 'SUCCESS', reason: expect.stringContaining('late') },
  ]);
});

test('it is found by a retry that comes after it, which ends it and opens afresh', async () => {
  const network = await start({}, { CXONE_MAX_ATTEMPTS: '1' });
  const input = keyed();
  delayNextPost(network, input.guestId, 500);
  const first = await open(network, input);
  expect(first.userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE' }]);
  await eventually(() => network.cxone.sessions(input.guestId).length === 1);

  const second = await open(network, input);

  expect(second).toMatchObject({ userErrors: [], replayed: false });
  expect(network.cxone.history(input.guestId)).toMatchObject([
    { requestId: first.requestId, endedAt: expect.any(Date) },
    { requestId: second.requestId, endedAt: null },
  ]);
});

test('it is looked for more than once, since nobody knows how late it comes', async () => {
  const network = await start();
  const input = keyed();
  delayNextPost(network, input.guestId, 1_500);
  const payload = await open(network, input);
  const books = lookAt(network);

  await books.look(); // too early
  expect(books.nextLook()).toBeGreaterThan(Date.now());
  await arrival(network, input.guestId);
  await books.look();

  await settled(network, input.guestId);
  expect(network.cxone.sessions(input.guestId)[0]?.sessionId).toBe(payload.session.sessionId);
});

test('it is ended together with the session of the next POST, where that one’s token was lost', async () => {
  const network = await start();
  const input = keyed();
  delayNextPost(network, input.guestId, 800);
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', skip: 1, times: 1 });
  const first = await open(network, input);
  expect(first.userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }]);
  await arrival(network, input.guestId);

  const second = await open(network, input);

  expect(second).toMatchObject({ userErrors: [], replayed: false });
  expect(network.cxone.history(input.guestId)).toMatchObject([
    { requestId: first.requestId, endedAt: expect.any(Date) },
    { requestId: first.requestId, endedAt: expect.any(Date) },
    { requestId: second.requestId, endedAt: null },
  ]);
});

test.each([
  ['is not to be', {}, { CXONE_END_SESSION: 'off' }],
  ['is at a tenant that ends none', { canEndSessions: false }, {}],
] as const)('where it cannot be ended, because it %s, a retry opens no other beside it', async (_why, cxone, env) => {
  const network = await start(cxone, { ...env, CXONE_MAX_ATTEMPTS: '1' });
  const input = keyed();
  delayNextPost(network, input.guestId, 500);
  expect((await open(network, input)).userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE' }]);
  await eventually(() => network.cxone.sessions(input.guestId).length === 1);

  for (let again = 0; again < 2; again += 1) {
    expect((await open(network, input)).userErrors).toMatchObject([
      { code: 'OUTCOME_UNKNOWN', stage: 'RECOGNISE', retryable: true },
    ]);
  }
  expect(network.cxone.sessions(input.guestId)).toHaveLength(1);

  network.cxone.endSession(network.cxone.sessions(input.guestId)[0]!.sessionId); // an agent does
  expect(await open(network, input)).toMatchObject({ userErrors: [], replayed: false });
});

test('a session that was ended meanwhile stays ended, and the late one is ended too', async () => {
  const network = await start();
  const input = keyed();
  delayNextPost(network, input.guestId, 800);
  const { session } = await open(network, input);
  const end = 'mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded } }';
  expect((await network.graphql(end, { id: session.id })).data.endGuestSession).toEqual({ upstreamEnded: true });
  await arrival(network, input.guestId);
  await lookAt(network).look();

  await eventually(() => network.cxone.sessions(input.guestId).length === 0);
  expect((await booksOf(network, input.guestId)).sessions).toMatchObject([{ status: 'ENDED' }]);
});

describe('where CXone does not tell whose it is', () => {
  test('beside the session of the next POST it is left alone: it may be somebody else’s', async () => {
    const network = await start({ echoAttributes: false });
    const input = keyed();
    delayNextPost(network, input.guestId, 400);
    expect((await open(network, input)).userErrors).toEqual([]);
    await arrival(network, input.guestId);
    await lookAt(network).look();

    expect(network.cxone.sessions(input.guestId)).toHaveLength(2);
    expect(network.cxone.count('end')).toBe(0);
  });

  test('it is left alone as well when its attempt has failed', async () => {
    const network = await start({ echoAttributes: false }, { CXONE_MAX_ATTEMPTS: '1' });
    expect((await open(network)).userErrors).toEqual([]); // which shows that CXone does not tell
    const input = keyed();
    delayNextPost(network, input.guestId, 400);
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE' }]);
    await eventually(() => network.cxone.sessions(input.guestId).length === 1);
    await lookAt(network).look();

    expect(network.cxone.sessions(input.guestId)).toHaveLength(1);
    expect(network.cxone.count('end')).toBe(0);
  });
});
