import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { LedgerWriter } from '../../src/store/ledger-writer.js';
import { MinuteCounter } from '../../src/store/minute-counter.js';
import { Outbox } from '../../src/store/outbox.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { DEAD, DELIVERED, deliveriesIn, deliveryOf, FakeClock, hearIn, RETRY_NOW, tell } from './deliveries.js';
import { openBooks, RULES } from './ledger.js';

const LEASE_MS = 60_000;

/** Two that write to one file, each on its own connection: what the lock of the file keeps servers from. */
async function twoWriters() {
  const clock = new FakeClock();
  const webhookEvents = ['SESSION_INITIATED', 'SESSION_ENDED'] as const;
  const books = await openBooks({ webhookEvents, ...clock });
  const db = new SqliteConnection(books.path);
  const writer = new LedgerWriter(db, GuestVault.open(db, MASTER_KEYS), new MinuteCounter(), webhookEvents);
  onTestFinished(async () => {
    await writer[Symbol.asyncDispose]();
    db.close();
  });
  const settings = { url: 'http://127.0.0.1/crm', rules: RULES };
  return { clock, books, one: books.outbox, other: new Outbox(writer, db, settings, clock.now), heard: hearIn(books) };
}

describe('of two writers on one file', () => {
  it('one alone gets a delivery whose lease has run out', async () => {
    const { clock, books, one, other } = await twoWriters();
    for (let i = 0; i < 5; i++) await tell(books);
    clock.advance(LEASE_MS + 5_000);
    const claims = (await Promise.all([one.claimDue(3), other.claimDue(3), one.claimDue(3), other.claimDue(3)])).flat();
    expect(claims.map(({ sequence }) => sequence).sort()).toEqual([1, 2, 3, 4, 5]);
    expect(new Set(claims.map(({ leaseToken }) => leaseToken)).size).toBe(5);
  });

  it('the one that has lost its lease can neither mark the try nor give the delivery back', async () => {
    const { clock, books, one, other, heard } = await twoWriters();
    const told = await tell(books);
    const [stale] = heard;
    clock.advance(LEASE_MS + 5_000);
    const [fresh] = await other.claimDue(1);
    const before = deliveryOf(books, told);
    for (const attempt of [DELIVERED, DEAD, RETRY_NOW]) expect(await one.record(stale!, attempt)).toBeNull();
    await one.release(stale!);
    expect(deliveryOf(books, told)).toEqual(before);
    expect([books.count('WebhookAttempt'), books.count('AuditEntry'), books.count('SessionEvent')]).toEqual([0, 0, 1]);

    expect(await other.record(fresh!, DELIVERED)).toEqual({ endpoint: null });
    expect(await one.record(stale!, DEAD)).toBeNull();
    expect(deliveryOf(books, told)).toMatchObject({ status: 'DELIVERED', attempts: 1 });
  });

  it('each marks its own try of a delivery that passes between them, without a gap in the numbers', async () => {
    const { clock, books, one, other, heard } = await twoWriters();
    const told = await tell(books);
    let claimed = heard[0]!;
    for (let round = 0; round < 6; round++) {
      const [mine, theirs] = round % 2 ? [other, one] : [one, other];
      const marks = [await mine.record(claimed, RETRY_NOW), await theirs.record(claimed, RETRY_NOW)];
      expect(marks).toEqual([{ endpoint: null }, null]);
      claimed = (await theirs.claimDue(1))[0]!;
      clock.advance(1_000);
    }
    await one.record(claimed, DELIVERED);
    expect(books.outside.all('SELECT "number" FROM "WebhookAttempt" ORDER BY rowid')).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((number) => ({ number })),
    );
    expect(deliveryOf(books, told)).toMatchObject({ status: 'DELIVERED', attempts: 7, failures: 6 });
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 1 });
  });

  it('the next webhook of a session goes to the one that has concluded the one before', async () => {
    const { clock, books, one, other, heard } = await twoWriters();
    const theirs = hearIn({ ...books, outbox: other });
    const requestId = randomUUID();
    await tell(books, requestId);
    const ended = await tell(books, requestId, 'SESSION_ENDED');
    clock.advance(LEASE_MS + 5_000);
    const [fresh] = await other.claimDue(1);
    await Promise.all([one.record(heard[0]!, DELIVERED), other.record(fresh!, DELIVERED)]);
    expect([heard.length, theirs.map(({ id }) => id)]).toEqual([1, [ended.id]]);
    expect(await one.claimDue(10)).toEqual([]);
    expect(deliveriesIn(books).map(({ status }) => status)).toEqual(['DELIVERED', 'PENDING']);
  });
});
