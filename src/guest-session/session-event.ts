import type { Channel, SessionStatus } from './ports.js';

/** What can happen to a guest session, as the event log and its readers name it. */
export const SessionEventType = {
  SESSION_REQUESTED: 'SESSION_REQUESTED',
  SESSION_INITIATED: 'SESSION_INITIATED',
  SESSION_REJECTED: 'SESSION_REJECTED',
  SESSION_FAILED: 'SESSION_FAILED',
  SESSION_CRM_SYNCED: 'SESSION_CRM_SYNCED',
  SESSION_CRM_SYNC_FAILED: 'SESSION_CRM_SYNC_FAILED',
  SESSION_ENDED: 'SESSION_ENDED',
  SESSION_EXPIRED: 'SESSION_EXPIRED',
  SESSION_RECONCILED: 'SESSION_RECONCILED',
  WEBHOOK_ENDPOINT_FAILING: 'WEBHOOK_ENDPOINT_FAILING',
  WEBHOOK_ENDPOINT_DISABLED: 'WEBHOOK_ENDPOINT_DISABLED',
  WEBHOOK_ENDPOINT_RESUMED: 'WEBHOOK_ENDPOINT_RESUMED',
} as const;
export type SessionEventType = keyof typeof SessionEventType;

/** Those that the CRM can be told of by webhooks. */
export const WEBHOOK_EVENT_TYPES = [
  'SESSION_INITIATED',
  'SESSION_ENDED',
  'SESSION_EXPIRED',
  'SESSION_REJECTED',
  'SESSION_FAILED',
  'SESSION_RECONCILED',
] as const satisfies readonly SessionEventType[];
export type WebhookEventType = (typeof WEBHOOK_EVENT_TYPES)[number];

/** The name of a type on the wire of the webhooks: `SESSION_INITIATED` is `session.initiated`. */
export const webhookEventName = (type: SessionEventType): string => type.toLowerCase().replace('_', '.');

/** One entry of the lifecycle log. */
export interface SessionEventRecord {
  /** Position in commit order, from 1, without gaps; the cursor is made of it. */
  readonly sequence: number;
  readonly id: string;
  readonly type: SessionEventType;
  readonly occurredAt: Date;
  readonly requestId: string;
  /** Null where the request had none that could be read. */
  readonly guestId: string | null;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly channel: Channel | null;
  readonly status: SessionStatus | null;
  readonly reason: string | null;
  readonly expiresAt: Date | null;
}

/** Which events a reader wants; everything where a field is left out. */
export interface SessionEventFilter {
  readonly types?: readonly SessionEventType[] | undefined;
  readonly guestId?: string | undefined;
}

export const matchesFilter = (event: SessionEventRecord, { types, guestId }: SessionEventFilter): boolean =>
  (types === undefined || types.includes(event.type)) && (guestId === undefined || event.guestId === guestId);

/** A guest that was erased. It is named in memory alone, so that what is kept there can be let go of. */
export interface ErasedGuest {
  readonly guestId: string;
  /** Sequence of the last event before that: later ones are of new requests. */
  readonly eventSequence: number;
}

/** The events as they are told once these guests are erased; those that do not tell of them are the same objects. */
export const withoutGuests = (
  events: readonly SessionEventRecord[],
  erased: readonly ErasedGuest[],
): readonly SessionEventRecord[] =>
  erased.length === 0
    ? events
    : events.map((event) =>
        erased.some((guest) => event.guestId === guest.guestId && event.sequence <= guest.eventSequence)
          ? { ...event, guestId: null, crmId: null, sessionId: null, reason: null }
          : event,
      );
