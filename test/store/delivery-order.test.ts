import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ClaimedDelivery } from '../../src/store/delivery-queue.js';
import {
  DEAD,
  DELIVERED,
  deliveriesIn,
  deliveryOf,
  FakeClock,
  hearIn,
  RETRY_NOW,
  retryAt,
  tell,
} from './deliveries.js';
import { openBooks, TESTER } from './ledger.js';

const MINUTE_MS = 60_000;

/** Books in which a session was initiated and ended, and what of that was handed out so far. */
async function twoEvents() {
  const clock = new FakeClock();
  const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED', 'SESSION_EXPIRED'], ...clock });
  const heard = hearIn(books);
  const requestId = randomUUID();
  const first = await tell(books, requestId);
  const second = await tell(books, requestId, 'SESSION_ENDED');
  /** What is due, by its ids. */
  const claim = async () => (await books.outbox.claimDue(10)).map(({ id }) => id);
  /** The last time that a delivery was handed to the process. */
  const held = ({ id }: { readonly id: string }) => heard.findLast((delivery) => delivery.id === id)!;
  return { clock, books, heard, requestId, first, second, claim, held };
}

const idsOf = (deliveries: readonly Pick<ClaimedDelivery, 'id'>[]): string[] => deliveries.map(({ id }) => id);

describe('of one session, the webhook of a later event', () => {
  it('waits for that of an earlier one, and has no time at which it is due', async () => {
    const { clock, books, heard, first, second, claim } = await twoEvents();
    expect(idsOf(heard)).toEqual([first.id]);
    expect(deliveryOf(books, second)).toMatchObject({ status: 'PENDING', nextAttemptAt: null, leaseToken: null });
    clock.advance(365 * 24 * 60 * MINUTE_MS);
    expect(await claim()).toEqual([first.id]);
  });

  it.each([
    ['delivered', DELIVERED],
    ['dead', DEAD],
  ])('is handed out in the commit in which the earlier one is %s', async (_, attempt) => {
    const { books, heard, first, second, held, claim } = await twoEvents();
    await books.outbox.record(held(first), attempt);
    expect(idsOf(heard)).toEqual([first.id, second.id]);
    expect(deliveryOf(books, second)).toMatchObject({
      leaseToken: held(second).leaseToken,
      nextAttemptAt: held(second).leasedUntil.getTime(),
    });
    expect(held(second)).toMatchObject({ body: deliveryOf(books, second).body, attempts: 0, failures: 0 });
    expect(await claim()).toEqual([]);
  });

  it('goes on waiting while the earlier one is to be tried again', async () => {
    const { clock, books, heard, first, second, held, claim } = await twoEvents();
    await books.outbox.record(held(first), retryAt(new Date(clock.now().getTime() + MINUTE_MS)));
    expect(await claim()).toEqual([]);
    clock.advance(MINUTE_MS - 1);
    expect(await claim()).toEqual([]);
    clock.advance(1);
    expect(await claim()).toEqual([first.id]);
    expect(idsOf(heard)).toEqual([first.id]);
    expect(deliveryOf(books, second).nextAttemptAt).toBeNull();
  });

  it('comes one at a time, however many wait', async () => {
    const { books, heard, requestId, held } = await twoEvents();
    for (let i = 0; i < 4; i++) await tell(books, requestId, 'SESSION_EXPIRED');
    for (let told = 1; told <= 6; told++) {
      expect(heard).toHaveLength(told);
      await books.outbox.record(held(heard.at(-1)!), told % 2 ? DELIVERED : DEAD);
    }
    expect(heard).toHaveLength(6);
    expect(idsOf(heard)).toEqual(idsOf(deliveriesIn(books)));
  });

  it('holds up no other session', async () => {
    const { books, heard, first, second, held, claim } = await twoEvents();
    await books.outbox.record(held(first), retryAt(new Date(Date.now() + 60 * MINUTE_MS)));
    const others = [await tell(books), await tell(books, undefined, 'SESSION_ENDED')];
    expect(idsOf(heard)).toEqual(idsOf([first, ...others]));
    for (const other of others) await books.outbox.release(held(other));
    expect((await claim()).sort()).toEqual(idsOf(others).sort());
    expect(deliveryOf(books, second).nextAttemptAt).toBeNull();
  });
});

describe('when an earlier webhook of a session is replayed', () => {
  it('those behind it wait again', async () => {
    const { clock, books, heard, requestId, first, second, held, claim } = await twoEvents();
    const third = await tell(books, requestId, 'SESSION_EXPIRED');
    await books.outbox.record(held(first), DELIVERED);
    await books.outbox.record(held(second), retryAt(new Date(clock.now().getTime() + MINUTE_MS)));
    await books.outbox.replay(first.id, TESTER);
    expect(deliveriesIn(books).map(({ nextAttemptAt }) => nextAttemptAt)).toEqual([clock.now().getTime(), null, null]);
    clock.advance(60 * MINUTE_MS);
    const [again] = await books.outbox.claimDue(10);
    expect(again?.id).toBe(first.id);
    expect(await claim()).toEqual([]);
    await books.outbox.record(again!, DELIVERED);
    expect(heard.at(-1)).toMatchObject({ id: second.id, attempts: 1, failures: 1 });
    expect(deliveryOf(books, third).nextAttemptAt).toBeNull();
  });

  it('one that is under way goes on, and is not handed out beside it again', async () => {
    const { clock, books, heard, first, second, held, claim } = await twoEvents();
    await books.outbox.record(held(first), DELIVERED);
    await books.outbox.replay(first.id, TESTER);
    expect(deliveryOf(books, second).leaseToken).toBe(held(second).leaseToken);
    // Its holder has time to say how it went.
    expect(await books.outbox.record(held(second), RETRY_NOW)).not.toBeNull();
    expect(await claim()).toEqual([first.id]);
    clock.advance(60 * MINUTE_MS);
    expect(await claim()).toEqual([first.id]);
    expect(deliveryOf(books, second)).toMatchObject({ status: 'PENDING', nextAttemptAt: null, attempts: 1 });
    clock.advance(60 * MINUTE_MS);
    const [again] = await books.outbox.claimDue(10);
    await books.outbox.record(again!, DELIVERED);
    expect(idsOf(heard)).toEqual([first.id, second.id, second.id]);
  });

  it.each([
    ['falls silent', async () => undefined],
    [
      'gives it back',
      async ({ books, held, second }: Awaited<ReturnType<typeof twoEvents>>) => books.outbox.release(held(second)),
    ],
    ['dies', async ({ books }: Awaited<ReturnType<typeof twoEvents>>) => void (await books.outbox.releaseAbandoned())],
  ])('one that was under way waits too, once its holder %s', async (_, leave) => {
    const site = await twoEvents();
    const { clock, books, heard, first, second, held, claim } = site;
    await books.outbox.record(held(first), DELIVERED);
    await books.outbox.replay(first.id, TESTER);
    await leave(site);
    clock.advance(2 * MINUTE_MS);
    expect(await claim()).toEqual([first.id]);
    clock.advance(2 * MINUTE_MS);
    const [again] = await books.outbox.claimDue(10);
    expect(again?.id).toBe(first.id);
    expect(deliveryOf(books, second)).toMatchObject({ nextAttemptAt: null, leaseToken: null });
    expect(await books.outbox.record(held(second), DELIVERED)).toBeNull();
    await books.outbox.record(again!, DELIVERED);
    expect(heard.at(-1)?.id).toBe(second.id);
  });

  it('one that is concluded before it hands nothing out', async () => {
    const { books, heard, requestId, first, second, held, claim } = await twoEvents();
    const third = await tell(books, requestId, 'SESSION_EXPIRED');
    await books.outbox.record(held(first), DELIVERED);
    await books.outbox.replay(first.id, TESTER);
    await books.outbox.record(held(second), DELIVERED);
    expect(heard).toHaveLength(2);
    expect(await claim()).toEqual([first.id]);
    expect(deliveryOf(books, third).nextAttemptAt).toBeNull();
  });
});
