import type { SessionEventRecord } from '../guest-session/session-event.js';

/** `SESSION_INITIATED` is `session.initiated` on the wire. */
const webhookType = (event: Omit<SessionEventRecord, 'sequence'>): string => event.type.toLowerCase().replace('_', '.');

/** The JSON that the CRM receives. Made once, with the event: every try sends, and signs, the same bytes. */
export function webhookBody(event: Omit<SessionEventRecord, 'sequence'>): string {
  const type = webhookType(event);
  const timestamp = event.occurredAt.toISOString();
  return JSON.stringify({
    event: type,
    type,
    timestamp,
    eventId: event.id,
    payload: {
      sessionId: event.sessionId,
      guestId: event.guestId,
      crmId: event.crmId,
      tokenExpiry: event.expiresAt?.toISOString() ?? null,
      syncedAt: timestamp,
    },
  });
}
