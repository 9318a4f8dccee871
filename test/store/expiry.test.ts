import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { Outcome } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { sessionExpiry } from '../../src/store/expiry.js';
import { actor, attemptFor, commitsInWal, openBooks, openSession, success } from './ledger.js';

const ago = (ms: number) => success(new Date(Date.now() - ms));

describe('the expiry of sessions', () => {
  it('marks what is over, with its event and its audit entry, and leaves the rest alone', async () => {
    const books = await openBooks();
    const over = await openSession(books, undefined, ago(1_000));
    const live = await openSession(books);
    const pending = attemptFor();
    await books.attempts.reserve(pending.attempt, pending.request);

    expect(await sessionExpiry(books.writer, books.db).expireDue(10)).toBe(1);
    const sessions = books.outside.all<{ id: string }>(
      'SELECT "id", "status", "endedAt", "expiresAt" FROM "GuestSession"',
    );
    const expiresAt = over.closed.session?.expiresAt?.getTime();
    expect(sessions.find(({ id }) => id === over.attempt.requestId)).toMatchObject({
      status: 'EXPIRED',
      endedAt: expiresAt,
      expiresAt,
    });
    expect(sessions.find(({ id }) => id === live.attempt.requestId)).toMatchObject({ status: 'ACTIVE', endedAt: null });
    expect(sessions.find(({ id }) => id === pending.attempt.requestId)).toMatchObject({ status: 'PENDING' });
    expect(books.outside.all(`SELECT * FROM "SessionEvent" WHERE "type" = 'SESSION_EXPIRED'`)).toMatchObject([
      {
        requestId: over.attempt.requestId,
        guestId: over.request.guestId,
        sessionId: over.closed.session?.sessionId,
        crmId: 'crm-1',
        channel: 'WEBCHAT',
        status: 'EXPIRED',
        expiresAt,
      },
    ]);
    expect(books.outside.all(`SELECT * FROM "AuditEntry" WHERE "kind" = 'SESSION_EXPIRED'`)).toMatchObject([
      { requestId: over.attempt.requestId, status: 'SUCCESS', actor: 'expiry-sweep' },
    ]);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 3 });
  });

  it('goes in batches, the longest overdue first, one commit each, and expires nothing twice', async () => {
    const books = await openBooks();
    const expiry = sessionExpiry(books.writer, books.db);
    for (const seconds of [3, 1, 5, 2, 4]) await openSession(books, undefined, ago(seconds * 1_000));
    const before = commitsInWal(books.path);
    expect([
      await expiry.expireDue(2),
      await expiry.expireDue(2),
      await expiry.expireDue(2),
      await expiry.expireDue(2),
    ]).toEqual([2, 2, 1, 0]);
    expect(commitsInWal(books.path)).toBe(before + 3);
    const ends = books.outside
      .all<{ expiresAt: number }>(
        `SELECT "expiresAt" FROM "SessionEvent" WHERE "type" = 'SESSION_EXPIRED' ORDER BY "sequence"`,
      )
      .map(({ expiresAt }) => expiresAt);
    expect(ends).toHaveLength(5);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
  });

  it('expires each session once, also when two sweeps meet', async () => {
    const books = await openBooks();
    const expiry = sessionExpiry(books.writer, books.db);
    for (let i = 0; i < 3; i++) await openSession(books, undefined, ago(1_000));
    const counts = await Promise.all([expiry.expireDue(10), expiry.expireDue(10)]);
    expect(counts).toEqual([3, 0]);
    expect(books.count('SessionEvent', `"type" = 'SESSION_EXPIRED'`)).toBe(3);
  });

  it('leaves alone what was ended before its time, and what is not live yet', async () => {
    const books = await openBooks();
    const ended = await openSession(books, undefined, ago(1_000));
    await books.sessions.end(ended.attempt.requestId, { actor: actor('x'), reason: null, endedUpstream: true });
    const unknown: Outcome = { status: 'FAILED', error: new AttemptError('OUTCOME_UNKNOWN'), stage: 'CREATE' };
    await openSession(books, undefined, unknown);
    books.db.exec(`UPDATE "GuestSession" SET "expiresAt" = 1`);

    expect(await sessionExpiry(books.writer, books.db).expireDue(10)).toBe(0);

    expect(books.count('GuestSession', `"status" = 'EXPIRED'`)).toBe(0);
  });

  it('writes a batch whole or not at all', async () => {
    const books = await openBooks();
    for (let i = 0; i < 3; i++) await openSession(books, undefined, ago(3_000 - i));
    const last = books.outside.get<{ id: string }>('SELECT "id" FROM "GuestSession" ORDER BY "expiresAt" DESC');
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "AuditEntry" WHEN NEW."requestId" = '${last?.id}'
      BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    const expiry = sessionExpiry(books.writer, books.db);
    await expect(expiry.expireDue(10)).rejects.toThrow('no more');
    expect(books.count('GuestSession', `"status" = 'EXPIRED'`)).toBe(0);
    books.db.exec('DROP TRIGGER "full"');
    expect(await expiry.expireDue(10)).toBe(3);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 6 });
  });

  it('commits nothing when nothing is over', async () => {
    const books = await openBooks();
    await openSession(books);
    const before = commitsInWal(books.path);
    expect(await sessionExpiry(books.writer, books.db).expireDue(10)).toBe(0);
    expect(commitsInWal(books.path)).toBe(before);
  });

  it('frees the guest’s place', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const guestId = randomUUID();
    await openSession(books, guestId, ago(1));
    await sessionExpiry(books.writer, books.db).expireDue(10);
    await openSession(books, guestId);
    expect(books.count('GuestSession')).toBe(2);
  });
});
