import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import { SessionExpiry } from '../../src/store/expiry.js';
import { attemptFor, commitsInWal, openBooks, openSession, success } from './ledger.js';

const ago = (ms: number) => success(new Date(Date.now() - ms));

describe('the expiry of sessions', () => {
  it('marks what is over, with its event and its audit entry, and leaves the rest alone', async () => {
    const books = await openBooks();
    const over = await openSession(books, undefined, ago(1_000));
    const live = await openSession(books);
    const pending = attemptFor();
    await books.attempts.reserve(pending.attempt, pending.request);

    expect(await new SessionExpiry(books.writer, books.db).expireDue(10)).toBe(1);
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
    expect(await new AuditReader(books.prisma).verify()).toMatchObject({ ok: true, checked: 3 });
  });

  it('goes in batches, the longest overdue first, one commit each, and expires nothing twice', async () => {
    const books = await openBooks();
    const expiry = new SessionExpiry(books.writer, books.db);
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
    const expiry = new SessionExpiry(books.writer, books.db);
    for (let i = 0; i < 3; i++) await openSession(books, undefined, ago(1_000));
    const counts = await Promise.all([expiry.expireDue(10), expiry.expireDue(10)]);
    expect(counts).toEqual([3, 0]);
    expect(books.count('SessionEvent', `"type" = 'SESSION_EXPIRED'`)).toBe(3);
  });

  it('frees the guest’s place', async () => {
    const books = await openBooks({ maxConcurrentSessions: 1 });
    const guestId = randomUUID();
    await openSession(books, guestId, ago(1));
    await new SessionExpiry(books.writer, books.db).expireDue(10);
    await openSession(books, guestId);
    expect(books.count('GuestSession')).toBe(2);
  });
});
