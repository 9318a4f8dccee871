import type { SessionEventRecord } from '../guest-session/session-event.js';
import { AUDIT_VERSION, type AuditContent, type AuditEntry } from './audit-chain.js';
import type { Personal } from './guest-key.js';
import type { GuestVault } from './guest-vault.js';
import type { PersonalReader, SealedRow } from './personal-reader.js';

// What is sealed can be opened in its own row alone.
export const sessionContext = (id: string): string => `session:${id}`;
export const webhookContext = (id: string): string => `webhook:${id}`;
const eventContext = (id: string): string => `event:${id}`;
const auditContext = (id: string): string => `audit:${id}`;

/** What a session's row says of its guest. */
export interface SealedSession {
  /** The name of the guest's key. */
  readonly guestId: string;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly personal: string;
}

export function sealSession(vault: GuestVault, id: string, personal: Personal): SealedSession {
  const key = vault.keyFor(personal.guestId);
  return {
    guestId: key.name,
    crmId: vault.blindOrNull('crm id', personal.crmId ?? null),
    sessionId: vault.blindOrNull('session id', personal.sessionId ?? null),
    personal: key.sealPersonal(personal, sessionContext(id)),
  };
}

type PersonalEvent = Pick<SessionEventRecord, 'id' | 'guestId' | 'crmId' | 'sessionId' | 'reason'>;

/** Of one that tells of no guest nothing has to be sealed. */
export function sealEvent<Event extends PersonalEvent>(vault: GuestVault, event: Event): Event & SealedRow {
  const { id, guestId, crmId, sessionId, reason } = event;
  if (guestId === null) return { ...event, personal: null };
  const key = vault.keyFor(guestId);
  const personal = key.sealPersonal({ guestId, crmId, sessionId, reason }, eventContext(id));
  return { ...event, guestId: key.name, crmId: null, sessionId: null, reason: null, personal };
}

/** An event as it was told; of a guest that was erased nothing is left but that it was. */
export function openEvent<Row extends SealedRow & PersonalEvent>(
  row: Row,
  reader: PersonalReader,
): Omit<Row, 'personal'> {
  const { personal: sealed, ...event } = row;
  if (row.guestId === null) return event;
  const {
    guestId = null,
    crmId = null,
    sessionId = null,
    reason = null,
  } = reader.personalOf(row, eventContext(row.id)) ?? {};
  return { ...event, guestId, crmId, sessionId, reason };
}

/** Of a guest that is erased itself by what the entry tells of, its name alone is kept. */
export type AuditNews = AuditContent & { readonly guestName?: string };

export function sealAudit(
  vault: GuestVault,
  { guestName, ...content }: AuditNews,
  place: Pick<AuditEntry, 'sequence' | 'id' | 'timestamp'>,
): AuditEntry {
  const { guestId, crmId, sessionId, reason, actor, ...rest } = content;
  const { sourceAddress } = actor;
  const told = { ...place, ...rest, sessionId: null, actor: actor.name, actorRole: actor.role, version: AUDIT_VERSION };
  if (guestId === null) return { ...told, guestId: guestName ?? null, reason, sourceAddress, personal: null };
  const key = vault.keyFor(guestId);
  const personal = key.sealPersonal({ guestId, crmId, sessionId, reason, sourceAddress }, auditContext(place.id));
  return { ...told, guestId: key.name, reason: null, sourceAddress: null, personal };
}

/** What an entry says of its guest: whoever that is, and whether it was erased. */
export function openAudit(
  row: Pick<AuditEntry, 'id' | 'guestId' | 'sessionId' | 'reason' | 'sourceAddress' | 'personal' | 'version'>,
  reader: PersonalReader,
) {
  const { guestId, sessionId, reason, sourceAddress, version } = row;
  if (version === 1) return { guestId, crmId: null, sessionId, reason, sourceAddress, erased: false };
  if (guestId === null) return { guestId, crmId: null, sessionId: null, reason, sourceAddress, erased: false };
  const personal = reader.personalOf(row, auditContext(row.id));
  return {
    guestId: personal?.guestId ?? null,
    crmId: personal?.crmId ?? null,
    sessionId: personal?.sessionId ?? null,
    reason: personal?.reason ?? reason,
    sourceAddress: personal?.sourceAddress ?? sourceAddress,
    erased: personal === null,
  };
}
