import { createHmac, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AttemptError, InternalError } from '../../src/errors.js';
import type { Outcome } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import type { MetricCounts } from '../../src/store/metric-bucket.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { attemptFor, type Books, CAP, commitsInWal, openBooks, openSession, success } from './ledger.js';

const TABLES = ['GuestSession', 'SessionEvent', 'AuditEntry', 'WebhookDelivery', 'MetricBucket'] as const;

const rowsIn = (books: Books) => Object.fromEntries(TABLES.map((table) => [table, books.count(table)]));

const refusal = (error: AttemptError | InternalError): Outcome => ({
  status: error instanceof AttemptError ? error.status : 'FAILED',
  error,
  stage: 'CREATE',
});

const sessionOf = (books: Books, id: string) =>
  books.outside.get<Record<string, unknown>>('SELECT * FROM "GuestSession" WHERE "id" = ?', id);

const countsOf = (books: Books): MetricCounts =>
  JSON.parse(books.outside.get<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket"')?.buckets ?? '{}');

function reserve(books: Books, guestId: string) {
  const { attempt, request } = attemptFor(guestId);
  return books.attempts.reserve(attempt, request).then(() => attempt);
}

describe('reserving a place', () => {
  it('lets exactly as many in as there are places, also when all come in one group', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    const before = commitsInWal(books.path);
    const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => reserve(books, guestId)));
    expect(commitsInWal(books.path)).toBe(before + 1);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(CAP);
    for (const outcome of outcomes.slice(CAP)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'CAPACITY_EXCEEDED', status: 'REJECTED' } });
    }
    expect(rowsIn(books)).toMatchObject({ GuestSession: CAP, SessionEvent: CAP });
  });

  it('counts each guest alone', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const guests = Array.from({ length: 20 }, () => randomUUID());
    await Promise.all(guests.map((guestId) => reserve(books, guestId)));
    expect(books.count('GuestSession')).toBe(20);
    await expect(reserve(books, guests[3]!)).rejects.toThrow(AttemptError);
  });

  it('writes the PENDING row, with the fingerprint only as a keyed hash, and its event', async () => {
    const books = await openBooks();
    const { attempt, request } = attemptFor(undefined, { deviceFingerprint: 'fp-secret', channel: 'SMS' });
    await books.attempts.reserve(attempt, request);
    expect(sessionOf(books, attempt.requestId)).toMatchObject({
      status: 'PENDING',
      guestId: request.guestId,
      channel: 'SMS',
      callerName: 'tester',
      fraudScore: 12,
      crmSync: 'DISABLED',
      fingerprintHmac: createHmac('sha256', Buffer.alloc(32, 7)).update('fp-secret').digest('hex'),
      createdAt: attempt.openedAt.getTime(),
    });
    expect(books.outside.all('SELECT "type", "requestId", "status" FROM "SessionEvent"')).toEqual([
      { type: 'SESSION_REQUESTED', requestId: attempt.requestId, status: 'PENDING' },
    ]);
    for (const { name } of books.outside.all<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table'`)) {
      expect(JSON.stringify(books.outside.all(`SELECT * FROM "${name}"`))).not.toContain('fp-secret');
    }
  });

  it.each([
    ['has ended', `"status" = 'ENDED'`],
    ['has expired', `"status" = 'EXPIRED'`],
    ['has failed', `"status" = 'FAILED'`],
    ['is over by the clock, though nobody has marked it yet', `"placeHeldUntil" = 1`],
  ])('finds the place of a session free again that %s', async (_, change) => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const { request } = await openSession(books);
    await expect(reserve(books, request.guestId)).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    books.db.exec(`UPDATE "GuestSession" SET ${change}`);
    await reserve(books, request.guestId);
  });

  it('keeps the place of an attempt whose outcome is unknown, and frees that of one that failed', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const unknown = await openSession(books, undefined, refusal(new AttemptError('OUTCOME_UNKNOWN')));
    expect(unknown.closed.session?.status).toBe('UNKNOWN');
    await expect(reserve(books, unknown.request.guestId)).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    const failed = await openSession(books, undefined, refusal(new AttemptError('CXONE_UNAVAILABLE')));
    await reserve(books, failed.request.guestId);
  });
});

describe('the places that a guest holds', () => {
  it('come in the order of their reservation, whatever the requests’ own times say', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    const late = attemptFor(guestId);
    const early = attemptFor(guestId);
    Object.assign(late.attempt, { openedAt: new Date(Date.now() + 10_000) });
    await books.attempts.reserve(late.attempt, late.request);
    await books.attempts.reserve(early.attempt, early.request);
    late.attempt.reserved = true;
    const outcome = success();
    await books.attempts.close(late.attempt, outcome);
    await openSession(books);
    expect(books.attempts.heldPlaces(early.request.guestId)).toMatchObject([
      { requestId: late.attempt.requestId, sessionId: outcome.status === 'SUCCESS' && outcome.created.sessionId },
      { requestId: early.attempt.requestId, sessionId: null },
    ]);
  });

  it('leave out sessions whose time is over', async () => {
    const books = await openBooks();
    const { request } = await openSession(books, undefined, success(new Date(Date.now() - 1)));
    expect(books.attempts.heldPlaces(request.guestId)).toEqual([]);
  });
});

describe('closing an attempt', () => {
  it('writes session, event, audit entry, delivery and metrics in one commit', async () => {
    const books = await openBooks();
    const { attempt, request } = attemptFor();
    await books.attempts.reserve(attempt, request);
    attempt.reserved = true;
    attempt.posts = 2;
    attempt.stageDurationsMs.set('CREATE', 42);
    const before = commitsInWal(books.path);
    const outcome = success();
    const { sessionId, expiresAt } = (outcome as Extract<Outcome, { status: 'SUCCESS' }>).created;
    const closed = await books.attempts.close(attempt, outcome);

    expect(commitsInWal(books.path)).toBe(before + 1);
    expect(closed).toMatchObject({ eventSequence: 2, session: { sessionId, status: 'ACTIVE', crmSync: 'PENDING' } });
    expect(sessionOf(books, attempt.requestId)).toMatchObject({
      status: 'ACTIVE',
      sessionId,
      expiresAt: expiresAt.getTime(),
      placeHeldUntil: expiresAt.getTime(),
      attempts: 2,
      crmSync: 'PENDING',
      failureCode: null,
    });
    const event = books.outside.get<{ id: string }>('SELECT * FROM "SessionEvent" WHERE "sequence" = 2');
    expect(event).toMatchObject({
      type: 'SESSION_INITIATED',
      sessionId,
      status: 'ACTIVE',
      expiresAt: expiresAt.getTime(),
    });
    expect(books.outside.all('SELECT * FROM "AuditEntry"')).toMatchObject([
      {
        sequence: 1,
        kind: 'SESSION_INITIATION',
        status: 'SUCCESS',
        requestId: attempt.requestId,
        sessionId,
        attempts: 2,
      },
    ]);
    expect(books.outside.all('SELECT * FROM "WebhookDelivery"')).toMatchObject([
      { id: event?.id, requestId: attempt.requestId, status: 'PENDING', attempts: 0, eventType: 'SESSION_INITIATED' },
    ]);
    expect(countsOf(books)).toMatchObject({
      outcomes: { SUCCESS: 1 },
      latency: { count: 1 },
      stages: { CREATE: { count: 1, sumMs: 42 } },
    });
  });

  it('answers with the record that a query gives', async () => {
    const books = await openBooks();
    for (const outcome of [success(), refusal(new AttemptError('CXONE_SCHEMA_REJECTED', { detail: 'no' }))]) {
      const { attempt, closed } = await openSession(books, undefined, outcome);
      const record = await new SessionReader(books).byId(attempt.requestId);
      expect(record).not.toBeNull();
      expect(record).toEqual(closed.session);
    }
  });

  it.each(TABLES.slice(1))('writes nothing at all when it cannot write to %s', async (table) => {
    const books = await openBooks();
    const { attempt, request } = attemptFor();
    await books.attempts.reserve(attempt, request);
    attempt.reserved = true;
    const before = { rows: rowsIn(books), session: sessionOf(books, attempt.requestId) };
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "${table}" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await expect(books.attempts.close(attempt, success())).rejects.toThrow('no more');
    expect({ rows: rowsIn(books), session: sessionOf(books, attempt.requestId) }).toEqual(before);

    books.db.exec('DROP TRIGGER "full"');
    await books.attempts.close(attempt, success());
    expect(rowsIn(books)).toEqual({
      GuestSession: 1,
      SessionEvent: 2,
      AuditEntry: 1,
      WebhookDelivery: 1,
      MetricBucket: 1,
    });
    expect(countsOf(books).outcomes).toEqual({ SUCCESS: 1 });
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 1 });
  });

  it('takes no neighbour with it when it fails', async () => {
    const books = await openBooks();
    const [one, other] = [attemptFor(), attemptFor()];
    for (const { attempt, request } of [one, other]) {
      await books.attempts.reserve(attempt, request);
      attempt.reserved = true;
    }
    books.db.exec(
      `CREATE TRIGGER "some" BEFORE INSERT ON "AuditEntry" WHEN NEW."requestId" = '${one.attempt.requestId}' BEGIN SELECT RAISE(ABORT, 'no'); END`,
    );
    const [failed, closed] = await Promise.allSettled([
      books.attempts.close(one.attempt, success()),
      books.attempts.close(other.attempt, success()),
    ]);
    expect([failed.status, closed.status]).toEqual(['rejected', 'fulfilled']);
    expect(sessionOf(books, one.attempt.requestId)).toMatchObject({ status: 'PENDING' });
    expect(sessionOf(books, other.attempt.requestId)).toMatchObject({ status: 'ACTIVE' });
  });

  it('writes down a refusal with what operations need to know, and tells no CRM', async () => {
    const books = await openBooks();
    const error = new AttemptError('CXONE_SCHEMA_REJECTED', { detail: 'CXone answered 400: queueId' });
    const { attempt, closed } = await openSession(books, undefined, refusal(error));
    expect(closed.session).toMatchObject({
      status: 'FAILED',
      failureCode: 'CXONE_SCHEMA_REJECTED',
      crmSync: 'DISABLED',
    });
    expect(books.outside.all('SELECT * FROM "AuditEntry"')).toMatchObject([
      { status: 'FAILED', errorCode: 'CXONE_SCHEMA_REJECTED', reason: error.detail, requestId: attempt.requestId },
    ]);
    expect(books.outside.get('SELECT * FROM "SessionEvent" WHERE "sequence" = 2')).toMatchObject({
      type: 'SESSION_FAILED',
      reason: 'CXONE_SCHEMA_REJECTED',
      status: 'FAILED',
    });
    expect(books.count('WebhookDelivery')).toBe(0);
    expect(countsOf(books).outcomes).toEqual({ 'FAILED/CXONE_SCHEMA_REJECTED': 1 });
  });

  it('writes down an attempt that never held a place, or was not even understood', async () => {
    const books = await openBooks();
    const { attempt } = attemptFor();
    attempt.request = null;
    attempt.risk = null;
    const outcome: Outcome = { ...refusal(new AttemptError('INVALID_INPUT')), stage: 'VALIDATE' } as Outcome;
    expect(await books.attempts.close(attempt, outcome)).toEqual({ session: null, eventSequence: 1 });
    expect(rowsIn(books)).toEqual({
      GuestSession: 0,
      SessionEvent: 1,
      AuditEntry: 1,
      WebhookDelivery: 0,
      MetricBucket: 1,
    });
    expect(books.outside.get('SELECT * FROM "SessionEvent"')).toMatchObject({
      type: 'SESSION_REJECTED',
      guestId: null,
      status: null,
    });
  });

  it('says nothing of a bug of ours but that there was one', async () => {
    const books = await openBooks();
    await openSession(books, undefined, refusal(new InternalError('r', { cause: new Error('secret detail') })));
    expect(books.outside.get('SELECT * FROM "AuditEntry"')).toMatchObject({
      reason: 'internal error',
      errorCode: null,
    });
    expect(countsOf(books).outcomes).toEqual({ FAILED: 1 });
  });

  it('queues no delivery where there is no CRM', async () => {
    const books = await openBooks({ webhookEvents: [] });
    const { closed } = await openSession(books);
    expect(closed.session?.crmSync).toBe('DISABLED');
    expect(books.count('WebhookDelivery')).toBe(0);
  });

  it.each(['an answer with a NUL \u0000 in it', 'an emoji cut in half \ud83e'])(
    'is not undone by what CXone has said: %j',
    async (detail) => {
      const books = await openBooks();
      const { closed } = await openSession(books, undefined, refusal(new AttemptError('CXONE_REJECTED', { detail })));
      expect(closed.session?.status).toBe('FAILED');
      const [entry] = books.outside.all<{ reason: string }>('SELECT * FROM "AuditEntry"');
      expect(entry?.reason).toBe(detail.replace('\u0000', ' ').replace('\ud83e', '\ufffd'));
      expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 1 });
    },
  );
});
