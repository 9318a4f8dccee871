import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { GuestSessionRecord, Outcome } from '../../src/guest-session/ports.js';
import { WEBHOOK_EVENT_TYPES, type WebhookEventType } from '../../src/guest-session/session-event.js';
import { sessionExpiry } from '../../src/store/expiry.js';
import { deliveriesIn } from './deliveries.js';
import { actor, attemptFor, type Books, openBooks, openSession, success } from './ledger.js';

const NOTHING = { session: null, hasSurplus: false };
const failure = (code: 'CXONE_REJECTED' | 'OUTCOME_UNKNOWN'): Outcome => ({
  status: 'FAILED',
  error: new AttemptError(code),
  stage: 'CREATE',
});

/** What makes each event, and how the payload of its webhook ends. */
const WAYS: readonly [WebhookEventType, (books: Books) => Promise<unknown>, object][] = [
  ['SESSION_INITIATED', (books) => openSession(books), {}],
  [
    'SESSION_ENDED',
    async (books) => {
      const { attempt } = await openSession(books);
      await books.sessions.end(attempt.requestId, {
        actor: actor('x'),
        reason: 'the guest has left',
        endedUpstream: true,
      });
    },
    { channel: 'WEBCHAT', status: 'ENDED', reason: 'the guest has left' },
  ],
  [
    'SESSION_EXPIRED',
    async (books) => {
      await openSession(books, undefined, success(new Date(Date.now() - 1_000)));
      await sessionExpiry(books.writer, books.db).expireDue(10);
    },
    { channel: 'WEBCHAT', status: 'EXPIRED', reason: null },
  ],
  [
    'SESSION_REJECTED',
    (books) => {
      const { attempt } = attemptFor();
      const error = new AttemptError('FRAUD_BLOCKED');
      return books.attempts.close(attempt, { status: 'REJECTED', error, stage: 'FRAUD' });
    },
    { channel: 'WEBCHAT', status: null, sessionId: null, tokenExpiry: null, reason: 'FRAUD_BLOCKED' },
  ],
  [
    'SESSION_FAILED',
    (books) => openSession(books, undefined, failure('CXONE_REJECTED')),
    { channel: 'WEBCHAT', status: 'FAILED', sessionId: null, tokenExpiry: null, reason: 'CXONE_REJECTED' },
  ],
  [
    'SESSION_RECONCILED',
    async (books) => {
      const { attempt } = await openSession(books, undefined, failure('OUTCOME_UNKNOWN'));
      const unknown = (await books.sessions.byId(attempt.requestId)) as GuestSessionRecord;
      await books.sessions.reconcile(unknown, NOTHING);
    },
    { channel: 'WEBCHAT', status: 'FAILED', sessionId: null, reason: expect.any(String) },
  ],
];

describe('an event that the CRM wants', () => {
  it.each(WAYS)('of the type %s is queued as its webhook, once', async (type, make, rest) => {
    const books = await openBooks({ webhookEvents: [type] });
    await make(books);
    const event = books.outside.get<Record<string, unknown>>('SELECT * FROM "SessionEvent" WHERE "type" = ?', type)!;
    const [delivery, ...others] = deliveriesIn(books);
    expect(others).toEqual([]);
    const { sequence, id, requestId, occurredAt } = event;
    expect(delivery).toMatchObject({ sequence, id, requestId, eventType: type, createdAt: occurredAt });
    const name = `session.${type.slice('SESSION_'.length).toLowerCase()}`;
    const timestamp = new Date(occurredAt as number).toISOString();
    const body = JSON.parse(delivery!.body);
    expect(body).toEqual({ event: name, type: name, timestamp, eventId: id, payload: expect.anything() });
    const isOpening = type === 'SESSION_INITIATED';
    expect(body.payload).toEqual({
      sessionId: event.sessionId,
      guestId: event.guestId,
      crmId: 'crm-1',
      tokenExpiry: event.expiresAt === null ? null : new Date(event.expiresAt as number).toISOString(),
      syncedAt: timestamp,
      ...(!isOpening && { requestId, channel: event.channel, status: event.status, reason: event.reason }),
    });
    expect(body.payload).toMatchObject(rest);
  });

  it.each(WAYS)('of the type %s is told to nobody where it is not wanted', async (type, make) => {
    const books = await openBooks({ webhookEvents: WEBHOOK_EVENT_TYPES.filter((other) => other !== type) });
    await make(books);
    expect(books.count('SessionEvent', `"type" = '${type}'`)).toBe(1);
    expect(deliveriesIn(books).map(({ eventType }) => eventType)).not.toContain(type);
  });

  it('makes sessions that are opened wait for the CRM only where it hears of their opening', async () => {
    for (const webhookEvents of [['SESSION_ENDED'], [], ['SESSION_INITIATED']] as const) {
      const books = await openBooks({ webhookEvents });
      await openSession(books);
      expect(books.outside.get('SELECT "crmSync" FROM "GuestSession"')).toEqual({
        crmSync: webhookEvents[0] === 'SESSION_INITIATED' ? 'PENDING' : 'DISABLED',
      });
    }
  });
});
