import { randomBytes } from 'node:crypto';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { signWebhook } from '../../src/crm/sign-webhook.js';

const BODY = '{"event":"session.initiated","payload":{"name":"Zoë 🦊"}}';
const newSecret = (): string => `whsec_${randomBytes(24).toString('base64')}`;

it('signs so that the Standard Webhooks library verifies it', () => {
  const secret = newSecret();
  const headers = signWebhook('evt-1', BODY, [secret], new Date());
  expect(new Webhook(secret).verify(BODY, headers)).toEqual(JSON.parse(BODY));
  expect(headers['webhook-id']).toBe('evt-1');
});

it('signs exactly as the Standard Webhooks library does', () => {
  const secret = newSecret();
  const at = new Date('2026-11-22T15:00:00.999Z');
  expect(signWebhook('evt-1', BODY, [secret], at)).toEqual({
    'webhook-id': 'evt-1',
    'webhook-timestamp': '1795359600',
    'webhook-signature': new Webhook(secret).sign('evt-1', at, BODY),
  });
});

it('agrees with the test vector of the Standard Webhooks project', () => {
  const headers = signWebhook(
    'msg_p5jXN8AQM9LWM0D4loKWxJek',
    '{"test": 2432232314}',
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    new Date(1_614_265_330_000),
  );
  expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

it('signs with every secret, so that the receiver can rotate from one to the next', () => {
  const [next, current, other] = [newSecret(), newSecret(), newSecret()];
  const headers = signWebhook('evt-1', BODY, [next, current], new Date());
  for (const secret of [next, current]) expect(new Webhook(secret).verify(BODY, headers)).toEqual(JSON.parse(BODY));
  expect(() => new Webhook(other).verify(BODY, headers)).toThrow(WebhookVerificationError);
});

it.each([
  ['another body', { body: `${BODY} ` }],
  ['another id', { headers: { 'webhook-id': 'evt-2' } }],
  ['another time', { headers: { 'webhook-timestamp': Math.floor(Date.now() / 1000 - 10).toString() } }],
])('does not verify for %s', (_, { body = BODY, headers = {} }: { body?: string; headers?: object }) => {
  const secret = newSecret();
  const signed = { ...signWebhook('evt-1', BODY, [secret], new Date()), ...headers };
  expect(() => new Webhook(secret).verify(body, signed)).toThrow(WebhookVerificationError);
});
