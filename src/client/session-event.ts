/** What can happen to a guest session, or to the CRM's endpoint. */
export type SessionEventType =
  | 'SESSION_REQUESTED'
  | 'SESSION_INITIATED'
  | 'SESSION_REJECTED'
  | 'SESSION_FAILED'
  | 'SESSION_CRM_SYNCED'
  | 'SESSION_CRM_SYNC_FAILED'
  | 'SESSION_ENDED'
  | 'SESSION_EXPIRED'
  | 'SESSION_RECONCILED'
  | 'WEBHOOK_ENDPOINT_FAILING'
  | 'WEBHOOK_ENDPOINT_DISABLED'
  | 'WEBHOOK_ENDPOINT_RESUMED';

/** An entry of the event log as it arrives: `SessionEvent` of `schema.graphql`, without its `session`. */
export interface SessionEvent {
  /** Where in the log it stands. Keep it with what you make of the event, and go on `after` it. */
  readonly cursor: string;
  /** The webhook about this event has the same. */
  readonly id: string;
  readonly type: SessionEventType;
  /** ISO 8601. */
  readonly occurredAt: string;
  /** The attempt that it is about. */
  readonly requestId: string;
  /** Null where the request had none that could be read. */
  readonly guestId: string | null;
  readonly crmId: string | null;
  /** The session's id at CXone. */
  readonly sessionId: string | null;
  readonly channel: 'WEBCHAT' | 'SMS' | 'WHATSAPP' | null;
  /** Where the session stood afterwards; null where there is none. */
  readonly status: 'PENDING' | 'ACTIVE' | 'ENDED' | 'EXPIRED' | 'FAILED' | 'UNKNOWN' | null;
  /** Why: an error code, or what the CRM answered. */
  readonly reason: string | null;
  /** When the session's time is over, ISO 8601. */
  readonly expiresAt: string | null;
}

/** What is asked for of every event. */
export const DEFAULT_FIELDS =
  'cursor id type occurredAt requestId guestId crmId sessionId channel status reason expiresAt';
