import { createHash } from 'node:crypto';
import type { Actor } from '../guest-session/actor.js';

export const AuditKind = {
  SESSION_INITIATION: 'SESSION_INITIATION',
  SESSION_ENDED: 'SESSION_ENDED',
  SESSION_EXPIRED: 'SESSION_EXPIRED',
  CRM_SYNC: 'CRM_SYNC',
  SESSION_RECONCILED: 'SESSION_RECONCILED',
  WEBHOOK_REPLAYED: 'WEBHOOK_REPLAYED',
  WEBHOOK_ENDPOINT_DISABLED: 'WEBHOOK_ENDPOINT_DISABLED',
  WEBHOOK_ENDPOINT_RESUMED: 'WEBHOOK_ENDPOINT_RESUMED',
  SESSION_REPLAYED: 'SESSION_REPLAYED',
  ACCESS_REFUSED: 'ACCESS_REFUSED',
  SERVER_STARTED: 'SERVER_STARTED',
  KEYS_CHANGED: 'KEYS_CHANGED',
  GUEST_ERASED: 'GUEST_ERASED',
  TRAIL_ARCHIVED: 'TRAIL_ARCHIVED',
} as const;
export type AuditKind = keyof typeof AuditKind;

export const AuditStatus = { SUCCESS: 'SUCCESS', REJECTED: 'REJECTED', FAILED: 'FAILED' } as const;
export type AuditStatus = keyof typeof AuditStatus;

/** What an audit entry is told. */
export interface AuditContent {
  readonly requestId: string;
  readonly kind: AuditKind;
  readonly status: AuditStatus;
  readonly reason: string | null;
  readonly errorCode: string | null;
  readonly guestId: string | null;
  readonly crmId: string | null;
  /** At CXone. */
  readonly sessionId: string | null;
  readonly actor: Actor;
  readonly durationMs: number | null;
  readonly fraudScore: number | null;
  readonly attempts: number | null;
  readonly capacityCheck: string | null;
  readonly crmSynced: boolean | null;
}

/** An entry as it is kept and hashed, apart from its links in the chain. */
export interface AuditEntry {
  readonly sequence: number;
  readonly id: string;
  readonly timestamp: Date;
  readonly requestId: string;
  readonly kind: string;
  readonly status: string;
  /** Null where there is a guest: then it is among what is sealed. */
  readonly reason: string | null;
  readonly errorCode: string | null;
  /** The name of the guest's key; in version 1 the guest's id. */
  readonly guestId: string | null;
  /** Of version 1 alone. */
  readonly sessionId: string | null;
  readonly actor: string;
  readonly durationMs: number | null;
  readonly fraudScore: number | null;
  readonly attempts: number | null;
  readonly capacityCheck: string | null;
  readonly crmSynced: boolean | null;
  readonly version: number;
  readonly actorRole: string | null;
  /** Sealed. */
  readonly personal: string | null;
  /** Null where there is a guest, as the reason. */
  readonly sourceAddress: string | null;
}

/** An entry with its links in the chain: a row of the table. */
export interface AuditRow extends AuditEntry {
  readonly previousHash: string;
  readonly hash: string;
}

/** An entry as it is read: what is sealed in it is opened. */
export interface AuditRecord extends Omit<AuditContent, 'actor'> {
  readonly sequence: number;
  readonly id: string;
  readonly timestamp: Date;
  /** The name of the caller, or of what did it by itself. */
  readonly actor: string;
  /** Null in entries of version 1. */
  readonly actorRole: string | null;
  /** Where it came from, pseudonymised. */
  readonly sourceAddress: string | null;
  /** Whether it was about a guest that was erased. */
  readonly erased: boolean;
  readonly previousHash: string;
  readonly hash: string;
}

/** What the first entry is chained to. */
export const GENESIS_HASH = '0'.repeat(64);

/** The version of the canonical form that entries are written in. */
export const AUDIT_VERSION = 2;

/**
 * The link of one entry: hex SHA-256 over the previous hash (64 hex digits) followed by the entry in canonical JSON
 * (RFC 8785: keys sorted, no white space, numbers as ECMAScript prints them), timestamps as ISO 8601 with milliseconds.
 */
export function hashEntry(previousHash: string, entry: AuditEntry): string {
  return createHash('sha256').update(previousHash).update(canonicalJson(entry)).digest('hex');
}

// The keys in the order of RFC 8785; with flat values of these types nothing else has to be done to be canonical.
function canonicalJson(entry: AuditEntry): string {
  const timestamp = entry.timestamp.toISOString();
  if (entry.version === 1) {
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
      timestamp,
    });
  }
  return JSON.stringify({
    actor: entry.actor,
    actorRole: entry.actorRole,
    attempts: entry.attempts,
    capacityCheck: entry.capacityCheck,
    crmSynced: entry.crmSynced,
    durationMs: entry.durationMs,
    errorCode: entry.errorCode,
    fraudScore: entry.fraudScore,
    guestId: entry.guestId,
    id: entry.id,
    kind: entry.kind,
    personal: entry.personal,
    reason: entry.reason,
    requestId: entry.requestId,
    sequence: entry.sequence,
    sourceAddress: entry.sourceAddress,
    status: entry.status,
    timestamp,
    version: entry.version,
  });
}
