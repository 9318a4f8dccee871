import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SessionEventType } from '../../src/guest-session/session-event.js';
import type { ClaimedDelivery } from '../../src/store/delivery-queue.js';
import type { DeliveryTry } from '../../src/store/delivery-tries.js';
import type { Ledger } from '../../src/store/ledger.js';
import { Outbox } from '../../src/store/outbox.js';
import { DEAD, DELIVERED, deliveriesIn, FakeClock, GONE, hearIn, retryAt, tell } from './deliveries.js';
import { type Books, openBooks, TESTER } from './ledger.js';

const SESSIONS = 3;
const TYPES = ['SESSION_INITIATED', 'SESSION_ENDED', 'SESSION_RECONCILED'] as const;

/** Something that may happen to an outbox. Numbers choose among what there is at that moment. */
type Step =
  | { readonly do: 'tell'; readonly session: number; readonly type: SessionEventType }
  | { readonly do: 'claim'; readonly limit: number }
  | { readonly do: 'record'; readonly claim: number; readonly how: 'DELIVERED' | 'DEAD' | 'RETRY' | 'GONE' }
  | { readonly do: 'release'; readonly claim: number }
  | { readonly do: 'replay'; readonly delivery: number }
  | { readonly do: 'replayAll'; readonly status: 'DEAD' | 'DELIVERED' | 'PENDING' }
  | { readonly do: 'bury'; readonly limit: number }
  | { readonly do: 'resume' }
  | { readonly do: 'restart' }
  | { readonly do: 'wait'; readonly seconds: number };

const nth = fc.nat({ max: 50 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      session: fc.nat({ max: SESSIONS - 1 }),
      type: fc.constantFrom(...TYPES),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('record' as const),
      claim: nth,
      how: fc.constantFrom('DELIVERED', 'DELIVERED', 'DELIVERED', 'DEAD', 'RETRY', 'RETRY', 'GONE'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), claim: nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('replay' as const), delivery: nth }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('replayAll' as const),
      status: fc.constantFrom('DEAD', 'DELIVERED', 'PENDING'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('bury' as const), limit: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'resume' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 100 }) }) },
) as fc.Arbitrary<Step>;

/** Plays a history to an outbox, and knows what has to hold of it. */
class History {
  readonly #sessions: readonly string[] = Array.from({ length: SESSIONS }, () => randomUUID());
  readonly #told: string[] = [];
  /** Every claim that was ever handed out. */
  readonly #claims: ClaimedDelivery[] = [];
  /** The claim of a delivery that its holder may still use. */
  readonly #current = new Map<string, ClaimedDelivery>();

  constructor(
    readonly books: Books,
    readonly outbox: Outbox,
    readonly clock: FakeClock,
    readonly heard: ClaimedDelivery[],
  ) {}

  async play(step: Step): Promise<void> {
    const { outbox } = this;
    switch (step.do) {
      case 'tell':
        this.#told.push((await tell(this.books, this.#sessions[step.session], step.type)).id);
        break;
      case 'claim':
        await this.#claim(step.limit);
        break;
      case 'record':
        await this.#record(pick(this.#claims, step.claim), step.how);
        break;
      case 'release': {
        const claim = pick(this.#claims, step.claim);
        if (!claim) break;
        await outbox.release(claim);
        if (this.#current.get(claim.id) === claim) this.#current.delete(claim.id);
        break;
      }
      case 'replay':
        await outbox.replay(pick(this.#told, step.delivery) ?? 'unknown', TESTER);
        break;
      case 'replayAll':
        await outbox.replayAll(
          { status: step.status, since: new Date(0), until: new Date(8e15) },
          TESTER,
          () => undefined,
        );
        break;
      case 'bury':
        await this.#bury(step.limit);
        break;
      case 'resume':
        await outbox.resumeEndpoint(TESTER);
        break;
      case 'restart':
        await outbox.releaseAbandoned();
        this.#current.clear();
        break;
      case 'wait':
        this.clock.advance(step.seconds * 1_000);
    }
    this.#handOut(this.heard.splice(0));
    this.#expectNobodyStuck();
  }

  async #record(claim: ClaimedDelivery | undefined, how: DeliveryTry['verdict']['is']): Promise<void> {
    if (!claim) return;
    const now = this.clock.now();
    const attempts = { DELIVERED, DEAD, GONE, RETRY: retryAt(new Date(now.getTime() + 30_000)) };
    const isWritten = (await this.outbox.record(claim, attempts[how])) !== null;
    const isCurrent = this.#current.get(claim.id) === claim;
    // A lease that has run out may have been taken away, or not yet.
    if (!isCurrent || claim.leasedUntil > now) expect({ how, isWritten }).toEqual({ how, isWritten: isCurrent });
    if (isCurrent) this.#current.delete(claim.id);
  }

  async #claim(limit: number): Promise<void> {
    const isDisabled = this.outbox.isEndpointDisabled;
    const claims = await this.outbox.claimDue(limit);
    if (isDisabled) expect(claims).toEqual([]);
    this.#handOut(claims);
  }

  async #bury(limit: number): Promise<void> {
    const isDisabled = this.outbox.isEndpointDisabled;
    const buried = await this.outbox.bury(limit);
    if (!isDisabled) expect(buried).toBe(0);
  }

  #handOut(claims: readonly ClaimedDelivery[]): void {
    const rows = deliveriesIn(this.books);
    for (const claim of claims) {
      const valid = this.#current.get(claim.id);
      expect(valid && valid.leasedUntil > this.clock.now(), 'a delivery was handed out that another has').not.toBe(
        true,
      );
      const isBehind = (row: (typeof rows)[number]) =>
        row.status === 'PENDING' && row.requestId === claim.requestId && row.sequence < claim.sequence;
      expect(rows.filter(isBehind), 'an earlier one of the session comes first').toEqual([]);
      expect(rows.find(({ id }) => id === claim.id)).toMatchObject({ status: 'PENDING', attempts: claim.attempts });
      this.#claims.push(claim);
      this.#current.set(claim.id, claim);
    }
  }

  /** Of each session that waits, the first one has its time. */
  #expectNobodyStuck(): void {
    const stuck = this.books.outside.all(
      `SELECT "requestId", min("sequence"), "nextAttemptAt" FROM "WebhookDelivery" WHERE "status" = 'PENDING'
         GROUP BY "requestId" HAVING "nextAttemptAt" IS NULL`,
    );
    expect(stuck, 'a session whose next webhook is never due').toEqual([]);
  }

  /** Gives everything the time that it takes, with a CRM that takes it. */
  async comeToRest(): Promise<void> {
    await this.play({ do: 'resume' });
    for (let rounds = 0; this.books.count('WebhookDelivery', `"status" = 'PENDING'`) > 0; rounds++) {
      expect(rounds).toBeLessThan(100);
      this.clock.advance(100_000);
      await this.play({ do: 'claim', limit: 100 });
      for (const claim of this.#current.values()) await this.#record(claim, 'DELIVERED');
      this.#handOut(this.heard.splice(0));
    }
  }

  expectNothingLost(): void {
    const rows = deliveriesIn(this.books);
    expect(rows.map(({ id }) => id)).toEqual(this.#told);
    for (const { id, status, attempts, nextAttemptAt, leaseToken, concludedAt } of rows) {
      expect(['DELIVERED', 'DEAD']).toContain(status);
      expect({ nextAttemptAt, leaseToken, concludedAt }).toEqual({
        nextAttemptAt: null,
        leaseToken: null,
        concludedAt: expect.any(Number),
      });
      const numbers = this.books.outside.all<{ number: number }>(
        'SELECT "number" FROM "WebhookAttempt" WHERE "deliveryId" = ? ORDER BY "number"',
        id,
      );
      expect(numbers.map(({ number }) => number)).toEqual(Array.from({ length: attempts }, (_, i) => i + 1));
    }
  }
}

const pick = <T>(items: readonly T[], n: number): T | undefined => items.at(-1 - (n % Math.max(items.length, 1)));

it('whatever happens to webhooks, one has them at a time, those of a session come in order, and none is lost', async () => {
  const clock = new FakeClock();
  const books = await openBooks({ webhookEvents: TYPES });
  books.db.exec('PRAGMA synchronous = OFF'); // nobody pulls the plug
  const { writer } = books;
  const eager: Ledger = {
    eventSequence: 0,
    execute: (command, argument) => writer.execute(command, argument), // there is no company to wait for
    onCommit: (listener) => writer.onCommit(listener),
  };
  const settings = { url: 'http://127.0.0.1/crm', rules: { disableAfterMs: 60_000, longestWaitMs: 1_000_000 } };
  const outbox = new Outbox(eager, books.db, settings, clock.now);
  const heard = hearIn(books);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async (steps) => {
      books.db.run('DELETE FROM "WebhookDelivery"');
      heard.length = 0;
      const history = new History(books, outbox, clock, heard);
      for (const step of steps) await history.play(step);
      await history.comeToRest();
      history.expectNothingLost();
    }),
    { numRuns: 40 },
  );
});
