import type { SessionPayload, ValidRequest } from './ports.js';

/** The body of CXone's POST. Pure: the same request, id and time give the same bytes. */
export function buildSessionPayload(request: ValidRequest, requestId: string, openedAt: Date): SessionPayload {
  return {
    guestId: request.guestId,
    channel: request.channel.toLowerCase(),
    routing: {
      queueId: request.queueId,
      priority: request.priority.toLowerCase(),
      attributes: {
        sourceChannel: 'automated_gateway',
        crmAccountId: request.crmId,
        deviceFingerprint: request.deviceFingerprint,
        timestamp: openedAt.toISOString(),
        requestId,
      },
    },
    metadata: {
      sessionType: 'guest_initiated',
      complianceFlag: 'recorded',
      languagePreference: request.languagePreference,
    },
  };
}
