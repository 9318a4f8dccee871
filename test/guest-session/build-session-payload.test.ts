import { expect, test } from 'vitest';
import { buildSessionPayload } from '../../src/guest-session/build-session-payload.js';
import { validateRequest } from '../../src/guest-session/validate-request.js';
import { SEED } from './seed.js';

const REQUEST_ID = '0192f6a0-7c3e-7b1a-8f4d-2a6b9c0d1e2f';
const OPENED_AT = new Date('2026-03-01T12:34:56.789Z');
const RULES = { defaultQueueId: 'queue-default' };

test('the payload of the seed example is exactly what CXone is to get', () => {
  expect(buildSessionPayload(validateRequest(SEED, RULES), REQUEST_ID, OPENED_AT)).toStrictEqual({
    guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
    channel: 'webchat',
    routing: {
      queueId: 'queue-default',
      priority: 'normal',
      attributes: {
        sourceChannel: 'automated_gateway',
        crmAccountId: 'crm_acct_44920',
        deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
        timestamp: '2026-03-01T12:34:56.789Z',
        requestId: REQUEST_ID,
      },
    },
    metadata: { sessionType: 'guest_initiated', complianceFlag: 'recorded', languagePreference: 'en-US' },
  });
});

test.each([
  ['WEBCHAT', 'webchat', 'LOW', 'low'],
  ['SMS', 'sms', 'NORMAL', 'normal'],
  ['WHATSAPP', 'whatsapp', 'HIGH', 'high'],
] as const)('channel %s goes as %s, priority %s as %s', (channel, channelOnWire, priority, priorityOnWire) => {
  const request = { ...SEED, channel, priority, queueId: 'q-7', languagePreference: 'DE-de' };
  expect(buildSessionPayload(validateRequest(request, RULES), REQUEST_ID, OPENED_AT)).toMatchObject({
    channel: channelOnWire,
    routing: { queueId: 'q-7', priority: priorityOnWire },
    metadata: { languagePreference: 'de-DE' },
  });
});

test('a guest without an account in the CRM goes with null, not without the member', () => {
  const request = validateRequest({ ...SEED, crmId: null }, RULES);
  const { attributes } = buildSessionPayload(request, REQUEST_ID, OPENED_AT).routing;
  expect(attributes).toHaveProperty('crmAccountId', null);
});

test('the same request, id and time give the same bytes', () => {
  const bytes = () => JSON.stringify(buildSessionPayload(validateRequest(SEED, RULES), REQUEST_ID, OPENED_AT));
  expect(bytes()).toBe(bytes());
});
