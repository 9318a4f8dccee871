import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Scenario } from '../../src/sandbox/faults.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';
import { MASTER_KEYS } from '../support/opened-connection.js';

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '300', CREATE_DEADLINE_MS: '1500' };

interface Opened {
  readonly id: string;
  readonly sessionId: string;
}

async function openOne(network: Network, guestId: string, input: object = {}): Promise<Opened> {
  const { session, userErrors } = await open(network, { ...inputFor(guestId), ...input });
  expect(userErrors).toEqual([]);
  return session;
}

/** Lets a guest's sessions be a minute older than they are: CXone's list is trusted to show those. */
function age(network: Network, guestId: string): void {
  const database = new SqliteConnection(network.app.engine.databasePath);
  const name = GuestVault.open(database, MASTER_KEYS).nameOf(guestId);
  database.run('UPDATE "GuestSession" SET "createdAt" = "createdAt" - 60000 WHERE "guestId" = ?', name);
  database.close();
}

/** A guest with so many sessions of a minute ago, and places. */
async function withSessions(count: number, places = count) {
  const network = await startNetwork({ env: { ...ENV, MAX_CONCURRENT_SESSIONS: `${places}` } });
  const guestId = randomUUID();
  const sessions: Opened[] = [];
  while (sessions.length < count) sessions.push(await openOne(network, guestId));
  age(network, guestId);
  return { network, guestId, sessions };
}

async function endingsOf(network: Network, guestId: string) {
  const { sessions, audits, events } = await booksOf(network, guestId);
  return {
    statuses: sessions.map(({ status }) => status).reverse(),
    audits: audits.filter(({ kind }) => kind === 'SESSION_ENDED'),
    events: events.filter(({ type }) => type === 'SESSION_ENDED'),
  };
}

it('a session that an agent has ended at CXone is ended here when the guest asks for another', async () => {
  const { network, guestId, sessions } = await withSessions(2, 5);
  const [gone] = sessions;
  network.cxone.endSession(gone!.sessionId);
  const before = Date.now();

  await openOne(network, guestId);

  const { statuses, audits, events } = await endingsOf(network, guestId);
  expect(statuses).toEqual(['ENDED', 'ACTIVE', 'ACTIVE']);
  const about = { requestId: gone!.id, sessionId: gone!.sessionId, reason: 'CXone lists it no longer' };
  expect(audits).toMatchObject([{ ...about, status: 'SUCCESS', actor: 'cxone' }]);
  expect(events).toMatchObject([{ ...about, status: 'ENDED' }]);
  const { data } = await network.graphql('query ($id: ID) { session(id: $id) { endedAt } }', { id: gone!.id });
  expect(Date.parse(data.session.endedAt)).toBeGreaterThanOrEqual(before);
  expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
});

it('its place is free, also where all are taken in our books: CXone is asked before anybody is refused', async () => {
  const { network, guestId, sessions } = await withSessions(5);
  network.cxone.endSession(sessions[3]!.sessionId);

  await openOne(network, guestId);

  const { statuses, audits } = await endingsOf(network, guestId);
  expect(statuses).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE', 'ENDED', 'ACTIVE', 'ACTIVE']);
  expect(audits).toHaveLength(1);
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
  const refused = await open(network, inputFor(guestId));
  expect(refused.userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'RESERVE' }]);
});

it('however many ask at that moment: each place is given once, and each session ended once', async () => {
  const { network, guestId, sessions } = await withSessions(5);
  for (const { sessionId } of sessions.slice(0, 2)) network.cxone.endSession(sessionId);

  const payloads = await Promise.all(Array.from({ length: 12 }, () => open(network, inputFor(guestId))));

  expect(payloads.filter(({ session }) => session !== null)).toHaveLength(2);
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
  const { audits, events } = await endingsOf(network, guestId);
  expect([audits.length, events.length]).toEqual([2, 2]);
});

it('where they all live, a guest without a free place is refused after one look at CXone', async () => {
  const { network, guestId } = await withSessions(5);
  network.cxone.reset();

  const { userErrors } = await open(network, inputFor(guestId));

  expect(userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'RESERVE', retryable: true }]);
  expect(network.cxone.calls.map(({ call }) => call)).toEqual(['list']);
  expect((await endingsOf(network, guestId)).statuses).toEqual(Array(5).fill('ACTIVE'));
});

it('its token is purged: who sends its idempotency key again gets the session, but no token', async () => {
  const network = await startNetwork({ env: ENV });
  const guestId = randomUUID();
  const idempotencyKey = randomUUID();
  const { id, sessionId } = await openOne(network, guestId, { idempotencyKey });
  age(network, guestId);
  network.cxone.endSession(sessionId);
  await openOne(network, guestId);

  expect(await open(network, { ...inputFor(guestId), idempotencyKey })).toMatchObject({
    replayed: true,
    clientToken: null,
    session: { id, sessionId, status: 'ENDED' },
    userErrors: [],
  });
});

it('a session that is younger than CXone’s list may be is not taken for gone', async () => {
  const network = await startNetwork({ env: ENV });
  const guestId = randomUUID();
  const { sessionId } = await openOne(network, guestId);
  network.cxone.endSession(sessionId);

  await openOne(network, guestId);

  expect(await endingsOf(network, guestId)).toMatchObject({ statuses: ['ACTIVE', 'ACTIVE'], audits: [], events: [] });
});

it('but is when that time is over (CXONE_LIST_LAG_MS)', async () => {
  const network = await startNetwork({ env: { ...ENV, MAX_CONCURRENT_SESSIONS: '1', CXONE_LIST_LAG_MS: '1000' } });
  const guestId = randomUUID();
  const { id, sessionId } = await openOne(network, guestId);
  const openedAt = Date.now();
  network.cxone.endSession(sessionId);

  await eventually(async () => (await open(network, inputFor(guestId))).session, 4_000);

  // Its age counts from CXone's answer, which came a little before ours.
  expect(Date.now() - openedAt).toBeGreaterThan(900);
  expect((await endingsOf(network, guestId)).audits).toMatchObject([{ requestId: id, actor: 'cxone' }]);
});

it('a session that is opened while CXone’s list is on its way is not taken for gone', async () => {
  const network = await startNetwork({ env: { CXONE_TIMEOUT_MS: '2000' } });
  const guestId = randomUUID();
  // The list is made at once, and arrives when the other session is long open.
  network.cxone.scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs: 500 }, times: 1 });
  const slow = openOne(network, guestId);
  await eventually(() => network.cxone.count('list') === 1);
  await openOne(network, guestId);
  age(network, guestId);

  await slow;

  expect((await endingsOf(network, guestId)).statuses).toEqual(['ACTIVE', 'ACTIVE']);
});

it('sessions of other guests are none of its business', async () => {
  const { network, guestId, sessions } = await withSessions(1, 5);
  const other = randomUUID();
  await openOne(network, other);
  age(network, other);
  network.cxone.endSession(sessions[0]!.sessionId);

  await openOne(network, other);

  expect((await endingsOf(network, guestId)).statuses).toEqual(['ACTIVE']);
  expect((await endingsOf(network, other)).statuses).toEqual(['ACTIVE', 'ACTIVE']);
});

it.each<[string, Omit<Scenario, 'on'>]>([
  ['is down', { fault: { kind: 'outage' } }],
  ['answers 500', { fault: { kind: 'status', status: 500 } }],
  ['hangs', { fault: { kind: 'hang' } }],
  ['asks to wait', { fault: { kind: 'rate-limit', retryAfter: '60' } }],
  ['gives a list without items', { fault: { kind: 'wrong-shape' } }],
  ['lets nobody list', { fault: { kind: 'status', status: 403 } }],
])('nothing is taken for gone while CXone %s: what our books say stands', async (_what, scenario) => {
  const { network, guestId, sessions } = await withSessions(2);
  network.cxone.endSession(sessions[0]!.sessionId);
  network.cxone.scenarios.add({ on: 'list', ...scenario });

  const { userErrors } = await open(network, inputFor(guestId));

  expect(userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'RESERVE' }]);
  expect(await endingsOf(network, guestId)).toMatchObject({ statuses: ['ACTIVE', 'ACTIVE'], audits: [], events: [] });
});

it('what CXone had ended can be ended again: it is over', async () => {
  const { network, guestId, sessions } = await withSessions(1);
  network.cxone.endSession(sessions[0]!.sessionId);
  await openOne(network, guestId);
  const { data } = await network.graphql(
    'mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded session { status } userErrors { code } } }',
    { id: sessions[0]!.id },
  );
  expect(data.endGuestSession).toEqual({ upstreamEnded: true, session: { status: 'ENDED' }, userErrors: [] });
  expect(network.cxone.count('end')).toBe(0);
});
