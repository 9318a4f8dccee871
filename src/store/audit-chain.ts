import { createHash } from 'node:crypto';

export const AuditKind = {
  SESSION_INITIATION: 'SESSION_INITIATION',
  SESSION_ENDED: 'SESSION_ENDED',
  SESSION_EXPIRED: 'SESSION_EXPIRED',
  CRM_SYNC: 'CRM_SYNC',
  SESSION_RECONCILED: 'SESSION_RECONCILED',
  WEBHOOK_REPLAYED: 'WEBHOOK_REPLAYED',
  WEBHOOK_ENDPOINT_DISABLED: 'WEBHOOK_ENDPOINT_DISABLED',
  WEBHOOK_ENDPOINT_RESUMED: 'WEBHOOK_ENDPOINT_RESUMED',
  GUEST_ERASED: 'GUEST_ERASED',
} as const;
export type AuditKind = keyof typeof AuditKind;

export const AuditStatus = { SUCCESS: 'SUCCESS', REJECTED: 'REJECTED', FAILED: 'FAILED' } as const;
export type AuditStatus = keyof typeof AuditStatus;

/** What an audit entry says, apart from its links in the chain. */
export interface AuditContent {
  readonly sequence: number;
  readonly id: string;
  readonly timestamp: Date;
  readonly requestId: string;
  readonly kind: AuditKind;
  readonly status: AuditStatus;
  readonly reason: string | null;
  readonly errorCode: string | null;
  readonly guestId: string | null;
  readonly sessionId: string | null;
  readonly actor: string;
  readonly durationMs: number | null;
  readonly fraudScore: number | null;
  readonly attempts: number | null;
  readonly capacityCheck: string | null;
  readonly crmSynced: boolean | null;
}

export interface AuditRecord extends AuditContent {
  readonly previousHash: string;
  readonly hash: string;
}

/** What the first entry is chained to. */
export const GENESIS_HASH = '0'.repeat(64);

/**
 * The link of one entry: hex SHA-256 over the previous hash (64 hex digits) followed by the entry in canonical JSON
 * (RFC 8785: keys sorted, no white space, numbers as ECMAScript prints them), timestamps as ISO 8601 with milliseconds.
 */
export function hashEntry(previousHash: string, entry: AuditContent): string {
  return createHash('sha256').update(previousHash).update(canonicalJson(entry)).digest('hex');
}

// The keys in the order of RFC 8785; with flat values of these types nothing else has to be done to be canonical.
function canonicalJson(entry: AuditContent): string {
  return JSON.stringify({
    actor: entry.actor,
    attempts: entry.attempts,
    capacityCheck: entry.capacityCheck,
    crmSynced: entry.crmSynced,
    durationMs: entry.durationMs,
    errorCode: entry.errorCode,
    fraudScore: entry.fraudScore,
    guestId: entry.guestId,
    id: entry.id,
    kind: entry.kind,
    reason: entry.reason,
    requestId: entry.requestId,
    sequence: entry.sequence,
    sessionId: entry.sessionId,
    status: entry.status,
    timestamp: entry.timestamp.toISOString(),
  });
}
