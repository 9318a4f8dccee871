import type { AuditRow } from './audit-chain.js';

/** The farthest that a date goes. */
export const MAX_MS = 8.64e15;
/** Also what the driver makes of bytes that are no UTF-8. */
export const REPLACEMENT = '\ufffd';

/** Columns that hold text in every entry, */
export const TEXTS = ['id', 'requestId', 'kind', 'status', 'actor', 'previousHash', 'hash'];
/** in some of each version, */
export const TEXTS_OR_NULL = ['reason', 'errorCode', 'guestId', 'capacityCheck'];
/** and in some of any. */
export const ALL_TEXTS = [...TEXTS, ...TEXTS_OR_NULL, 'sessionId', 'actorRole', 'personal', 'sourceAddress'];

/** An entry as the driver gives it. */
export interface StoredRow extends Omit<AuditRow, 'timestamp' | 'crmSynced'> {
  readonly timestamp: number;
  readonly crmSynced: number | null;
}

/** Each column by its name: to copy a row of the driver's takes as long as to read it. */
export const toRow = (row: StoredRow): AuditRow => ({
  sequence: row.sequence,
  id: row.id,
  timestamp: new Date(row.timestamp),
  requestId: row.requestId,
  kind: row.kind,
  status: row.status,
  reason: row.reason,
  errorCode: row.errorCode,
  guestId: row.guestId,
  sessionId: row.sessionId,
  actor: row.actor,
  durationMs: row.durationMs,
  fraudScore: row.fraudScore,
  attempts: row.attempts,
  capacityCheck: row.capacityCheck,
  crmSynced: row.crmSynced === null ? null : row.crmSynced === 1,
  version: row.version,
  actorRole: row.actorRole,
  personal: row.personal,
  sourceAddress: row.sourceAddress,
  previousHash: row.previousHash,
  hash: row.hash,
});

/** Whether nothing in a row could pass for something else in its form; what is merely wrong has another hash. */
export function isPlain(row: StoredRow): boolean {
  const { version, timestamp, crmSynced, durationMs } = row;
  const foreign = version === 1 ? [row.actorRole, row.personal, row.sourceAddress] : [row.sessionId];
  if ((version !== 1 && version !== 2) || foreign.some((value) => value !== null)) return false;
  if (!Number.isInteger(timestamp) || Math.abs(timestamp) > MAX_MS) return false;
  if (![row.attempts, row.fraudScore].every((value) => value === null || Number.isSafeInteger(value))) return false;
  if (crmSynced !== null && crmSynced !== 0 && crmSynced !== 1) return false;
  if (durationMs !== null && (!Number.isFinite(durationMs) || Object.is(durationMs, -0))) return false;
  const values = row as unknown as Readonly<Record<string, unknown>>;
  return ALL_TEXTS.every((column) => {
    const text = values[column];
    return text === null || (typeof text === 'string' && !text.includes(REPLACEMENT));
  });
}
