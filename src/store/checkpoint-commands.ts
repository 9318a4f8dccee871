import type { AuditCheckpoint } from './audit-signer.js';
import type { LedgerTransaction } from './ledger-transaction.js';

/**
 * Stores a checkpoint of the audit trail; its sequence is its key, so that none is stored twice.
 * @throws Error when the entry is not the one that was signed: a checkpoint must never tell of a trail that is not there
 */
export function recordCheckpoint(transaction: LedgerTransaction, checkpoint: AuditCheckpoint): void {
  const { sequence, hash } = checkpoint;
  const entry = transaction.db.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ?', sequence);
  if (entry?.hash !== hash) throw new Error(`the audit entry ${sequence} does not have the hash that was signed`);
  transaction.insert('AuditCheckpoint', { ...checkpoint });
}
