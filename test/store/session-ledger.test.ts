import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { Finding } from '../../src/guest-session/ledger-ports.js';
import type { GuestSessionRecord, Outcome, UpstreamSession } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { SqliteIntentLedger } from '../../src/store/intent-ledger.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { TokenCipher } from '../../src/store/token-cipher.js';
import { actor, attemptFor, type Books, commitsInWal, openBooks, openSession, success } from './ledger.js';

const HOUR_MS = 3_600_000;
const UNKNOWN: Outcome = { status: 'FAILED', error: new AttemptError('OUTCOME_UNKNOWN'), stage: 'CREATE' };
const UNAVAILABLE: Outcome = { status: 'FAILED', error: new AttemptError('CXONE_UNAVAILABLE'), stage: 'CREATE' };

const NOTHING: Finding = { session: null, hasSurplus: false };

const upstream = (session: Partial<UpstreamSession> = {}): UpstreamSession => ({
  sessionId: `cxs-${randomUUID()}`,
  requestId: null,
  createdAt: new Date(),
  expiresAt: new Date(Date.now() + HOUR_MS),
  clientToken: null,
  namesGuest: true,
  ...session,
});
const found = (session: Partial<UpstreamSession> = {}): Finding & { session: UpstreamSession } => ({
  session: upstream(session),
  hasSurplus: false,
});

/** An attempt whose process has died. */
async function leavePending(books: Books, guestId?: string, input: object = {}): Promise<GuestSessionRecord> {
  const { attempt, request } = attemptFor(guestId, input);
  await books.attempts.reserve(attempt, request);
  return recordOf(books, attempt.requestId);
}

/** An attempt whose answer was lost. @param lostAnswers POSTs that may arrive late */
async function leaveClosed(books: Books, outcome: Outcome, lostAnswers = 0): Promise<GuestSessionRecord> {
  const { attempt, request } = attemptFor();
  await books.attempts.reserve(attempt, request);
  Object.assign(attempt, { reserved: true, posts: 1, lostAnswers });
  await books.attempts.close(attempt, outcome);
  return recordOf(books, attempt.requestId);
}

/** The last look that is put off. */
async function giveUp(books: Books, { id }: GuestSessionRecord): Promise<void> {
  await books.writer.submit(({ db }) => db.run('UPDATE "GuestSession" SET "looks" = 20 WHERE "id" = ?', id));
  expect(await books.sessions.postpone(await recordOf(books, id))).toBe(true);
}

async function recordOf(books: Books, id: string): Promise<GuestSessionRecord> {
  const session = await books.sessions.byId(id);
  expect(session).not.toBeNull();
  return session as GuestSessionRecord;
}

const rowOf = (books: Books, id: string) =>
  books.outside.get<Record<string, number | string | null>>('SELECT * FROM "GuestSession" WHERE "id" = ?', id);
const auditsOf = (books: Books, id: string) =>
  books.outside.all<Record<string, unknown>>(
    'SELECT * FROM "AuditEntry" WHERE "requestId" = ? ORDER BY "sequence"',
    id,
  );
const eventsOf = (books: Books, id: string) =>
  books.outside.all<Record<string, unknown>>(
    'SELECT * FROM "SessionEvent" WHERE "requestId" = ? ORDER BY "sequence"',
    id,
  );
const held = (books: Books, { guestId }: GuestSessionRecord) =>
  books.attempts.heldPlaces(guestId as never).map(({ requestId, sessionId }) => ({ requestId, sessionId }));

/** Makes a look due that is to come. */
const makeDue = (books: Books, id: string) =>
  books.writer.submit(({ db }) => db.run('UPDATE "GuestSession" SET "reconcileAt" = 1 WHERE "id" = ?', id));

/** Milliseconds from now until CXone is asked about an attempt; null where it is not. */
function nextLookIn(books: Books, id: string): number | null {
  const at = rowOf(books, id)?.reconcileAt;
  return typeof at === 'number' ? at - Date.now() : null;
}
/** So many milliseconds, less what a busy machine takes. */
const about = (ms: number) => ({
  asymmetricMatch: (value: unknown) => typeof value === 'number' && value <= ms + 10 && value > ms - 1_500,
  toString: () => `about ${ms}`,
});

describe('an attempt that was interrupted', () => {
  it('and has a session is closed as reconciled, in one commit, and holds its place until it is over', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const attempt = await leavePending(books);
    const before = commitsInWal(books.path);
    const finding = found();

    const settlement = await books.sessions.reconcile(attempt, finding);

    expect(commitsInWal(books.path)).toBe(before + 1);
    const { sessionId, expiresAt } = finding.session;
    expect(settlement).toMatchObject({
      isAnswer: false,
      session: { id: attempt.id, status: 'ACTIVE', sessionId, expiresAt },
    });
    expect(rowOf(books, attempt.id)).toMatchObject({ placeHeldUntil: expiresAt?.getTime(), endedAt: null });
    const reason = `CXone has the session ${sessionId}`;
    expect(auditsOf(books, attempt.id)).toMatchObject([
      {
        kind: 'SESSION_INITIATION',
        status: 'FAILED',
        errorCode: 'OUTCOME_UNKNOWN',
        reason: `interrupted; ${reason}`,
        actor: 'tester',
        sessionId,
        guestId: attempt.guestId,
      },
      { kind: 'SESSION_RECONCILED', status: 'SUCCESS', errorCode: null, reason, actor: 'reconciler', sessionId },
    ]);
    expect(eventsOf(books, attempt.id)).toMatchObject([
      { type: 'SESSION_REQUESTED' },
      {
        type: 'SESSION_RECONCILED',
        status: 'ACTIVE',
        sessionId,
        reason,
        expiresAt: expiresAt?.getTime(),
        crmId: 'crm-1',
      },
    ]);
    expect(held(books, attempt)).toEqual([{ requestId: attempt.id, sessionId }]);
    await expect(openSession(books, attempt.guestId)).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 2 });
  });

  it('and has none has failed, and its place is free', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const attempt = await leavePending(books);

    const settlement = await books.sessions.reconcile(attempt, NOTHING);

    expect(settlement).toMatchObject({
      isAnswer: false,
      session: { status: 'FAILED', failureCode: 'DEADLINE_EXCEEDED', sessionId: null },
    });
    expect(auditsOf(books, attempt.id)).toMatchObject([
      {
        kind: 'SESSION_INITIATION',
        status: 'FAILED',
        errorCode: 'DEADLINE_EXCEEDED',
        reason: 'interrupted; CXone has no session of this attempt',
      },
      { kind: 'SESSION_RECONCILED', status: 'FAILED', actor: 'reconciler' },
    ]);
    expect(eventsOf(books, attempt.id)).toMatchObject([
      { type: 'SESSION_REQUESTED' },
      { type: 'SESSION_FAILED', status: 'FAILED', reason: 'DEADLINE_EXCEEDED' },
    ]);
    expect(held(books, attempt)).toEqual([]);
    await openSession(books, attempt.guestId);
  });

  it('and whose session CXone gives no end is held for an hour', async () => {
    const books = await openBooks();
    const attempt = await leavePending(books);
    const { session } = await books.sessions.reconcile(attempt, found({ expiresAt: null }));
    expect(session.expiresAt!.getTime() - Date.now()).toEqual(about(HOUR_MS));
  });

  it('is settled once, also when two look at the same time and see different things', async () => {
    const books = await openBooks();
    const attempt = await leavePending(books);
    const finding = found();
    const settlements = await Promise.all([
      books.sessions.reconcile(attempt, finding),
      books.sessions.reconcile(attempt, finding),
      books.sessions.reconcile(attempt, finding),
    ]);
    expect(settlements.map(({ session }) => session.status)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
    expect([auditsOf(books, attempt.id).length, eventsOf(books, attempt.id).length]).toEqual([2, 2]);
  });

  it('can be closed no more by the process that was thought dead', async () => {
    const books = await openBooks();
    const { attempt, request } = attemptFor();
    await books.attempts.reserve(attempt, request);
    attempt.reserved = true;
    await books.sessions.reconcile(await recordOf(books, attempt.requestId), NOTHING);
    await expect(books.attempts.close(attempt, success())).rejects.toThrow('was closed before');
    expect(auditsOf(books, attempt.requestId)).toHaveLength(2);
  });

  it.each(['AuditEntry', 'SessionEvent'])('is settled whole or not at all (%s cannot be written)', async (table) => {
    const books = await openBooks();
    const attempt = await leavePending(books);
    const row = rowOf(books, attempt.id);
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "${table}" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await expect(books.sessions.reconcile(attempt, found())).rejects.toThrow('no more');
    expect([rowOf(books, attempt.id), auditsOf(books, attempt.id)]).toEqual([row, []]);
    books.db.exec('DROP TRIGGER "full"');
    expect((await books.sessions.reconcile(attempt, found())).session.status).toBe('ACTIVE');
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 2 });
  });
});

describe('an attempt whose outcome was unknown', () => {
  it('and has a session is reconciled, without a second entry of its initiation', async () => {
    const books = await openBooks();
    const attempt = await leaveClosed(books, UNKNOWN);
    expect(nextLookIn(books, attempt.id)).toEqual(about(2_000));
    const finding = found();

    await books.sessions.reconcile(attempt, finding);

    const { sessionId } = finding.session;
    expect(rowOf(books, attempt.id)).toMatchObject({ status: 'ACTIVE', sessionId, failureCode: null });
    expect(auditsOf(books, attempt.id)).toMatchObject([
      { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: 'OUTCOME_UNKNOWN' },
      { kind: 'SESSION_RECONCILED', status: 'SUCCESS', sessionId },
    ]);
    expect(eventsOf(books, attempt.id).map(({ type, status }) => [type, status])).toEqual([
      ['SESSION_REQUESTED', 'PENDING'],
      ['SESSION_FAILED', 'UNKNOWN'],
      ['SESSION_RECONCILED', 'ACTIVE'],
    ]);
    expect(held(books, attempt)).toEqual([{ requestId: attempt.id, sessionId }]);
  });

  it('and has none has failed for the reason that it was given, and its place is free', async () => {
    const books = await openBooks();
    const attempt = await leaveClosed(books, UNKNOWN);
    expect(held(books, attempt)).toHaveLength(1);

    await books.sessions.reconcile(attempt, NOTHING);

    expect(rowOf(books, attempt.id)).toMatchObject({ status: 'FAILED', failureCode: 'OUTCOME_UNKNOWN' });
    expect(eventsOf(books, attempt.id).at(-1)).toMatchObject({
      type: 'SESSION_RECONCILED',
      status: 'FAILED',
      reason: 'CXone has no session of this attempt',
    });
    expect(auditsOf(books, attempt.id).map(({ kind }) => kind)).toEqual(['SESSION_INITIATION', 'SESSION_RECONCILED']);
    expect(held(books, attempt)).toEqual([]);
  });
});

describe('a look for POSTs that arrive late', () => {
  it.each([
    ['an attempt that has failed', () => NOTHING, (books: Books) => leaveClosed(books, UNAVAILABLE, 1)],
    ['one that was interrupted, and has a session', found, leavePending],
    ['one that was interrupted, and has none', () => NOTHING, leavePending],
  ])('is taken soon, then at growing intervals, and no more after half a minute (%s)', async (_what, look, leave) => {
    const books = await openBooks();
    const attempt = await leave(books);
    const finding = look();
    const next = async () => {
      await books.sessions.reconcile(await recordOf(books, attempt.id), finding);
      return nextLookIn(books, attempt.id);
    };
    // The first look settles what was interrupted, and what was settled has been looked at before.
    if (attempt.status === 'PENDING') expect(await next()).toEqual(about(2_000));
    const [audits, events] = [auditsOf(books, attempt.id), eventsOf(books, attempt.id)];
    expect([await next(), await next(), await next(), await next()]).toEqual([
      about(4_000),
      about(8_000),
      about(16_000),
      null,
    ]);
    expect([auditsOf(books, attempt.id), eventsOf(books, attempt.id)]).toEqual([audits, events]);
  });

  it('is due two seconds after the attempt, where an answer of it was lost', async () => {
    const books = await openBooks();
    for (const outcome of [success(), UNAVAILABLE]) {
      expect(nextLookIn(books, (await leaveClosed(books, outcome, 1)).id)).toEqual(about(2_000));
      expect(nextLookIn(books, (await leaveClosed(books, outcome, 0)).id)).toBeNull();
    }
  });

  it('tells of the sessions that it had to end', async () => {
    const books = await openBooks();
    const attempt = await leaveClosed(books, UNAVAILABLE, 1);

    await books.sessions.recordSurplus(attempt.id, ['cxs-late', 'cxs-later']);

    const reason = 'a POST arrived late, and what it opened was ended';
    expect(auditsOf(books, attempt.id).at(-1)).toMatchObject({
      kind: 'SESSION_RECONCILED',
      status: 'SUCCESS',
      reason: `${reason}: cxs-late, cxs-later`,
    });
    expect(eventsOf(books, attempt.id).at(-1)).toMatchObject({ type: 'SESSION_RECONCILED', status: 'FAILED', reason });
  });

  it('is taken again while there is surplus, for an hour', async () => {
    const books = await openBooks();
    const attempt = await leaveClosed(books, success(), 1);
    const finding = { ...found({ sessionId: attempt.sessionId! }), hasSurplus: true };
    const waits = [];
    for (let looks = 0; looks < 21; looks += 1) {
      await books.sessions.reconcile(attempt, finding);
      waits.push(nextLookIn(books, attempt.id));
    }
    expect(waits.slice(0, 6)).toEqual([4_000, 8_000, 16_000, 32_000, 64_000, 128_000].map(about));
    expect(waits.slice(-2)).toEqual([about(300_000), null]);
  });

  it('leaves a session alone that is there, and at the last look ends one in the books that is not', async () => {
    const books = await openBooks();
    const [live, gone] = [await leaveClosed(books, success(), 1), await leaveClosed(books, success(), 1)];

    for (let looks = 0; looks < 4; looks += 1) {
      expect(rowOf(books, gone.id)).toMatchObject({ status: 'ACTIVE' });
      await books.sessions.reconcile(live, found({ sessionId: live.sessionId! }));
      await books.sessions.reconcile(gone, NOTHING);
    }

    expect(rowOf(books, live.id)).toMatchObject({ status: 'ACTIVE', endedUpstream: null });
    expect(rowOf(books, gone.id)).toMatchObject({ status: 'ENDED', endedUpstream: 1 });
    expect(auditsOf(books, gone.id).at(-1)).toMatchObject({
      kind: 'SESSION_ENDED',
      actor: 'cxone',
      reason: 'CXone lists it no longer',
    });
    expect(held(books, gone)).toEqual([]);
  });
});

describe('the idempotency key of an attempt that is settled', () => {
  /** Books with an intent whose attempt was interrupted. */
  async function interrupted() {
    const books = await openBooks();
    const intents = new SqliteIntentLedger(
      books.writer,
      new SessionReader(books),
      new TokenCipher(Buffer.alloc(32, 7)),
      {
        instanceId: 'test',
        blindKey: (key) => books.vault.blind('idempotency key', key),
        isAlone: true,
        ttlMs: HOUR_MS,
        unwritten: () => [],
        inputKeys: [Buffer.alloc(32, 1)],
      },
    );
    const guestId = randomUUID();
    const input = { idempotencyKey: 'an intent' };
    const first = attemptFor(guestId, input);
    expect(await intents.recognise(first.attempt, first.request)).toEqual({ is: 'NEW' });
    await books.attempts.reserve(first.attempt, first.request);
    const attempt = await recordOf(books, first.attempt.requestId);
    const askAgain = () => {
      const next = attemptFor(guestId, input);
      return intents.recognise(next.attempt, next.request);
    };
    expect(await askAgain()).toEqual({ is: 'IN_FLIGHT', requestId: attempt.id });
    return { books, attempt, askAgain };
  }

  it('gives the session and its token, where CXone tells it, and the CRM hears of it', async () => {
    const { books, attempt, askAgain } = await interrupted();
    const finding = found({ clientToken: 'ctk-found' });

    const settlement = await books.sessions.reconcile(attempt, finding);

    expect(settlement).toMatchObject({ isAnswer: true, session: { status: 'ACTIVE', crmSync: 'PENDING' } });
    const { sessionId } = finding.session;
    expect(await askAgain()).toMatchObject({
      is: 'REPLAY',
      conclusion: {
        requestId: attempt.id,
        replayed: true,
        eventSequence: 3,
        outcome: { status: 'SUCCESS', created: { sessionId, clientToken: 'ctk-found' } },
      },
    });
    expect(books.outside.all('SELECT * FROM "WebhookDelivery"')).toMatchObject([
      { requestId: attempt.id, status: 'PENDING', body: expect.stringContaining(sessionId) },
    ]);
    expect(JSON.stringify(books.outside.all('SELECT * FROM "IdempotencyKey"'))).not.toContain('ctk-found');
  });

  it('is to be cleared up by the next that asks, where the token is lost, until the session is over', async () => {
    const { books, attempt, askAgain } = await interrupted();
    await books.sessions.reconcile(attempt, found());
    expect(books.count('WebhookDelivery')).toBe(0);
    expect(await askAgain()).toMatchObject({ is: 'UNSETTLED', earlier: { id: attempt.id, status: 'ACTIVE' } });

    await books.sessions.end(attempt.id, { actor: actor('retry'), reason: null, endedUpstream: true });
    const { unsettledRequestId } = books.outside.get<{ unsettledRequestId: string }>('SELECT * FROM "IdempotencyKey"')!;
    expect(unsettledRequestId).toBeNull();
  });

  it('is free where there is no session, but for a look at what may arrive late', async () => {
    const { books, attempt, askAgain } = await interrupted();
    await books.sessions.reconcile(attempt, NOTHING);
    expect(await askAgain()).toMatchObject({ is: 'UNSETTLED', earlier: { id: attempt.id, status: 'FAILED' } });
    for (let looks = 0; looks < 4; looks += 1) {
      await books.sessions.reconcile(await recordOf(books, attempt.id), NOTHING);
    }
    const { unsettledRequestId } = books.outside.get<{ unsettledRequestId: string }>('SELECT * FROM "IdempotencyKey"')!;
    expect(unsettledRequestId).toBeNull();
  });

  it('is free where it was given up to find out', async () => {
    const { books, attempt, askAgain } = await interrupted();
    await giveUp(books, attempt);
    expect(await askAgain()).toEqual({ is: 'NEW' });
  });

  it.each(['end', 'expiry'])('keeps the session and loses the token with its %s', async (how) => {
    const { books, attempt, askAgain } = await interrupted();
    await books.sessions.reconcile(attempt, found({ clientToken: 'ctk', expiresAt: new Date(Date.now() - 1) }));
    if (how === 'end') await books.sessions.end(attempt.id, { actor: actor('x'), reason: null, endedUpstream: true });
    else await books.writer.execute('expireSessions', { limit: 10 });
    expect(await askAgain()).toMatchObject({
      is: 'REPLAY',
      conclusion: {
        session: { status: how === 'end' ? 'ENDED' : 'EXPIRED' },
        outcome: { created: { clientToken: null } },
      },
    });
  });
});

describe('ending a session', () => {
  it('writes session, event and audit entry in one commit, and frees its place', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const { attempt } = await openSession(books);
    const session = await recordOf(books, attempt.requestId);
    const before = commitsInWal(books.path);

    const ended = await books.sessions.end(session.id, {
      actor: actor('an agent'),
      reason: 'good-bye',
      endedUpstream: false,
    });

    expect(commitsInWal(books.path)).toBe(before + 1);
    expect(ended).toMatchObject({ id: session.id, status: 'ENDED', endedUpstream: false, endedAt: expect.any(Date) });
    expect(rowOf(books, session.id)).toMatchObject({ placeHeldUntil: ended.endedAt!.getTime() });
    const { sessionId, guestId } = session;
    expect(auditsOf(books, session.id).at(-1)).toMatchObject({
      kind: 'SESSION_ENDED',
      status: 'SUCCESS',
      actor: 'an agent',
      reason: 'good-bye',
      sessionId,
      guestId,
    });
    expect(eventsOf(books, session.id).at(-1)).toMatchObject({
      type: 'SESSION_ENDED',
      status: 'ENDED',
      reason: 'good-bye',
      sessionId,
      guestId,
      crmId: 'crm-1',
    });
    await openSession(books, guestId);
  });

  it('changes nothing the second time, whoever says what', async () => {
    const books = await openBooks();
    const { attempt } = await openSession(books);
    const id = attempt.requestId;
    const ends = await Promise.all(
      ['one', 'two', 'three'].map((name, i) =>
        books.sessions.end(id, { actor: actor(name), reason: null, endedUpstream: i === 0 }),
      ),
    );
    expect(new Set(ends.map((end) => JSON.stringify(end)))).toHaveLength(1);
    expect(ends[0]).toMatchObject({ status: 'ENDED', endedUpstream: true });
    expect(auditsOf(books, id).map(({ kind, actor }) => [kind, actor])).toEqual([
      ['SESSION_INITIATION', 'tester'],
      ['SESSION_ENDED', 'one'],
    ]);
  });

  it('leaves alone what is not live', async () => {
    const books = await openBooks();
    const expired = await openSession(books, undefined, success(new Date(Date.now() - 1)));
    await books.writer.execute('expireSessions', { limit: 10 });
    const ids = [
      expired.attempt.requestId,
      (await leavePending(books)).id,
      (await leaveClosed(books, UNKNOWN)).id,
      (await leaveClosed(books, UNAVAILABLE)).id,
    ];
    const statuses = [];
    for (const id of ids)
      statuses.push((await books.sessions.end(id, { actor: actor('x'), reason: null, endedUpstream: true })).status);
    expect(statuses).toEqual(['EXPIRED', 'PENDING', 'UNKNOWN', 'FAILED']);
    expect(books.count('SessionEvent', `"type" = 'SESSION_ENDED'`)).toBe(0);
  });

  it('loses to an expiry that came first, and wins where it came first: never both', async () => {
    const books = await openBooks();
    for (const order of [
      ['end', 'expire'],
      ['expire', 'end'],
    ] as const) {
      const { attempt } = await openSession(books, undefined, success(new Date(Date.now() - 1)));
      const end = { id: attempt.requestId, actor: actor('x'), reason: null, endedUpstream: true };
      await Promise.all(
        order.map((what) =>
          what === 'end'
            ? books.writer.execute('endSession', end)
            : books.writer.execute('expireSessions', { limit: 9 }),
        ),
      );
      const types = eventsOf(books, attempt.requestId).map(({ type }) => type);
      expect(types.slice(2)).toEqual([order[0] === 'end' ? 'SESSION_ENDED' : 'SESSION_EXPIRED']);
    }
  });
});

describe('the attempts that are due', () => {
  it('are those whose time has come, the longest waiting first, as many as are asked for', async () => {
    const books = await openBooks();
    const attempts = [
      await leavePending(books),
      await leaveClosed(books, UNKNOWN),
      await leaveClosed(books, success(), 1),
    ];
    await openSession(books);
    expect(await books.sessions.dueForReconciliation(10)).toEqual([]);

    await books.writer.submit(({ db }) => {
      for (const [i, at] of [30, 10, 20].entries()) {
        db.run('UPDATE "GuestSession" SET "reconcileAt" = ? WHERE "id" = ?', at, attempts[i]!.id);
      }
    });

    const due = async (limit: number) => (await books.sessions.dueForReconciliation(limit)).map(({ id }) => id);
    const [first, second, third] = [attempts[1]!.id, attempts[2]!.id, attempts[0]!.id];
    expect(new Set(await due(2))).toEqual(new Set([first, second]));
    expect(await due(10)).toEqual([first, second, third]);
  });

  it('are not those that are put off', async () => {
    const books = await openBooks();
    const attempt = await leavePending(books);
    await makeDue(books, attempt.id);
    expect(await books.sessions.postpone(attempt)).toBe(false);
    expect(await books.sessions.dueForReconciliation(10)).toEqual([]);
    expect(nextLookIn(books, attempt.id)).toEqual(about(4_000));
  });

  it('are at the start all that an earlier process had under way, however long their leases', async () => {
    const books = await openBooks();
    const [one, other] = [await leavePending(books), await leavePending(books)];
    const unknown = await leaveClosed(books, UNKNOWN);
    await openSession(books);
    expect(nextLookIn(books, one.id)).toEqual(about(25_000)); // the deadline of an attempt, and time to close it
    expect(await books.sessions.releaseAbandoned()).toBe(3);
    expect((await books.sessions.dueForReconciliation(10)).map(({ id }) => id).sort()).toEqual(
      [one.id, other.id, unknown.id].sort(),
    );
  });
});

describe('giving up', () => {
  it.each([
    [
      'interrupted',
      (books: Books) => leavePending(books),
      ['SESSION_INITIATION', 'SESSION_RECONCILED'],
      'SESSION_FAILED',
    ],
    [
      'of unknown outcome',
      (books: Books) => leaveClosed(books, UNKNOWN),
      ['SESSION_INITIATION', 'SESSION_RECONCILED'],
      'SESSION_RECONCILED',
    ],
  ] as const)(
    'an attempt that was %s frees its place, says why, and is for good',
    async (_what, leave, kinds, event) => {
      const books = await openBooks({ maxConcurrentSessions: 1 });
      const attempt = await leave(books);

      await giveUp(books, attempt);

      expect(rowOf(books, attempt.id)).toMatchObject({ status: 'FAILED', reconcileAt: null });
      const audits = auditsOf(books, attempt.id);
      expect(audits.map(({ kind }) => kind)).toEqual(kinds);
      expect(audits.at(-1)).toMatchObject({
        status: 'FAILED',
        reason: 'CXone could not be asked within an hour',
        actor: 'reconciler',
      });
      expect(eventsOf(books, attempt.id).at(-1)).toMatchObject({ type: event, status: 'FAILED' });
      await openSession(books, attempt.guestId);
    },
  );

  it('the look for late arrivals leaves the session as it is', async () => {
    const books = await openBooks();
    const session = await leaveClosed(books, success(), 1);
    const audits = auditsOf(books, session.id);
    await giveUp(books, session);
    expect(rowOf(books, session.id)).toMatchObject({ status: 'ACTIVE', reconcileAt: null });
    expect(auditsOf(books, session.id)).toEqual(audits);
  });
});
