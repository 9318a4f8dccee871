import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { type Books, openBooks, openSession, success } from './ledger.js';

/** Two guests with a session each, of which the first guest's key cannot be opened. */
async function withDamage(expiresAt?: Date): Promise<{ books: Books; whole: string }> {
  const books = await openBooks();
  const [damaged, whole] = [randomUUID(), randomUUID()];
  for (const guestId of [damaged, whole]) await openSession(books, guestId, success(expiresAt));
  books.db.run(`UPDATE "GuestKey" SET "wrapped" = substr("wrapped", 1, 20) || 'AAAA' WHERE "id" = 1`);
  return { books, whole };
}

describe('where the key of one guest is damaged', () => {
  it('sessions, events and audit entries are read all the same, and say whose they are of all others', async () => {
    const { books, whole } = await withDamage();
    const sessions = await new SessionReader(books).page({}, 10, null);
    const events = await new EventReader(books).eventsAfter(0, {}, 10);
    const audits = await new AuditReader(books).page({}, 10, null);

    const unreadable = { guestId: 'unreadable', sessionId: null };
    expect(sessions.rows).toMatchObject([{ guestId: whole }, { ...unreadable, crmId: null }]);
    expect(events.map(({ guestId }) => guestId)).toEqual(['unreadable', 'unreadable', whole, whole]);
    expect(audits.rows).toMatchObject([{ guestId: whole }, { ...unreadable, erased: false }]);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 2 });
  });

  it('sessions that are over expire, that one’s as nobody’s', async () => {
    const { books, whole } = await withDamage(new Date(Date.now() - 1));

    expect(await books.writer.execute('expireSessions', { limit: 10 })).toBe(2);
    const expired = await new EventReader(books).eventsAfter(0, { types: ['SESSION_EXPIRED'] }, 10);
    expect(expired.map(({ guestId }) => guestId)).toEqual([null, whole]);
  });

  it('webhooks of others are sent as they are, and its own without it', async () => {
    const { books, whole } = await withDamage();
    await books.outbox.releaseAbandoned();

    const claimed = await books.outbox.claimDue(10);
    expect(claimed.map(({ body }) => JSON.parse(body).payload.guestId)).toEqual([null, whole]);
  });
});
