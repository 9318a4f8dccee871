import { expect, it } from 'vitest';
import { webhookBody } from '../../src/crm/webhook-body.js';
import type { SessionEventRecord } from '../../src/guest-session/session-event.js';

const EVENT: SessionEventRecord = {
  sequence: 7,
  id: '0199aaaa-0000-7000-8000-000000000001',
  type: 'SESSION_INITIATED',
  occurredAt: new Date('2026-11-22T15:00:00.120Z'),
  requestId: '0199aaaa-0000-7000-8000-000000000002',
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  crmId: 'crm_acct_44920',
  sessionId: 'cxs_1',
  channel: 'WEBCHAT',
  status: 'ACTIVE',
  reason: null,
  expiresAt: new Date('2026-11-22T16:00:00Z'),
};

it('has exactly the fields that the CRM was promised', () => {
  expect(JSON.parse(webhookBody(EVENT))).toEqual({
    event: 'session.initiated',
    type: 'session.initiated',
    timestamp: '2026-11-22T15:00:00.120Z',
    eventId: '0199aaaa-0000-7000-8000-000000000001',
    payload: {
      sessionId: 'cxs_1',
      guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
      crmId: 'crm_acct_44920',
      tokenExpiry: '2026-11-22T16:00:00.000Z',
      syncedAt: '2026-11-22T15:00:00.120Z',
    },
  });
});

it('says null where there is no CRM account, and not nothing', () => {
  expect(JSON.parse(webhookBody({ ...EVENT, crmId: null })).payload).toMatchObject({ crmId: null });
});

it('is the same bytes for the same event', () => {
  expect(webhookBody({ ...EVENT })).toBe(webhookBody(EVENT));
});

it('names a type in two parts, however many words it has', () => {
  expect(JSON.parse(webhookBody({ ...EVENT, type: 'SESSION_CRM_SYNC_FAILED' })).type).toBe('session.crm_sync_failed');
});
