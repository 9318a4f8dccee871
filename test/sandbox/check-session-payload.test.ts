import { expect, test } from 'vitest';
import { checkSessionPayload } from '../../src/sandbox/check-session-payload.js';
import { OTHER_GUEST, sessionPayload } from './requests.js';

const good = sessionPayload();

test('the payload of the contract has no problem, with and without a CRM account', () => {
  expect(checkSessionPayload(good)).toEqual([]);
  expect(checkSessionPayload(sessionPayload(OTHER_GUEST))).toEqual([]);
  expect(checkSessionPayload(changed({ crmAccountId: null }))).toEqual([]);
});

test.each([null, undefined, 'text', 1, []])('%j is no payload', (payload) => {
  expect(checkSessionPayload(payload)).toEqual([{ path: '', message: 'must be a JSON object' }]);
});

test.each([
  ['an upper-case guest id', { ...good, guestId: good.guestId.toUpperCase() }, 'guestId'],
  ['a channel in upper case', { ...good, channel: 'WEBCHAT' }, 'channel'],
  ['a missing channel', { ...good, channel: undefined }, 'channel'],
  ['no queue', { ...good, routing: { ...good.routing, queueId: '' } }, 'routing.queueId'],
  ['an unknown priority', { ...good, routing: { ...good.routing, priority: 'NORMAL' } }, 'routing.priority'],
  ['another source', changed({ sourceChannel: 'web' }), 'routing.attributes.sourceChannel'],
  ['an empty CRM account', changed({ crmAccountId: '' }), 'routing.attributes.crmAccountId'],
  ['a long fingerprint', changed({ deviceFingerprint: 'x'.repeat(513) }), 'routing.attributes.deviceFingerprint'],
  ['a control character', changed({ deviceFingerprint: 'a\u0000b' }), 'routing.attributes.deviceFingerprint'],
  ['a date without time', changed({ timestamp: '2026-01-01' }), 'routing.attributes.timestamp'],
  ['a date that is none', changed({ timestamp: '2026-13-01T00:00:00Z' }), 'routing.attributes.timestamp'],
  ['a number as request id', changed({ requestId: 7 }), 'routing.attributes.requestId'],
  ['a foreign attribute', changed({ score: 3 }), 'routing.attributes.score'],
  ['no language', metadata({ languagePreference: 'english_US' }), 'metadata.languagePreference'],
  ['no compliance flag', metadata({ complianceFlag: 'none' }), 'metadata.complianceFlag'],
  ['another session type', metadata({ sessionType: 'agent' }), 'metadata.sessionType'],
])('%s is found at its path', (_what, payload, path) => {
  expect(checkSessionPayload(payload)).toEqual([{ path, message: expect.any(String) }]);
});

function changed(attributes: object) {
  return { ...good, routing: { ...good.routing, attributes: { ...good.routing.attributes, ...attributes } } };
}

function metadata(members: object) {
  return { ...good, metadata: { ...good.metadata, ...members } };
}
