import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { Outcome } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import { erase, guestWithHistory } from './erasures.js';
import { attemptFor, type Books, openBooks, openSession, success } from './ledger.js';
import { plansOf } from './plans.js';

const UNKNOWN: Outcome = { status: 'FAILED', error: new AttemptError('OUTCOME_UNKNOWN'), stage: 'CREATE' };
const BLOCKED: Outcome = { status: 'REJECTED', error: new AttemptError('FRAUD_BLOCKED'), stage: 'FRAUD' };

const nameOf = (books: Books, guestId: string) => books.vault.nameOf(guestId) ?? '(none)';

describe('erasing a guest in the books', () => {
  it('destroys its key, empties its rows, and tells the audit trail who wanted it', async () => {
    const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'] });
    const { guestId, requestId, sessionId } = await guestWithHistory(books);
    const name = nameOf(books, guestId);
    const act = randomUUID();

    expect(await erase(books, guestId, act)).toEqual({ is: 'ERASED', entriesInTheClear: 0 });

    expect(books.vault.nameOf(guestId)).toBeNull();
    expect(books.vault.byName(name)).toBeNull();
    expect(books.outside.get('SELECT "guestHmac", "wrapped", "erasedAt" > 0 AS "isDated" FROM "GuestKey"')).toEqual({
      guestHmac: null,
      wrapped: null,
      isDated: 1,
    });
    expect(
      books.outside.all(
        'SELECT "personal", "crmId", "sessionId", "idempotencyKey", "fingerprintHmac" FROM "GuestSession"',
      ),
    ).toEqual([{ personal: null, crmId: null, sessionId: null, idempotencyKey: null, fingerprintHmac: '' }]);
    expect(books.count('SessionEvent')).toBe(3);
    expect(books.count('SessionEvent', '"personal" IS NOT NULL')).toBe(0);
    const bodies = books.outside.all<{ body: string; guestId: string | null }>(
      'SELECT "body", "guestId" FROM "WebhookDelivery"',
    );
    expect(bodies.map(({ guestId }) => guestId)).toEqual([null, null]);
    for (const { body } of bodies)
      expect(JSON.parse(body).payload).toMatchObject({ sessionId: null, guestId: null, crmId: null });
    expect(await books.sessions.byId(requestId)).toMatchObject({
      guestId: 'erased',
      erased: true,
      crmId: null,
      sessionId: null,
    });
    expect(await books.sessions.bySessionId(sessionId)).toBeNull();

    const audits = await new AuditReader(books).after(0, 100);
    expect(audits.map(({ guestId, erased }) => [guestId, erased])).toEqual(audits.map(() => [null, true]));
    expect(audits.at(-1)).toMatchObject({
      kind: 'GUEST_ERASED',
      status: 'SUCCESS',
      requestId: act,
      actor: 'ops',
      actorRole: 'OPS',
      sourceAddress: 'net',
    });
    expect(books.count('AuditEntry', `"kind" = 'GUEST_ERASED' AND "guestId" = '${name}'`)).toBe(1);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 3 });
    expect(await new EventReader(books).eventsAfter(null, { guestId }, 100)).toEqual([]);
  });

  it('a second time, or of one that nobody has heard of, writes nothing', async () => {
    const books = await openBooks();
    const { guestId } = await guestWithHistory(books);
    await erase(books, guestId);
    const entries = books.count('AuditEntry');

    expect(await erase(books, guestId)).toEqual({ is: 'UNKNOWN_GUEST', entriesInTheClear: 0 });
    expect(await erase(books, randomUUID())).toEqual({ is: 'UNKNOWN_GUEST', entriesInTheClear: 0 });
    expect(books.count('AuditEntry')).toBe(entries);
  });

  it('leaves other guests as they are', async () => {
    const books = await openBooks();
    const [erased, kept] = [await guestWithHistory(books), await guestWithHistory(books)];
    await erase(books, erased.guestId);

    expect(await books.sessions.byId(kept.requestId)).toMatchObject({
      guestId: kept.guestId,
      sessionId: kept.sessionId,
      crmId: 'crm-1',
      erased: false,
    });
    expect(await new EventReader(books).eventsAfter(null, { guestId: kept.guestId }, 100)).toHaveLength(3);
    const { rows } = await new AuditReader(books).page({ guestId: kept.guestId }, 10, null);
    expect(rows).toHaveLength(2);
  });

  it('begins anew with the next request of the guest, under a name that was never given', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const { guestId } = await guestWithHistory(books);
    const before = nameOf(books, guestId);
    await erase(books, guestId);
    const { attempt } = await openSession(books, guestId);

    expect(nameOf(books, guestId)).not.toBe(before);
    expect(books.count('GuestSession', `"guestId" = '${nameOf(books, guestId)}'`)).toBe(1);
    expect(await new AuditReader(books).page({ guestId }, 10, null)).toMatchObject({
      rows: [{ requestId: attempt.requestId }],
    });
  });

  it.each<{ what: string; outcome: Outcome | null; lost: number; status: string }>([
    { what: 'a live session', outcome: success(), lost: 0, status: 'ACTIVE' },
    { what: 'an attempt under way', outcome: null, lost: 0, status: 'PENDING' },
    { what: 'an attempt of unknown outcome', outcome: UNKNOWN, lost: 1, status: 'UNKNOWN' },
    {
      what: 'an attempt that is still looked for at CXone',
      outcome: { status: 'FAILED', error: new AttemptError('CXONE_UNAVAILABLE'), stage: 'CREATE' },
      lost: 1,
      status: 'FAILED',
    },
  ])('changes nothing while there is $what', async ({ outcome, lost, status }) => {
    const books = await openBooks();
    const { guestId } = await guestWithHistory(books);
    const { attempt, request } = attemptFor(guestId);
    await books.attempts.reserve(attempt, request);
    Object.assign(attempt, { reserved: true, posts: 1, lostAnswers: lost });
    if (outcome) await books.attempts.close(attempt, outcome);
    const rows = () =>
      ['GuestSession', 'SessionEvent', 'AuditEntry', 'GuestKey'].map((table) =>
        books.outside.all(`SELECT * FROM "${table}"`),
      );
    const before = rows();

    const erasure = await erase(books, guestId);

    expect(erasure).toMatchObject({ is: 'OPEN', attempts: [{ id: attempt.requestId, status }] });
    expect(rows()).toEqual(before);
  });

  it('decides in the order of the writer: one that is reserved in the same commit keeps the guest, one that comes later is new', async () => {
    const books = await openBooks();
    const [before, after] = [await guestWithHistory(books), await guestWithHistory(books)];
    const early = attemptFor(before.guestId);
    const late = attemptFor(after.guestId);

    const [, kept, erased] = await Promise.all([
      books.attempts.reserve(early.attempt, early.request),
      erase(books, before.guestId),
      erase(books, after.guestId),
      books.attempts.reserve(late.attempt, late.request),
    ]);

    expect([kept.is, erased.is]).toEqual(['OPEN', 'ERASED']);
    expect(await books.sessions.byId(late.attempt.requestId)).toMatchObject({ guestId: after.guestId, erased: false });
    expect(await books.sessions.byId(after.requestId)).toMatchObject({ guestId: 'erased', erased: true });
    late.attempt.reserved = true;
    const closed = await books.attempts.close(late.attempt, success());
    expect(closed.session).toMatchObject({ status: 'ACTIVE', guestId: after.guestId });
  });

  it('tells who listens whom to forget, up to which event', async () => {
    const books = await openBooks();
    const told: unknown[] = [];
    books.writer.onCommit(({ erased }) => told.push(...erased));
    const { guestId } = await guestWithHistory(books);
    await erase(books, guestId);
    await erase(books, guestId);

    expect(told).toEqual([{ guestId, eventSequence: 3 }]);
  });

  it('counts the entries that hold the id in the clear', async () => {
    const books = await openBooks();
    const { guestId } = await guestWithHistory(books);
    books.db.exec(`
      INSERT INTO "AuditEntry" ("sequence", "id", "timestamp", "requestId", "kind", "status", "guestId", "actor", "previousHash", "hash", "version")
      SELECT 100, 'old', 0, 'old', 'SESSION_INITIATION', 'SUCCESS', '${guestId}', 'tester', '', '', 1`);
    expect(await erase(books, guestId)).toEqual({ is: 'ERASED', entriesInTheClear: 1 });
    expect(await erase(books, guestId)).toEqual({ is: 'UNKNOWN_GUEST', entriesInTheClear: 1 });
  });
});

describe('how SQLite goes about erasing a guest', () => {
  it('goes through no table, but for the idempotency keys where an attempt never had a place', async () => {
    const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'] });
    const [placed, refused] = [await guestWithHistory(books), await guestWithHistory(books)];
    const { attempt } = attemptFor(refused.guestId);
    await books.attempts.close(attempt, BLOCKED);
    const scansOf = async (guestId: string) =>
      (await plansOf(books.db, () => erase(books, guestId)))
        .flatMap(({ plan }) => plan)
        .filter((step) => step.startsWith('SCAN'));

    expect(await scansOf(placed.guestId)).toEqual([]);
    expect(await scansOf(refused.guestId)).toEqual(['SCAN IdempotencyKey']);
  });
});

describe('what comes late for a guest that was erased', () => {
  it('writes nothing of it', async () => {
    const books = await openBooks();
    const { guestId, requestId, sessionId } = await guestWithHistory(books);
    const record = await books.sessions.byId(requestId);
    await erase(books, guestId);
    const rows = () =>
      ['GuestSession', 'SessionEvent', 'AuditEntry'].map((table) => books.outside.all(`SELECT * FROM "${table}"`));
    const before = rows();

    await books.sessions.recordSurplus(requestId, [sessionId]);
    await books.sessions.reconcile(record!, { session: null, hasSurplus: true });
    await books.sessions.postpone(record!);

    expect(rows()).toEqual(before);
  });
});
