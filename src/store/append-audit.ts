import { randomUUID } from 'node:crypto';
import { hashEntry } from './audit-chain.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import { type AuditNews, sealAudit } from './sealed-rows.js';

/**
 * Seals an entry, chains it to what is there and inserts it. All that the audit trail costs an attempt is in this module: the
 * bench builds a server in which it does nothing.
 * @param content with a reason that SQLite gives back as it was
 */
export function appendAudit(transaction: LedgerTransaction, content: AuditNews, timestamp: Date): void {
  const { auditSequence, auditHash } = transaction.heads;
  const sequence = auditSequence + 1;
  const entry = sealAudit(transaction.vault, content, { sequence, id: randomUUID(), timestamp });
  const hash = hashEntry(auditHash, entry);
  transaction.insert('AuditEntry', { ...entry, previousHash: auditHash, hash });
  transaction.heads = { ...transaction.heads, auditSequence: sequence, auditHash: hash };
}
