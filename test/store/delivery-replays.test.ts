import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import {
  DEAD,
  DELIVERED,
  deliveriesIn,
  deliveryOf,
  FakeClock,
  hearIn,
  RETRY_NOW,
  replayAll,
  retryAt,
  tell,
} from './deliveries.js';
import { actor, type Books, openBooks, openSession, TESTER } from './ledger.js';

const HOUR_MS = 3_600_000;

async function setUp() {
  const clock = new FakeClock();
  const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'], ...clock });
  return { clock, books, heard: hearIn(books) };
}

const auditsIn = (books: Books) =>
  books.outside.all<Record<string, unknown>>(
    `SELECT * FROM "AuditEntry" WHERE "kind" = 'WEBHOOK_REPLAYED' ORDER BY "sequence"`,
  );
const crmSyncIn = (books: Books) => books.outside.get<{ crmSync: string }>('SELECT "crmSync" FROM "GuestSession"');

describe('replaying one webhook', () => {
  it.each([
    ['delivered', DELIVERED, 'DELIVERED'],
    ['dead', DEAD, 'PENDING'],
  ])(
    'that is %s sends the same bytes under the same id, by a schedule that begins anew',
    async (_, concluding, crmSync) => {
      const { clock, books, heard } = await setUp();
      const { attempt, request } = await openSession(books);
      await books.outbox.record(heard[0]!, RETRY_NOW);
      await books.outbox.record((await books.outbox.claimDue(1))[0]!, concluding);
      clock.advance(HOUR_MS);

      expect(await books.outbox.replay(heard[0]!.id, actor('ops-1'))).toBe(true);

      expect(deliveryOf(books, heard[0]!)).toMatchObject({
        status: 'PENDING',
        nextAttemptAt: clock.now().getTime(),
        failures: 0,
        attempts: 2,
        concludedAt: null,
      });
      expect(crmSyncIn(books)).toEqual({ crmSync });
      expect(auditsIn(books)).toMatchObject([
        {
          requestId: attempt.requestId,
          guestId: request.guestId,
          status: 'SUCCESS',
          reason: 'SESSION_INITIATED',
          actor: 'ops-1',
        },
      ]);
      const [again] = await books.outbox.claimDue(10);
      expect(again).toMatchObject({ id: heard[0]!.id, body: heard[0]!.body, attempts: 2, failures: 0 });
      await books.outbox.record(again!, DELIVERED);
      expect(crmSyncIn(books)).toEqual({ crmSync: 'DELIVERED' });
      expect(books.outside.all('SELECT "number" FROM "WebhookAttempt" ORDER BY "number"')).toHaveLength(3);
      expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 4 });
    },
  );

  it('that was delivered leaves the session told, also when the CRM does not take it again', async () => {
    const { books, heard } = await setUp();
    await openSession(books);
    await books.outbox.record(heard[0]!, DELIVERED);
    await books.outbox.replay(heard[0]!.id, TESTER);
    await books.outbox.record((await books.outbox.claimDue(1))[0]!, DEAD);
    expect(deliveryOf(books, heard[0]!)).toMatchObject({ status: 'DEAD' });
    expect(crmSyncIn(books)).toEqual({ crmSync: 'DELIVERED' });
  });

  it('that is under way makes its try the first of a new schedule', async () => {
    const { clock, books, heard } = await setUp();
    await tell(books);
    await books.outbox.record(heard[0]!, RETRY_NOW);
    const [last] = await books.outbox.claimDue(1);
    await books.outbox.replay(heard[0]!.id, TESTER);
    await books.outbox.record(last!, DEAD); // as the worker sees it, which knows of no replay
    expect(deliveryOf(books, heard[0]!)).toMatchObject({
      status: 'PENDING',
      failures: 1,
      attempts: 2,
      nextAttemptAt: clock.now().getTime(),
    });
  });

  it('that waits for its next try makes it due now', async () => {
    const { clock, books, heard } = await setUp();
    await tell(books);
    await books.outbox.record(heard[0]!, retryAt(new Date(Date.now() + 24 * HOUR_MS)));
    expect(await books.outbox.claimDue(10)).toEqual([]);
    await books.outbox.replay(heard[0]!.id, TESTER);
    expect(deliveryOf(books, heard[0]!)).toMatchObject({ nextAttemptAt: clock.now().getTime(), failures: 0 });
    expect(await books.outbox.claimDue(10)).toMatchObject([{ attempts: 1, failures: 0 }]);
  });

  it('that waits for an earlier one of its session leaves it there, and the earlier one its time', async () => {
    const { books, heard } = await setUp();
    const { requestId } = await tell(books);
    const later = await tell(books, requestId, 'SESSION_ENDED');
    const at = new Date(Date.now() + HOUR_MS);
    await books.outbox.record(heard[0]!, retryAt(at));
    await books.outbox.replay(later.id, TESTER);
    expect(deliveriesIn(books).map(({ nextAttemptAt }) => nextAttemptAt)).toEqual([at.getTime(), null]);
    expect(auditsIn(books)).toMatchObject([{ requestId, reason: 'SESSION_ENDED' }]);
  });

  it('that is under way leaves it to who has it, and is audited all the same', async () => {
    const { books, heard } = await setUp();
    const told = await tell(books);
    const before = deliveryOf(books, told);
    expect(await books.outbox.replay(told.id, TESTER)).toBe(true);
    expect(deliveryOf(books, told)).toEqual(before);
    expect(auditsIn(books)).toHaveLength(1);
    expect(await books.outbox.record(heard[0]!, DELIVERED)).not.toBeNull();
  });

  it('of another event than the opening leaves the session’s sync alone', async () => {
    const { books, heard } = await setUp();
    const { attempt } = await openSession(books);
    await books.outbox.record(heard[0]!, DELIVERED);
    const ended = await tell(books, attempt.requestId, 'SESSION_ENDED');
    await books.outbox.record(heard[1]!, DEAD);
    await books.outbox.replay(ended.id, TESTER);
    expect([crmSyncIn(books), deliveryOf(books, ended).status]).toEqual([{ crmSync: 'DELIVERED' }, 'PENDING']);
  });

  it('that there is not writes nothing', async () => {
    const { books } = await setUp();
    await tell(books);
    expect(await books.outbox.replay(randomUUID(), TESTER)).toBe(false);
    expect([books.count('AuditEntry'), books.count('SessionEvent')]).toEqual([0, 1]);
  });
});

describe('replaying many webhooks', () => {
  const NOON = Date.parse('2026-11-22T12:00:00Z');
  const at = (minutes: number) => new Date(NOON + minutes * 60_000);

  it('takes those of a status and a time, its beginning included and its end not', async () => {
    const { books, heard } = await setUp();
    for (const minute of [0, 1, 2, 3, 4]) {
      for (const attempt of [DEAD, DELIVERED]) {
        await tell(books, undefined, 'SESSION_INITIATED', at(minute));
        await books.outbox.record(heard.at(-1)!, attempt);
      }
    }
    const range = { status: 'DEAD', since: at(1), until: at(3) } as const;
    expect(await replayAll(books, range, actor('ops-1'))).toBe(2);
    expect(deliveriesIn(books).map(({ status }) => status)).toEqual([
      ...['DEAD', 'DELIVERED'],
      ...['PENDING', 'DELIVERED'],
      ...['PENDING', 'DELIVERED'],
      ...['DEAD', 'DELIVERED'],
      ...['DEAD', 'DELIVERED'],
    ]);
    expect(auditsIn(books).map(({ actor }) => actor)).toEqual(['ops-1', 'ops-1']);
    expect(await replayAll(books, range, actor('ops-1'))).toBe(0);
    expect(await replayAll(books, { ...range, status: 'DELIVERED' }, actor('ops-1'))).toBe(2);
    expect(await replayAll(books, { ...range, status: 'PENDING' }, actor('ops-1'))).toBe(4);
  });

  it('takes more than one commit holds, each once, those of one session in their order', async () => {
    const { books } = await setUp();
    const sessions = Array.from({ length: 150 }, () => randomUUID());
    await Promise.all([
      ...sessions.map((id) => tell(books, id)),
      ...sessions.flatMap((id) => [tell(books, id, 'SESSION_ENDED'), tell(books, id, 'SESSION_ENDED')]),
    ]);
    books.db.run(
      `UPDATE "WebhookDelivery" SET "status" = 'DEAD', "nextAttemptAt" = NULL, "leaseToken" = NULL, "concludedAt" = 1`,
    );

    expect(await replayAll(books, { status: 'DEAD', since: new Date(0), until: new Date(8e15) }, TESTER)).toBe(450);

    expect(auditsIn(books)).toHaveLength(450);
    const due = deliveriesIn(books).filter(({ nextAttemptAt }) => nextAttemptAt !== null);
    expect(due.map(({ requestId }) => requestId)).toEqual(sessions);
    expect(due.every(({ eventType }) => eventType === 'SESSION_INITIATED')).toBe(true);
    expect(books.count('WebhookDelivery', `"status" = 'PENDING' AND "concludedAt" IS NULL`)).toBe(450);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 450 });
  });
});
