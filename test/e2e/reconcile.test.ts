import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { buildSessionPayload } from '../../src/guest-session/build-session-payload.js';
import { CxoneSandbox, type CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { clientOf, inTime, stepsThat } from '../cxone/client.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { type Server, startServer } from '../http/server.js';
import { attemptFor, openBooks } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '400', CREATE_DEADLINE_MS: '2000', MAX_CONCURRENT_SESSIONS: '1' };

/** A database and a CXone that outlive a server. */
async function place(tenant: CxoneSandboxOptions = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'reconcile-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'test.db');
  const cxone = await CxoneSandbox.start(tenant);
  onTestFinished(() => cxone[Symbol.asyncDispose]());
  return { path, cxone };
}
type Place = Awaited<ReturnType<typeof place>>;

/** What a process leaves that dies in the middle of an attempt. */
interface Legacy {
  /** Whether its POST has reached CXone. */
  readonly posted?: boolean;
  readonly guestId?: string;
  /** How long before now it was begun. */
  readonly agoMs?: number;
  /** How often CXone was asked about it in vain. */
  readonly looks?: number;
  /** What it has written down before: that the outcome is unknown, or that all went well. By default nothing. */
  readonly wrote?: 'unknown' | 'success';
}

interface Left {
  readonly id: string;
  readonly guestId: string;
  readonly sessionId: string | null;
}

/** Leaves attempts behind, as a process does that dies in the middle of them. */
async function leave<Legacies extends Legacy[]>({ path, cxone }: Place, ...legacies: Legacies) {
  const books = await openBooks({ path });
  const { client } = clientOf(cxone.url);
  const left: Left[] = [];
  for (const { posted = false, guestId = randomUUID(), agoMs = 0, looks = 0, wrote } of legacies) {
    const { attempt, request } = attemptFor(guestId);
    await books.attempts.reserve(attempt, request);
    const { requestId, openedAt } = attempt;
    const payload = buildSessionPayload(request, requestId, openedAt);
    const created = posted ? await client.createSession(payload, inTime(), stepsThat()) : null;
    if (wrote) {
      Object.assign(attempt, { reserved: true, posts: 1, lostAnswers: wrote === 'unknown' ? 1 : 0 });
      const error = new AttemptError('OUTCOME_UNKNOWN', { detail: 'its answer was lost' });
      const isSuccess = wrote === 'success' && created !== null;
      await books.attempts.close(
        attempt,
        isSuccess ? { status: 'SUCCESS', created } : { status: 'FAILED', error, stage: 'CREATE' },
      );
    }
    await books.writer.submit(({ db }) => {
      const sql = 'UPDATE "GuestSession" SET "createdAt" = "createdAt" - ?, "looks" = ? WHERE "id" = ?';
      db.run(sql, agoMs, looks, requestId);
    });
    left.push({ id: requestId, guestId, sessionId: created?.sessionId ?? null });
  }
  await books[Symbol.asyncDispose]();
  return left as { [Each in keyof Legacies]: Left };
}

const serverOn = ({ path, cxone }: Place, env: Record<string, string> = {}): Promise<Network> =>
  startNetwork({ databaseUrl: `file:${path}`, env: { ...ENV, CXONE_BASE_URL: cxone.url, ...env } });

/** Lets the next look at every attempt that is to be looked at be due at once. */
function makeDue(path: string): void {
  const database = new SqliteConnection(path);
  database.run('UPDATE "GuestSession" SET "reconcileAt" = 1 WHERE "reconcileAt" IS NOT NULL');
  database.close();
}

const statusOf = async (network: Pick<Network, 'graphql'>, guestId: string): Promise<string> =>
  (await booksOf(network, guestId)).sessions[0].status;
const comesTo = (network: Network, guestId: string, status: string, timeoutMs?: number) =>
  eventually(async () => (await statusOf(network, guestId)) === status, timeoutMs);
const codeOf = async (network: Network, guestId: string): Promise<string | undefined> =>
  (await open(network, inputFor(guestId))).userErrors[0]?.code;
const kinds = (entries: { kind?: string; type?: string; status: string }[]) =>
  entries.map(({ kind, type, status }) => `${kind ?? type} ${status}`);

describe('an attempt that a dead process has left', () => {
  it('and that has opened a session is reconciled at the start, and can be ended', async () => {
    const site = await place();
    const [{ id, guestId, sessionId }] = await leave(site, { posted: true });

    const network = await serverOn(site);

    await comesTo(network, guestId, 'ACTIVE');
    const { sessions, audits, events } = await booksOf(network, guestId);
    const [live] = site.cxone.sessions(guestId);
    expect(sessions).toMatchObject([{ id, sessionId, status: 'ACTIVE', expiresAt: live?.expiresAt.toISOString() }]);
    expect(kinds(events)).toEqual(['SESSION_REQUESTED PENDING', 'SESSION_RECONCILED ACTIVE']);
    expect(events[1]).toMatchObject({ requestId: id, sessionId, reason: `CXone has the session ${sessionId}` });
    expect(kinds(audits)).toEqual(['SESSION_RECONCILED SUCCESS', 'SESSION_INITIATION FAILED']);
    expect(audits[1]).toMatchObject({ errorCode: 'OUTCOME_UNKNOWN', actor: 'tester', sessionId });
    expect(audits[0]).toMatchObject({ errorCode: null, actor: 'reconciler', sessionId });
    expect((await auditTrail(network)).verification).toMatchObject({ ok: true, checked: 3 });

    expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
    await network.graphql('mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded } }', { id });
    expect(site.cxone.sessions(guestId)).toEqual([]);
    expect(await codeOf(network, guestId)).toBeUndefined();
  });

  it('holds its place until its session expires', async () => {
    const site = await place({ sessionTtlSeconds: 2 });
    const [{ guestId }] = await leave(site, { posted: true });
    const network = await serverOn(site);
    await comesTo(network, guestId, 'ACTIVE');
    expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');

    await comesTo(network, guestId, 'EXPIRED');

    expect(await codeOf(network, guestId)).toBeUndefined();
  });

  it('and that has opened none has failed, and its place is free', async () => {
    const site = await place();
    const [{ id, guestId }] = await leave(site, {});

    const network = await serverOn(site);

    await comesTo(network, guestId, 'FAILED');
    const { sessions, audits, events } = await booksOf(network, guestId);
    expect(sessions).toMatchObject([{ id, sessionId: null, failureCode: 'DEADLINE_EXCEEDED' }]);
    expect(kinds(events)).toEqual(['SESSION_REQUESTED PENDING', 'SESSION_FAILED FAILED']);
    expect(kinds(audits)).toEqual(['SESSION_RECONCILED FAILED', 'SESSION_INITIATION FAILED']);
    expect(audits[1]).toMatchObject({ errorCode: 'DEADLINE_EXCEEDED' });
    expect(await codeOf(network, guestId)).toBeUndefined();
  });

  it('is one of many: each is settled once', async () => {
    const site = await place();
    const left = await leave(site, ...Array.from({ length: 30 }, (_, i) => ({ posted: i % 2 === 0 })));
    const network = await serverOn(site);
    const rows = async () =>
      (await network.graphql('{ sessions(first: 100) { nodes { id status } } }')).data.sessions.nodes;
    await eventually(async () => (await rows()).every(({ status }: { status: string }) => status !== 'PENDING'));

    const statuses = new Map((await rows()).map(({ id, status }: { id: string; status: string }) => [id, status]));
    for (const { id, sessionId } of left) expect(statuses.get(id)).toBe(sessionId ? 'ACTIVE' : 'FAILED');
    const { audits, verification } = await auditTrail(network);
    expect([audits.length, verification.ok]).toEqual([1 + 60, true]);
    expect(site.cxone.sessions()).toHaveLength(15);
  });

  it('keeps nobody waiting: others open sessions while CXone is silent about it', async () => {
    const site = await place();
    const [{ guestId }] = await leave(site, { posted: true });
    site.cxone.scenarios.add({ on: 'list', fault: { kind: 'hang' }, guestId });
    const network = await serverOn(site);
    expect((await fetch(`${network.app.url}/health/ready`)).status).toBe(200);
    expect(await codeOf(network, randomUUID())).toBeUndefined();
    expect(await statusOf(network, guestId)).toBe('PENDING');

    // The next server goes on where this one was.
    await network[Symbol.asyncDispose]();
    site.cxone.scenarios.clear();
    await comesTo(await serverOn(site), guestId, 'ACTIVE');
  });

  it('is tried again until CXone is back, where it is down at the start; its place is held', async () => {
    const site = await place();
    const [found, none] = await leave(site, { posted: true }, {});
    await site.cxone.refuseConnections();
    const network = await serverOn(site);
    await eventually(() => network.logLines.filter((line) => line.includes('cannot be told')).length >= 2);
    expect([await statusOf(network, found.guestId), await statusOf(network, none.guestId)]).toEqual([
      'PENDING',
      'PENDING',
    ]);
    expect(await codeOf(network, none.guestId)).toBe('CAPACITY_EXCEEDED');

    await site.cxone.acceptConnections();

    await comesTo(network, found.guestId, 'ACTIVE', 8_000);
    await comesTo(network, none.guestId, 'FAILED');
  });
});

describe('an attempt whose outcome is unknown', () => {
  it('is settled by the timer, with or without a session', async () => {
    const site = await place();
    const [found, none] = await leave(site, { posted: true, wrote: 'unknown' }, { wrote: 'unknown' });
    const network = await serverOn(site);

    await comesTo(network, found.guestId, 'ACTIVE');
    await comesTo(network, none.guestId, 'FAILED');

    const [one, other] = [await booksOf(network, found.guestId), await booksOf(network, none.guestId)];
    expect(one.sessions).toMatchObject([{ sessionId: found.sessionId, failureCode: null }]);
    expect(other.sessions).toMatchObject([{ sessionId: null, failureCode: 'OUTCOME_UNKNOWN' }]);
    expect(kinds(one.events)).toEqual([
      'SESSION_REQUESTED PENDING',
      'SESSION_FAILED UNKNOWN',
      'SESSION_RECONCILED ACTIVE',
    ]);
    expect(kinds(other.events)).toEqual([
      'SESSION_REQUESTED PENDING',
      'SESSION_FAILED UNKNOWN',
      'SESSION_RECONCILED FAILED',
    ]);
    expect(kinds(one.audits)).toEqual(['SESSION_RECONCILED SUCCESS', 'SESSION_INITIATION FAILED']);
    expect(kinds(other.audits)).toEqual(['SESSION_RECONCILED FAILED', 'SESSION_INITIATION FAILED']);
    expect([await codeOf(network, found.guestId), await codeOf(network, none.guestId)]).toEqual([
      'CAPACITY_EXCEEDED',
      undefined,
    ]);
  });
});

it('an attempt at work is never touched, though its lease has lapsed', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
  const guestId = randomUUID();
  // CXone opens the session at once, and answers when the reconciler has looked at least once.
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 1_800 } });
  const opening = open(network, inputFor(guestId));
  await eventually(() => network.cxone.sessions(guestId).length === 1);
  makeDue(network.app.engine.databasePath);

  const { session, clientToken } = await opening;

  expect([session.status, clientToken]).toEqual(['ACTIVE', network.cxone.sessions(guestId)[0]?.token]);
  expect(kinds((await booksOf(network, guestId)).audits)).toEqual(['SESSION_INITIATION SUCCESS']);
  expect(network.cxone.count('list')).toBe(1);
});

describe('where CXone lets nobody list sessions', () => {
  it.each<[string, Legacy, string]>([
    ['interrupted', {}, 'PENDING'],
    ['of unknown outcome', { wrote: 'unknown' }, 'UNKNOWN'],
  ])('an attempt that was %s holds its place for an hour, and is then given up', async (_what, legacy, status) => {
    const site = await place({ canList: false });
    // So many looks take an hour.
    const [young, old] = await leave(site, legacy, { ...legacy, looks: 20 });
    const network = await serverOn(site);

    await comesTo(network, old.guestId, 'FAILED');

    const { audits } = await booksOf(network, old.guestId);
    expect(audits[0]).toMatchObject({ kind: 'SESSION_RECONCILED', reason: 'CXone could not be asked within an hour' });
    expect((await booksOf(network, old.guestId)).sessions[0].failureCode).toBe('OUTCOME_UNKNOWN');
    expect(await statusOf(network, young.guestId)).toBe(status);
    expect([await codeOf(network, young.guestId), await codeOf(network, old.guestId)]).toEqual([
      'CAPACITY_EXCEEDED',
      undefined,
    ]);
  });
});

describe('a POST that was given up for lost, and arrives late', () => {
  const answered = inputFor();
  const refused = inputFor();
  const retried = { ...inputFor(), idempotencyKey: randomUUID() };
  let server: Server;
  let answers: Record<'answered' | 'refused' | 'retried', { session: { sessionId: string; attempts: number } | null }>;
  const cxone = () => server.app.engine.sandbox.cxone!;
  const endedLate = async ({ guestId }: { guestId: string }) =>
    (await booksOf(server, guestId)).audits.filter(({ reason }) => reason?.startsWith('a POST arrived late'));

  // All at the same time, since it takes a while until a POST is late.
  beforeAll(async () => {
    server = await startServer({ ...ENV, MAX_CONCURRENT_SESSIONS: '5', CXONE_RETRY_BASE_MS: '10' });
    const { scenarios } = cxone();
    for (const { guestId } of [answered, refused, retried]) {
      scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 900 }, when: 'before', times: 1, guestId });
    }
    for (const { guestId } of [refused, retried]) {
      scenarios.add({ on: 'create', fault: { kind: 'status', status: 500 }, times: 2, guestId });
    }
    const openRetried = async () => {
      expect((await open(server, retried)).userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE', retryable: true }]);
      return open(server, retried);
    };
    const [one, two, three] = await Promise.all([open(server, answered), open(server, refused), openRetried()]);
    answers = { answered: one, refused: two, retried: three };
    const opened = ({ guestId }: { guestId: string }) => cxone().history(guestId).length;
    await eventually(() => opened(answered) === 2 && opened(refused) === 1 && opened(retried) === 2);
    makeDue(server.databasePath);
    for (const guest of [answered, refused, retried]) {
      await eventually(async () => (await endedLate(guest)).length === 1, 10_000);
    }
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('leaves the guest with the session that was answered', async () => {
    const { guestId } = answered;
    const { sessionId, attempts } = answers.answered.session!;
    expect(attempts).toBe(2);
    expect(cxone().sessions(guestId)).toMatchObject([{ sessionId }]);
    const late = cxone()
      .history(guestId)
      .find((session) => session.sessionId !== sessionId);
    expect((await endedLate(answered))[0].reason).toBe(
      `a POST arrived late, and what it opened was ended: ${late?.sessionId}`,
    );
    expect(await statusOf(server, guestId)).toBe('ACTIVE');
  });

  it('leaves the guest with none, where that was the answer', async () => {
    expect(answers.refused).toMatchObject({ session: null, userErrors: [{ code: 'CXONE_UNAVAILABLE' }] });
    expect(cxone().sessions(refused.guestId)).toEqual([]);
    expect(await statusOf(server, refused.guestId)).toBe('FAILED');
  });

  it('leaves the guest with the session of the retry, where the caller was faster', async () => {
    const { sessionId } = answers.retried.session!;
    expect(cxone().sessions(retried.guestId)).toMatchObject([{ sessionId }]);
    expect(await open(server, retried)).toMatchObject({ replayed: true, session: { sessionId, status: 'ACTIVE' } });
  });
});

describe('where CXone does not repeat request ids', () => {
  const TENANT = { echoAttributes: false };
  /** By a session of ours that is live CXone is heard to repeat none, whose guest is somebody else. */
  const TELLING: Legacy = { posted: true, wrote: 'success' };

  it('the one session that appeared since is taken for the attempt’s own', async () => {
    const site = await place(TENANT);
    const [{ guestId, sessionId }] = await leave(site, { posted: true }, TELLING);
    const network = await serverOn(site);
    await comesTo(network, guestId, 'ACTIVE');
    expect((await booksOf(network, guestId)).sessions).toMatchObject([{ sessionId }]);
  });

  it('one that was there long before is not', async () => {
    const site = await place(TENANT);
    const guestId = randomUUID();
    const foreign = site.cxone.addSession(guestId);
    await leave(site, { guestId, agoMs: -70_000 }, TELLING); // as if it had begun so long after that
    const network = await serverOn(site);
    await comesTo(network, guestId, 'FAILED');
    expect(site.cxone.sessions(guestId)).toMatchObject([{ sessionId: foreign.sessionId }]);
  });

  it.each<[string, Legacy[], foreign: number]>([
    ['two that appeared', [{ posted: true }], 1],
    ['one that two attempts may have opened', [{ posted: true }, {}], 0],
    ['one that was there shortly before, by clocks that may be apart', [{ agoMs: -10_000 }], 1],
  ])('of %s none is taken, none ended, and the places stay held', async (_what, legacies, foreign) => {
    const site = await place(TENANT);
    const guestId = randomUUID();
    for (let count = 0; count < foreign; count += 1) site.cxone.addSession(guestId);
    const own = legacies.map((legacy) => ({ ...legacy, guestId }));
    await leave(site, TELLING, ...own);
    const before = site.cxone.sessions(guestId);

    const network = await serverOn(site, { MAX_CONCURRENT_SESSIONS: '5' });

    await eventually(() => network.logLines.filter((line) => line.includes('cannot be told')).length >= own.length);
    const { sessions } = await booksOf(network, guestId);
    expect(sessions.map(({ status }) => status)).toEqual(own.map(() => 'PENDING'));
    expect(site.cxone.sessions(guestId)).toEqual(before);
  });

  it('it is settled when it can be told after all, such as when the other one is over', async () => {
    const site = await place(TENANT);
    const guestId = randomUUID();
    const foreign = site.cxone.addSession(guestId);
    const [, { sessionId }] = await leave(site, TELLING, { posted: true, guestId });
    const network = await serverOn(site);
    await eventually(() => network.logLines.some((line) => line.includes('cannot be told')));

    site.cxone.endSession(foreign.sessionId);
    makeDue(site.path);

    await comesTo(network, guestId, 'ACTIVE', 8_000);
    expect((await booksOf(network, guestId)).sessions).toMatchObject([{ sessionId }]);
  });
});
