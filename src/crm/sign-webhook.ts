import { createHmac } from 'node:crypto';

/**
 * The headers of Standard Webhooks 1.0: an id that is the same on every try, the time of this try in seconds, and an
 * HMAC-SHA256 over `id.timestamp.body` for each secret, so that the CRM can rotate to a new one.
 *
 * @param secrets `whsec_` and the key in base64
 */
export function signWebhook(
  id: string,
  body: string,
  secrets: readonly string[],
  sentAt: Date,
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const timestamp = Math.floor(sentAt.getTime() / 1000).toString();
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
