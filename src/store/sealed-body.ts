import { webhookBody } from '../crm/webhook-body.js';
import type { SessionEventType } from '../guest-session/session-event.js';
import type { GuestVault } from './guest-vault.js';
import type { PersonalReader } from './personal-reader.js';
import { webhookContext } from './sealed-rows.js';

/** A webhook as its row holds it. */
export interface SealedBody {
  /** The name of the guest's key; null where there is no guest. */
  readonly guestId: string | null;
  readonly id: string;
  readonly requestId: string;
  readonly eventType: string;
  /** Sealed, where there is a guest. */
  readonly body: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** What is kept of a webhook that tells of a guest. */
export function sealBody(
  vault: GuestVault,
  { id, body }: { readonly id: string; readonly body: string },
  guestId: string | null,
): Pick<SealedBody, 'guestId' | 'body'> {
  if (guestId === null) return { guestId, body };
  const key = vault.keyFor(guestId);
  return { guestId: key.name, body: key.seal(body, webhookContext(id)) };
}

/** What is sent. Of a guest that was erased, that something happened is all that is left to be told. */
export function openBody(row: SealedBody, persons: PersonalReader): string {
  if (row.guestId === null) return row.body;
  return persons.textOf(row.guestId, row.body, webhookContext(row.id)) ?? anonymousBody(row);
}

/** The webhook of an event without whom it was about. */
export const anonymousBody = ({ id, requestId, eventType, createdAt }: Omit<SealedBody, 'body' | 'guestId'>): string =>
  webhookBody({
    id,
    type: eventType as SessionEventType,
    occurredAt: new Date(createdAt),
    requestId,
    sequence: 0,
    guestId: null,
    crmId: null,
    sessionId: null,
    channel: null,
    status: null,
    reason: null,
    expiresAt: null,
  });
