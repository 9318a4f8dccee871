import { type SessionEventRecord, webhookEventName } from '../guest-session/session-event.js';

/**
 * The JSON that the CRM receives. Made once, with the event: every try sends, and signs, the same bytes. Of an opened session
 * the payload is what the CRM was promised; other events say in addition which request they belong to, where it stands and why.
 */
export function webhookBody(event: SessionEventRecord): string {
  const type = webhookEventName(event.type);
  const timestamp = event.occurredAt.toISOString();
  const { sessionId, guestId, crmId, requestId, channel, status, reason } = event;
  const tokenExpiry = event.expiresAt?.toISOString() ?? null;
  const payload = { sessionId, guestId, crmId, tokenExpiry, syncedAt: timestamp };
  return JSON.stringify({
    event: type,
    type,
    timestamp,
    eventId: event.id,
    payload: event.type === 'SESSION_INITIATED' ? payload : { ...payload, requestId, channel, status, reason },
  });
}
