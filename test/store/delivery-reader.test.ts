import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { WEBHOOK_EVENT_TYPES, type WebhookEventType } from '../../src/guest-session/session-event.js';
import type { DeliveryPosition } from '../../src/store/delivery-pages.js';
import { type DeliveryFilter, DeliveryReader } from '../../src/store/delivery-reader.js';
import { DELIVERED, GONE, hearIn, retryAt, tell } from './deliveries.js';
import { type Books, openBooks, openSession } from './ledger.js';

const NOON = Date.parse('2026-11-22T12:00:00Z');
const at = (second: number) => new Date(NOON + second * 1_000);
const STATUSES = ['PENDING', 'DELIVERED', 'DEAD'] as const;
const REQUESTS = Array.from({ length: 6 }, () => randomUUID());

interface Row {
  readonly sequence: number;
  readonly createdAt: Date;
  readonly requestId: string;
  readonly status: (typeof STATUSES)[number];
  readonly eventType: WebhookEventType;
}

/** Books with webhooks of all kinds, many of which share their time, the clock set back in the middle. */
async function filledBooks(): Promise<{ books: Books; rows: Row[]; reader: DeliveryReader }> {
  const books = await openBooks();
  const rows = Array.from({ length: 144 }, (_, i): Row => {
    const mixed = (i * 65) % 108; // has every combination
    return {
      sequence: i + 1,
      createdAt: at(Math.floor((i < 90 ? i : i - 60) / 7)),
      requestId: REQUESTS[mixed % 6]!,
      status: STATUSES[Math.floor(mixed / 6) % 3]!,
      eventType: WEBHOOK_EVENT_TYPES[Math.floor(mixed / 18)]!,
    };
  });
  await books.writer.submit((transaction) => {
    for (const row of rows) transaction.insert('WebhookDelivery', { ...row, id: randomUUID(), body: '{}' });
  });
  return { books, rows, reader: new DeliveryReader(books) };
}

/** All pages, one after another. */
function walk(reader: DeliveryReader, filter: DeliveryFilter, first: number): number[] {
  const found: number[] = [];
  for (let after: DeliveryPosition | null = null; ; ) {
    const page = reader.page(filter, first, after);
    found.push(...page.rows.map(({ sequence }) => sequence));
    expect(page.rows.length).toBeLessThanOrEqual(first);
    if (!page.hasNextPage) return found;
    expect(page.rows).toHaveLength(first);
    after = page.rows.at(-1)!;
  }
}

const FILTERS: [string, DeliveryFilter][] = [
  ['all', {}],
  ['those of a status', { status: 'DEAD' }],
  ['those of a type', { eventType: 'SESSION_ENDED' }],
  ['those of a status and a type', { status: 'PENDING', eventType: 'SESSION_REJECTED' }],
  ['those since a time', { from: at(5) }],
  ['those before a time', { to: at(5) }],
  ['those of a range', { from: at(3), to: at(9) }],
  ['those of a range and a status', { from: at(3), to: at(9), status: 'DELIVERED' }],
  ['those of a request', { requestId: REQUESTS[2]! }],
  ['those of a request and a status', { requestId: REQUESTS[2]!, status: 'DEAD' }],
  ['those of a request and a type', { requestId: REQUESTS[4]!, eventType: 'SESSION_INITIATED' }],
  ['those of a request and a range', { requestId: REQUESTS[2]!, from: at(3), to: at(9) }],
  [
    'everything at once',
    { requestId: REQUESTS[1]!, status: 'PENDING', eventType: 'SESSION_INITIATED', from: at(0), to: at(99) },
  ],
  [
    'all, where every condition is null',
    { status: null, eventType: null, requestId: null, sessionId: null, from: null, to: null },
  ],
];

describe('paging through the webhooks', () => {
  it('gives what a filter takes in exactly once, newest first, though many share their time', async () => {
    const { rows, reader } = await filledBooks();
    for (const [what, filter] of FILTERS) {
      const { status, eventType, requestId, from, to } = filter;
      const expected = rows
        .filter(
          (row) =>
            (status == null || row.status === status) &&
            (eventType == null || row.eventType === eventType) &&
            (requestId == null || row.requestId === requestId) &&
            (from == null || row.createdAt >= from) &&
            (to == null || row.createdAt < to),
        )
        .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || b.sequence - a.sequence)
        .map(({ sequence }) => sequence);
      expect(expected.length).toBeGreaterThan(0);
      for (const first of [4, 100])
        expect({ what, found: walk(reader, filter, first) }).toEqual({ what, found: expected });
    }
  });

  it('gives an empty page where nothing matches', async () => {
    const { reader } = await filledBooks();
    const filters: DeliveryFilter[] = [
      { requestId: 'none' },
      { sessionId: 'none' },
      { from: at(5), to: at(5) },
      { eventType: 'SESSION_REQUESTED' as WebhookEventType }, // the CRM is never told of those
    ];
    for (const filter of filters) expect(reader.page(filter, 10, null)).toEqual({ rows: [], hasNextPage: false });
  });
});

describe('a webhook in the list', () => {
  it('is found by the session’s id at CXone, together with the request or not', async () => {
    const books = await openBooks();
    const sessions = [await openSession(books), await openSession(books)];
    const reader = new DeliveryReader(books);
    const requestsOf = (filter: DeliveryFilter) => reader.page(filter, 10, null).rows.map(({ requestId }) => requestId);
    const [{ sessionId }, requestId] = [sessions[0]!.closed.session!, sessions[0]!.attempt.requestId];
    expect(requestsOf({ sessionId })).toEqual([requestId]);
    expect(requestsOf({ sessionId, requestId })).toEqual([requestId]);
    expect(requestsOf({ sessionId, requestId: sessions[1]!.attempt.requestId })).toEqual([]);
    expect(requestsOf({ sessionId, status: 'DEAD' })).toEqual([]);
  });

  it('says how it stands, and has its tries in order', async () => {
    const books = await openBooks();
    const heard = hearIn(books);
    const reader = new DeliveryReader(books);
    const told = [await tell(books), await tell(books)];
    const retriesAt = new Date(Date.now() + 60_000);
    await books.outbox.record(heard[0]!, retryAt(new Date(0)));
    await books.outbox.record((await books.outbox.claimDue(1))[0]!, DELIVERED);
    await books.outbox.record(heard[1]!, retryAt(retriesAt));
    const [second, first] = reader.page({}, 10, null).rows;
    expect(first).toEqual({
      sequence: 1,
      id: told[0]!.id,
      requestId: told[0]!.requestId,
      eventType: 'SESSION_INITIATED',
      body: heard[0]!.body,
      status: 'DELIVERED',
      attempts: 2,
      createdAt: told[0]!.occurredAt,
      nextAttemptAt: null,
      concludedAt: expect.any(Date),
      lastError: null,
    });
    expect(second).toMatchObject({
      status: 'PENDING',
      nextAttemptAt: retriesAt,
      concludedAt: null,
      lastError: 'status 503',
    });
    expect(reader.byId(told[0]!.id)).toEqual(first);
    expect(reader.byId('none')).toBeNull();
    expect(await reader.triesOf([told[0]!.id, 'none'])).toMatchObject([
      { deliveryId: told[0]!.id, number: 1, statusCode: 503, error: 'status 503', durationMs: 12.5 },
      { deliveryId: told[0]!.id, number: 2, statusCode: 200, error: null },
    ]);
  });

  it('is told with how the endpoint does', async () => {
    const books = await openBooks();
    const heard = hearIn(books);
    const reader = new DeliveryReader(books);
    const well = { status: 'ACTIVE', failingSince: null, disabledAt: null, disabledReason: null };
    expect(await reader.endpoint()).toEqual(well);
    await tell(books);
    await books.outbox.record(heard[0]!, retryAt(new Date(0)));
    expect(await reader.endpoint()).toEqual({ ...well, failingSince: expect.any(Date) });
    await books.outbox.record((await books.outbox.claimDue(1))[0]!, GONE);
    expect(await reader.endpoint()).toMatchObject({
      status: 'DISABLED',
      disabledAt: expect.any(Date),
      disabledReason: 'status 410',
    });
    books.db.run('DELETE FROM "WebhookEndpoint"');
    expect(await reader.endpoint()).toBeNull();
  });
});
