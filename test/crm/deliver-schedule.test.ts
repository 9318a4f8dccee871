import { describe, expect, it, onTestFinished } from 'vitest';
import { loadSettings } from '../../src/config.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { deliveriesIn, deliveryOf, FakeClock, tell } from '../store/deliveries.js';
import type { Books } from '../store/ledger.js';
import { TESTER } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { inStatus, newWorker, setUp, upTo } from './worker.js';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const JITTER = 1.2;
/** What a busy machine may take on top. */
const SLACK_MS = 1_500;

async function startWorker(options: Parameters<typeof setUp>[0] = {}) {
  const clock = new FakeClock();
  const site = await setUp({ pollIntervalMs: 5, ...options, now: clock.now });
  await site.worker.start();
  /** How long after a time something happens. */
  const untilNext = (id: string) =>
    (deliveryOf(site.books, { id }).nextAttemptAt ?? Number.NaN) - clock.now().getTime();
  return { ...site, clock, untilNext };
}

/** The tries so far, all of them written down. */
const hasTried = (books: Books, tries: number) =>
  eventually(
    () => books.count('WebhookAttempt') === tries && books.count('WebhookDelivery', '"leaseToken" IS NOT NULL') === 0,
  );

describe('the schedule, by the clock', () => {
  it('is walked from the first try to the tenth, none before its time, and the webhook is dead', async () => {
    const { retryScheduleSeconds } = loadSettings({}).config.crm;
    expect(retryScheduleSeconds).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    const { books, crm, clock, untilNext } = await startWorker({ retryScheduleSeconds });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 } });
    const { id } = await tell(books);

    for (const [failures, seconds] of retryScheduleSeconds.entries()) {
      await hasTried(books, failures + 1);
      const wait = untilNext(id);
      expect(wait).toBeGreaterThanOrEqual(seconds * SECOND_MS);
      expect(wait).toBeLessThanOrEqual(seconds * SECOND_MS * JITTER);
      clock.advance(wait - 1);
      expect(await books.outbox.claimDue(10)).toEqual([]);
      expect(crm.count('webhook')).toBe(failures + 1);
      clock.advance(1);
    }
    await hasTried(books, 10);

    expect(deliveryOf(books, { id })).toMatchObject({ status: 'DEAD', attempts: 10, nextAttemptAt: null });
    clock.advance(30 * DAY_MS);
    expect(await books.outbox.claimDue(10)).toEqual([]);
    expect(crm.count('webhook')).toBe(10);
  });

  it('begins anew when a webhook is replayed, at once', async () => {
    const { books, crm, clock, untilNext } = await startWorker({ retryScheduleSeconds: [5, 300] });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 4 });
    const { id } = await tell(books);
    for (const tries of [1, 2]) {
      await hasTried(books, tries);
      clock.advance(untilNext(id));
    }
    await eventually(() => inStatus(books, 'DEAD') === 1);
    await books.outbox.replay(id, TESTER);
    await hasTried(books, 4);
    expect(untilNext(id)).toBeLessThanOrEqual(5 * SECOND_MS * JITTER);
    clock.advance(untilNext(id));
    await eventually(() => inStatus(books, 'DELIVERED') === 1);
    expect(deliveryOf(books, { id }).attempts).toBe(5);
  });

  it('spreads out what has failed together', async () => {
    const { books, crm } = await startWorker({ retryScheduleSeconds: [1_000], concurrency: 20 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 } });
    await Promise.all(upTo(20).map(() => tell(books)));
    await hasTried(books, 20);
    const times = deliveriesIn(books).map(({ nextAttemptAt }) => nextAttemptAt ?? 0);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(20 * SECOND_MS);
  });
});

const answer = (status: number, retryAfter: string): Fault => ({
  kind: 'status',
  status,
  headers: { 'retry-after': retryAfter },
});
const httpDate = (seconds: number): string => new Date(Date.now() + seconds * SECOND_MS).toUTCString();

describe('Retry-After', () => {
  it('makes a wait longer where the CRM is busy, up to a day, and never shorter', async () => {
    const { books, crm, untilNext } = await startWorker({ retryScheduleSeconds: [60] });
    const cases: [fault: () => Fault, seconds: number][] = [
      [() => answer(429, '600'), 600],
      [() => answer(503, '600'), 600],
      [() => answer(429, httpDate(600)), 600],
      [() => answer(503, httpDate(600)), 600],
      [() => answer(503, '999999999'), 86_400],
      [() => answer(429, httpDate(30 * 86_400)), 86_400],
      [() => answer(429, '1'), 60],
      [() => answer(503, httpDate(-600)), 60],
      [() => answer(503, 'soon'), 60],
      [() => answer(429, '-5'), 60],
      [() => answer(500, '600'), 60],
      [() => answer(502, httpDate(600)), 60],
      [() => answer(302, '600'), 60],
    ];
    for (const [index, [fault, seconds]] of cases.entries()) {
      crm.scenarios.add({ on: 'webhook', fault: fault(), times: 1 });
      const { id } = await tell(books);
      await hasTried(books, index + 1);
      const wait = untilNext(id) / SECOND_MS;
      // A date is given in whole seconds, and read a moment later.
      const isWithin = wait >= seconds - 20 && wait <= seconds * JITTER && (seconds !== 60 || wait >= 60);
      expect({ fault: fault(), wait, isWithin }).toMatchObject({ isWithin: true });
    }
  });
});

describe('an endpoint that fails', () => {
  it('for five days is complained of at 50, 70 and 90 %, then disabled; what it missed dies, and comes when it is resumed', async () => {
    const { books, crm, clock, complaints } = await startWorker({ retryScheduleSeconds: Array(40).fill(4 * 3_600) });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 } });
    await tell(books);
    const ofEndpoint = () => complaints.filter(({ message }) => message !== 'a webhook was not taken');
    const isAtRest = () =>
      books.count('WebhookDelivery', `"leaseToken" IS NOT NULL OR "nextAttemptAt" <= ${clock.now().getTime()}`) === 0;
    for (let rounds = 1; !books.outbox.isEndpointDisabled; rounds++) {
      expect(rounds).toBeLessThan(40);
      await eventually(isAtRest);
      if (rounds === 5) await tell(books);
      clock.advance(5 * HOUR_MS);
    }
    await eventually(() => inStatus(books, 'DEAD') === 2);
    expect(ofEndpoint().map(({ level, message }) => [level, message])).toEqual([
      ...Array(3).fill(['warn', 'the CRM takes no webhooks: its endpoint will be disabled']),
      ['error', 'the CRM endpoint was disabled: nothing is sent until resumeWebhookEndpoint'],
    ]);
    expect(ofEndpoint().map(({ fields }) => String(fields.reason).match(/\d+ %/)?.[0])).toEqual([
      '50 %',
      '70 %',
      '90 %',
      undefined,
    ]);

    const before = crm.count('webhook');
    await tell(books);
    await eventually(() => inStatus(books, 'DEAD') === 3);
    expect(crm.count('webhook')).toBe(before);

    crm.scenarios.clear();
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(3);
    await eventually(() => inStatus(books, 'DELIVERED') === 3);
    expect(crm.received).toHaveLength(3);
  });

  it('by 410 gets nothing that was not under way, however much waits, and all of it when it is resumed', async () => {
    const { books, crm, complaints } = await startWorker({
      concurrency: 3,
      webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'],
    });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 410 } });
    const told = await Promise.all(upTo(60).map(() => tell(books)));
    await Promise.all(told.map(({ requestId }) => tell(books, requestId, 'SESSION_ENDED')));
    await eventually(() => inStatus(books, 'DEAD') === 120);
    expect(crm.count('webhook')).toBe(3);
    expect(books.count('SessionEvent', `"type" = 'WEBHOOK_ENDPOINT_DISABLED'`)).toBe(1);
    expect(complaints.filter(({ level }) => level === 'error')).toHaveLength(1);

    crm.scenarios.clear();
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(120);
    await eventually(() => inStatus(books, 'DELIVERED') === 120);
    const sent = crm.received.map(({ headers }) => headers['webhook-id']);
    expect([sent.length, new Set(sent).size]).toEqual([120, 120]);
    const order = deliveriesIn(books).map(({ id, requestId }) => [requestId, sent.indexOf(id)] as const);
    for (const { requestId } of told) {
      const places = order.filter(([id]) => id === requestId).map(([, place]) => place);
      expect(places).toEqual([...places].sort((a, b) => a - b));
    }
  });

  it('by 410 is found disabled by the next process, which says so and sends nothing', async () => {
    const { books, crm, http, worker, clock } = await startWorker();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 410 }, times: 1 });
    await tell(books);
    await eventually(() => books.outbox.isEndpointDisabled);
    await worker[Symbol.asyncDispose]();
    const complaints: Parameters<typeof newWorker>[4] = [];
    const next = newWorker(books, crm, http, { pollIntervalMs: 5, now: clock.now }, complaints);
    onTestFinished(() => next[Symbol.asyncDispose]());
    await next.start();
    expect(complaints).toMatchObject([
      { level: 'error', message: 'the CRM endpoint is disabled: nothing is sent until resumeWebhookEndpoint' },
    ]);
    await tell(books);
    await eventually(() => inStatus(books, 'DEAD') === 2);
    expect(crm.count('webhook')).toBe(1);
  });
});

describe('a receiver', () => {
  it('that hangs, drips or breaks off holds up nobody beyond the timeout, and has not taken the webhook', async () => {
    const timeoutMs = 150;
    const { books, crm } = await startWorker({ timeoutMs, retryScheduleSeconds: [3_600] });
    const faults: Fault[] = [
      { kind: 'hang' },
      { kind: 'drip', everyMs: 10 },
      { kind: 'slow', delayMs: 60_000 },
      { kind: 'reset' },
      { kind: 'truncated' },
    ];
    for (const fault of faults) crm.scenarios.add({ on: 'webhook', fault, times: 1 });
    await Promise.all(faults.map(() => tell(books)));
    await hasTried(books, faults.length);
    const tries = books.outside.all<{ error: string; statusCode: number | null; durationMs: number }>(
      'SELECT * FROM "WebhookAttempt" ORDER BY "error"',
    );
    expect(tries.map(({ error }) => error)).toEqual([
      'no answer (ECONNRESET)',
      'no answer (ETIMEDOUT)',
      'no answer (ETIMEDOUT)',
      'no answer (ETIMEDOUT)',
      'no answer (UND_ERR_SOCKET)',
    ]);
    for (const { statusCode, durationMs } of tries) {
      expect(statusCode).toBeNull();
      expect(durationMs).toBeLessThan(timeoutMs + SLACK_MS);
    }
    expect(inStatus(books, 'PENDING')).toBe(5);
  });
});
