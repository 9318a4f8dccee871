import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AuditReader } from '../../src/store/audit-reader.js';
import { Outbox } from '../../src/store/outbox.js';
import {
  DEAD,
  DELIVERED,
  deliveriesIn,
  deliveryOf,
  eventTypesIn,
  FakeClock,
  GONE,
  hearIn,
  RETRY_NOW,
  retryAt,
  tell,
} from './deliveries.js';
import { actor, openBooks, openSession, RULES, TESTER } from './ledger.js';

const HOUR_MS = 3_600_000;

async function setUp() {
  const clock = new FakeClock();
  const began = clock.now().getTime();
  const books = await openBooks({ webhookEvents: ['SESSION_INITIATED', 'SESSION_ENDED'], ...clock });
  const heard = hearIn(books);
  /** Tells of something, and gives the claim of its webhook. */
  const claimed = async (requestId?: string) => {
    const { id } = await tell(books, requestId);
    return heard.find((delivery) => delivery.id === id)!;
  };
  /** What becomes known when a try of a new webhook ends at an hour. */
  const tryAt = async (hour: number, attempt = DEAD) => {
    clock.advance(began + hour * HOUR_MS - clock.now().getTime());
    return (await books.outbox.record(await claimed(), attempt))?.endpoint;
  };
  const endpoint = () => books.outside.get<Record<string, unknown>>('SELECT * FROM "WebhookEndpoint"');
  const outboxFor = (url: string) => new Outbox(books.writer, books.db, { url, rules: RULES }, clock.now);
  return { clock, began, books, heard, claimed, tryAt, endpoint, outboxFor };
}

/** Books whose endpoint is gone: it has said so to the one webhook that there was. */
async function goneEndpoint() {
  const site = await setUp();
  const gone = await site.claimed();
  await site.books.outbox.record(gone, GONE);
  return { ...site, gone };
}

const events = (books: { outside: Awaited<ReturnType<typeof openBooks>>['outside'] }, type: string) =>
  books.outside.all<{ reason: string }>('SELECT * FROM "SessionEvent" WHERE "type" = ? ORDER BY "sequence"', type);
const audits = (books: { outside: Awaited<ReturnType<typeof openBooks>>['outside'] }, kind: string) =>
  books.outside.all<Record<string, unknown>>('SELECT * FROM "AuditEntry" WHERE "kind" = ? ORDER BY "sequence"', kind);

describe('an endpoint that takes nothing for five days', () => {
  it('is told of at 50, 70 and 90 %, once each, and disabled at 100 %', async () => {
    const { books, began, tryAt, endpoint } = await setUp();
    const news: [hour: number, string | undefined][] = [];
    for (const hour of [0, 30, 59.9, 60, 61, 83.9, 84, 100, 108, 119.9, 120, 121]) {
      const found = await tryAt(hour);
      if (found) news.push([hour, found.isDisabled ? 'disabled' : found.reason.match(/\d+ %/)?.[0]]);
    }
    expect(news).toEqual([
      [60, '50 %'],
      [84, '70 %'],
      [108, '90 %'],
      [120, 'disabled'],
    ]);
    expect(events(books, 'WEBHOOK_ENDPOINT_FAILING')).toMatchObject(
      [50, 70, 90].map((percent) => ({
        reason:
          `nothing was taken since ${new Date(began).toISOString()}, which is ${percent} % of the time after which it is ` +
          'disabled; last: status 503',
        guestId: null,
        status: null,
      })),
    );
    const reason = `nothing was taken since ${new Date(began).toISOString()}; last: status 503`;
    expect(events(books, 'WEBHOOK_ENDPOINT_DISABLED')).toMatchObject([{ reason }]);
    expect(audits(books, 'WEBHOOK_ENDPOINT_DISABLED')).toMatchObject([
      { status: 'FAILED', reason, actor: 'crm-outbox', guestId: null },
    ]);
    expect(endpoint()).toMatchObject({
      status: 'DISABLED',
      failingSince: began,
      disabledAt: began + 120 * HOUR_MS,
      disabledReason: reason,
    });
    expect(books.outbox.isEndpointDisabled).toBe(true);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true });
  });

  it('is told of once where it passes several marks between two tries', async () => {
    const { books, tryAt } = await setUp();
    await tryAt(0);
    expect(await tryAt(48)).toBeNull(); // 40 %
    expect(await tryAt(114)).toMatchObject({ isDisabled: false, reason: expect.stringContaining('90 %') });
    expect(await tryAt(115)).toBeNull();
    expect(events(books, 'WEBHOOK_ENDPOINT_FAILING')).toHaveLength(1);
    expect(await tryAt(400)).toMatchObject({ isDisabled: true });
  });

  it('begins anew with everything that it takes', async () => {
    const { began, tryAt, endpoint } = await setUp();
    await tryAt(0);
    expect(await tryAt(60)).toMatchObject({ reason: expect.stringContaining('50 %') });
    expect(await tryAt(119, DELIVERED)).toBeNull();
    expect(endpoint()).toMatchObject({ status: 'ACTIVE', failingSince: null, warnedPercent: 0 });
    for (const hour of [120, 121, 179]) expect(await tryAt(hour)).toBeNull();
    expect(endpoint()).toMatchObject({ status: 'ACTIVE', failingSince: began + 120 * HOUR_MS });
    expect(await tryAt(180)).toMatchObject({ reason: expect.stringContaining('50 %') });
    expect(await tryAt(240)).toMatchObject({ isDisabled: true });
  });

  it('goes on failing over a restart', async () => {
    const { began, tryAt, endpoint, outboxFor } = await setUp();
    await tryAt(0);
    await tryAt(60);
    expect(await outboxFor('http://127.0.0.1/crm').meetEndpoint()).toBe(false);
    expect(endpoint()).toMatchObject({ failingSince: began, warnedPercent: 50 });
    expect(await tryAt(61)).toBeNull();
  });

  it('is not taken to have failed while nothing was tried for longer than any wait', async () => {
    const { books, began, claimed, endpoint, clock } = await setUp();
    const rules = { ...RULES, longestWaitMs: 29 * HOUR_MS };
    const outbox = new Outbox(books.writer, books.db, { url: 'http://127.0.0.1/crm', rules }, clock.now);
    const tryAt = async (hour: number) => {
      clock.advance(began + hour * HOUR_MS - clock.now().getTime());
      return (await outbox.record(await claimed(), DEAD))?.endpoint;
    };
    for (const hour of [0, 29, 58]) expect(await tryAt(hour)).toBeNull();
    expect(await tryAt(60)).toMatchObject({ reason: expect.stringContaining('50 %') });
    // Nothing has happened for two days and a half; then one try fails.
    expect(await tryAt(121)).toBeNull();
    expect(endpoint()).toMatchObject({ status: 'ACTIVE', failingSince: began + 121 * HOUR_MS, warnedPercent: 0 });
  });

  it('begins anew at another address', async () => {
    const { tryAt, endpoint, outboxFor, books } = await setUp();
    await tryAt(0);
    await tryAt(60);
    expect(await outboxFor('http://127.0.0.1/other').meetEndpoint()).toBe(false);
    expect(endpoint()).toMatchObject({ status: 'ACTIVE', failingSince: null, warnedPercent: 0 });
    expect(deliveriesIn(books).map(({ status }) => status)).toEqual(['DEAD', 'DEAD']);
    expect(await tryAt(121)).toBeNull();
  });
});

describe('an endpoint that is gone', () => {
  it('is disabled at once, with an event and an audit entry, and the webhook is dead', async () => {
    const { clock, books, claimed, endpoint } = await setUp();
    const gone = await claimed();
    expect(await books.outbox.record(gone, GONE)).toEqual({ endpoint: { isDisabled: true, reason: 'status 410' } });
    expect(deliveryOf(books, gone)).toMatchObject({ status: 'DEAD', concludedAt: clock.now().getTime() });
    expect(endpoint()).toMatchObject({ status: 'DISABLED', disabledReason: 'status 410' });
    expect(eventTypesIn(books)).toEqual(['SESSION_INITIATED', 'SESSION_CRM_SYNC_FAILED', 'WEBHOOK_ENDPOINT_DISABLED']);
    expect(events(books, 'WEBHOOK_ENDPOINT_DISABLED')).toMatchObject([
      { reason: 'status 410', requestId: gone.requestId },
    ]);
    expect(audits(books, 'WEBHOOK_ENDPOINT_DISABLED')).toMatchObject([{ reason: 'status 410', actor: 'crm-outbox' }]);
  });

  it('is not handed the next webhook of the session that it would not hear of', async () => {
    const { books, heard, claimed } = await setUp();
    const gone = await claimed();
    const next = await tell(books, gone.requestId, 'SESSION_ENDED');
    await books.outbox.record(gone, GONE);
    expect(heard).toHaveLength(1);
    expect(deliveryOf(books, next)).toMatchObject({ status: 'PENDING', leaseToken: null });
  });

  it('gets nothing of what is due, until it is resumed', async () => {
    const { clock, books, claimed } = await setUp();
    const [gone, waiting] = [await claimed(), await claimed()];
    await books.outbox.record(waiting, RETRY_NOW);
    await books.outbox.record(gone, GONE);
    clock.advance(HOUR_MS);
    expect(await books.outbox.claimDue(10)).toEqual([]);
    await books.outbox.resumeEndpoint(TESTER);
    expect((await books.outbox.claimDue(10)).map(({ id }) => id).sort()).toEqual([gone.id, waiting.id].sort());
  });

  it('is told of once, whatever else was under way', async () => {
    const { books, claimed } = await setUp();
    const under = [await claimed(), await claimed(), await claimed()];
    expect((await books.outbox.record(under[0]!, GONE))?.endpoint).not.toBeNull();
    expect(await books.outbox.record(under[1]!, GONE)).toEqual({ endpoint: null });
    expect(await books.outbox.record(under[2]!, DELIVERED)).toEqual({ endpoint: null });
    expect(books.outbox.isEndpointDisabled).toBe(true);
    expect(events(books, 'WEBHOOK_ENDPOINT_DISABLED')).toHaveLength(1);
  });

  it('stays disabled over a restart', async () => {
    const { books, endpoint } = await goneEndpoint();
    const before = endpoint();
    await books[Symbol.asyncDispose]();
    const next = await openBooks({ path: books.path });
    expect(next.outbox.isEndpointDisabled).toBe(true);
    expect(next.outside.get('SELECT * FROM "WebhookEndpoint"')).toEqual(before);
  });
});

describe('what waits for a disabled endpoint', () => {
  it('dies in the order of each session, with its event, its audit entry and its session’s sync', async () => {
    const { books, heard } = await setUp();
    const sessions = [await openSession(books), await openSession(books)];
    const ended = await tell(books, sessions[0]!.attempt.requestId, 'SESSION_ENDED');
    await tell(books, sessions[0]!.attempt.requestId, 'SESSION_ENDED');
    const gone = heard.length;
    await tell(books);
    await books.outbox.record(heard[gone]!, GONE);
    await books.outbox.record(heard[0]!, retryAt(new Date(Date.now() + 24 * HOUR_MS)));
    await books.outbox.release(heard[1]!);
    const head = books.writer.eventSequence;
    const audited = books.count('AuditEntry');

    const buried: number[] = [];
    do buried.push(await books.outbox.bury(1));
    while (buried.at(-1));

    expect(buried).toEqual([1, 1, 1, 1, 0]);
    const error = 'not sent: the endpoint is disabled';
    expect(deliveriesIn(books)).toMatchObject(
      Array.from({ length: 5 }, () => ({ status: 'DEAD', nextAttemptAt: null, leaseToken: null })),
    );
    expect(deliveryOf(books, ended)).toMatchObject({ attempts: 0, lastError: error });
    expect(eventTypesIn(books, head)).toEqual(Array(4).fill('SESSION_CRM_SYNC_FAILED'));
    const reasonsOf = (requestId: string) =>
      events(books, 'SESSION_CRM_SYNC_FAILED')
        .filter((event) => (event as { requestId?: string }).requestId === requestId)
        .map(({ reason }) => reason);
    expect(reasonsOf(sessions[0]!.attempt.requestId)).toEqual([
      error,
      `SESSION_ENDED: ${error}`,
      `SESSION_ENDED: ${error}`,
    ]);
    expect(audits(books, 'CRM_SYNC')).toMatchObject(
      Array.from({ length: 5 }, () => ({ status: 'FAILED', crmSynced: 0, actor: 'crm-outbox' })),
    );
    expect(books.count('AuditEntry') - audited).toBe(4);
    expect(books.count('GuestSession', `"crmSync" = 'FAILED'`)).toBe(2);
    expect(await new AuditReader(books).verify()).toMatchObject({ ok: true });
  });

  it('lives where the endpoint was resumed just before', async () => {
    const { books, claimed } = await goneEndpoint();
    await books.outbox.release(await claimed());
    await books.outbox.release(await claimed());
    // The worker goes on with its batch, and does not know yet.
    const [revived, buried] = await Promise.all([books.outbox.resumeEndpoint(TESTER), books.outbox.bury(10)]);
    expect([revived, buried]).toEqual([1, 0]);
    expect(deliveriesIn(books).map(({ status }) => status)).toEqual(['PENDING', 'PENDING', 'PENDING']);
  });

  it('is left to whoever has it under way', async () => {
    const { books, claimed } = await setUp();
    const [gone, under] = [await claimed(), await claimed()];
    await books.outbox.record(gone, GONE);
    expect(await books.outbox.bury(10)).toBe(0);
    expect(await books.outbox.record(under, DELIVERED)).not.toBeNull();
    expect(deliveryOf(books, under).status).toBe('DELIVERED');
  });
});

describe('resuming', () => {
  it('revives what has died since the endpoint was disabled, each session’s in order, and nothing else', async () => {
    const { clock, books, heard, claimed } = await setUp();
    const [before, taken, gone] = [await claimed(), await claimed(), await openSession(books)];
    await books.outbox.record(before, DEAD);
    await books.outbox.record(taken, DELIVERED);
    clock.advance(HOUR_MS);
    await books.outbox.record(heard.at(-1)!, GONE);
    const later = await tell(books, gone.attempt.requestId, 'SESSION_ENDED');
    await books.outbox.release(heard.at(-1)!);
    const other = await tell(books, undefined, 'SESSION_ENDED');
    await books.outbox.release(heard.at(-1)!);
    while (await books.outbox.bury(10));
    expect(books.count('GuestSession', `"crmSync" = 'FAILED'`)).toBe(1);
    clock.advance(HOUR_MS);

    expect(await books.outbox.resumeEndpoint(actor('ops-1'))).toBe(3);

    expect(books.outbox.isEndpointDisabled).toBe(false);
    expect(deliveryOf(books, before).status).toBe('DEAD');
    expect(deliveryOf(books, taken).status).toBe('DELIVERED');
    const now = clock.now().getTime();
    expect(deliveriesIn(books).slice(2)).toMatchObject([
      { requestId: gone.attempt.requestId, nextAttemptAt: now, attempts: 1, failures: 0 },
      { id: later.id, nextAttemptAt: null, attempts: 0 },
      { id: other.id, nextAttemptAt: now, attempts: 0 },
    ]);
    expect(books.count('WebhookDelivery', `"status" = 'PENDING' AND "concludedAt" IS NULL`)).toBe(3);
    expect(books.count('GuestSession', `"crmSync" = 'PENDING'`)).toBe(1);
    expect(eventTypesIn(books).at(-1)).toBe('WEBHOOK_ENDPOINT_RESUMED');
    expect(audits(books, 'WEBHOOK_ENDPOINT_RESUMED')).toMatchObject([{ status: 'SUCCESS', actor: 'ops-1' }]);

    for (const delivery of await books.outbox.claimDue(10)) await books.outbox.record(delivery, DELIVERED);
    await books.outbox.record(heard.at(-1)!, DELIVERED);
    expect(books.count('WebhookDelivery', `"status" = 'DELIVERED'`)).toBe(4);
    expect(books.count('GuestSession', `"crmSync" = 'DELIVERED'`)).toBe(1);
  });

  it('of one that is active does nothing', async () => {
    const { books, claimed } = await setUp();
    await books.outbox.record(await claimed(), DEAD);
    const events = books.count('SessionEvent');
    expect(await books.outbox.resumeEndpoint(TESTER)).toBeNull();
    expect([books.count('SessionEvent'), books.count('WebhookDelivery', `"status" = 'DEAD'`)]).toEqual([events, 1]);
  });

  it('happens by itself when the endpoint has another address', async () => {
    const { books, outboxFor, gone, endpoint } = await goneEndpoint();
    const { urlHash } = endpoint()!;
    expect(await outboxFor('http://127.0.0.1/crm').meetEndpoint()).toBe(false);
    expect(await outboxFor('http://127.0.0.1/other').meetEndpoint()).toBe(true);
    expect(await outboxFor('http://127.0.0.1/other').revive()).toBe(1);
    expect(endpoint()).toMatchObject({ status: 'ACTIVE', failingSince: null, disabledAt: null, disabledReason: null });
    expect(endpoint()?.urlHash).not.toBe(urlHash);
    expect(deliveryOf(books, gone)).toMatchObject({ status: 'PENDING', failures: 0, attempts: 1 });
    expect(audits(books, 'WEBHOOK_ENDPOINT_RESUMED')).toMatchObject([
      { actor: 'crm-outbox', reason: 'it has a new address' },
    ]);
    expect(await outboxFor('http://127.0.0.1/other').meetEndpoint()).toBe(false);
  });

  it('brings back also what died of old age before it was disabled', async () => {
    const { books, tryAt, claimed, heard } = await setUp();
    const before = await claimed();
    await books.outbox.record(before, DEAD);
    await books.outbox.record(await claimed(), DELIVERED); // the trouble before was over
    await tryAt(1);
    const [, , early] = heard;
    await tryAt(60);
    await tryAt(130);
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(3);
    expect(deliveryOf(books, early!)).toMatchObject({ status: 'PENDING', failures: 0 });
    expect(deliveryOf(books, before)).toMatchObject({ status: 'DEAD' });
  });

  it('goes on where a process has died over it', async () => {
    const { books, gone, clock, outboxFor, endpoint } = await goneEndpoint();
    const resumption = { actor: actor('ops-1'), requestId: randomUUID(), reason: null, now: clock.now() };
    await books.writer.execute('resumeEndpoint', resumption); // and no more of it
    expect(deliveryOf(books, gone)).toMatchObject({ status: 'DEAD' });
    expect(await outboxFor('http://127.0.0.1/crm').revive()).toBe(1);
    expect(deliveryOf(books, gone)).toMatchObject({ status: 'PENDING' });
    expect(endpoint()).toMatchObject({ reviveSince: null });
    expect(await outboxFor('http://127.0.0.1/crm').revive()).toBe(0);
  });

  it('brings back also what a worker had claimed and dropped', async () => {
    const { books, clock, heard } = await goneEndpoint();
    const dropped = await tell(books);
    expect(heard.at(-1)).toMatchObject({ id: dropped.id });
    expect(await books.outbox.bury(10)).toBe(0); // somebody may be trying it
    clock.advance(HOUR_MS);
    expect(await books.outbox.bury(10)).toBe(1);
    expect(deliveryOf(books, dropped)).toMatchObject({ status: 'DEAD', leaseToken: null });
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(2);
  });

  it('brings back what was buried by a clock that had gone back', async () => {
    const { books, clock, heard } = await goneEndpoint();
    const late = await tell(books);
    await books.outbox.release(heard.at(-1)!);
    clock.advance(-HOUR_MS);
    expect(await books.outbox.bury(10)).toBe(1);
    expect(await books.outbox.resumeEndpoint(TESTER)).toBe(2);
    expect(deliveryOf(books, late)).toMatchObject({ status: 'PENDING' });
  });

  it('starts the time of failure anew', async () => {
    const { clock, books, tryAt } = await setUp();
    await tryAt(0);
    await tryAt(120);
    clock.advance(HOUR_MS);
    await books.outbox.resumeEndpoint(TESTER);
    expect(await tryAt(122)).toBeNull();
    expect(await tryAt(181)).toBeNull();
    expect(await tryAt(182)).toMatchObject({ isDisabled: false, reason: expect.stringContaining('50 %') });
  });

  it('keeps a later webhook that came in the meantime behind those that are revived', async () => {
    const { books, heard, gone } = await goneEndpoint();
    const later = await tell(books, gone.requestId, 'SESSION_ENDED');
    await books.outbox.release(heard.at(-1)!); // not buried yet
    await books.outbox.resumeEndpoint(actor(randomUUID()));
    expect((await books.outbox.claimDue(10)).map(({ id }) => id)).toEqual([gone.id]);
    expect(deliveryOf(books, later)).toMatchObject({ status: 'PENDING', nextAttemptAt: null });
  });
});
