import { StartupError } from '../errors.js';
import { systemActor } from '../guest-session/actor.js';
import { mintRequestId } from '../guest-session/request-id.js';
import { AuditKind } from './audit-chain.js';
import type { AuditCheckpoint } from './audit-signer.js';
import type { GuestVault } from './guest-vault.js';
import { LedgerTransaction, readHeads } from './ledger-transaction.js';
import { auditSession, NO_SESSION } from './session-row.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { archivedReason } from './trail-beginning.js';
import { TrailRows } from './trail-rows.js';

/** Entries from one sequence to another, both inclusive, and the hash of the last. */
export interface ArchiveRange {
  readonly first: number;
  readonly last: number;
  readonly hash: string;
}

/** An archive that was found good. */
export interface VerifiedArchive extends ArchiveRange {
  readonly sha256: string;
}

/**
 * Says in the trail itself that it begins later, and which file has what was before.
 * @returns false where it did not, since the server has signed the last entry meanwhile: the archive would have another checkpoint
 * of it than the database and the checkpoint file, for ever
 */
export function moveBeginning(
  db: SqliteConnection,
  vault: GuestVault,
  { first, last, hash, sha256 }: VerifiedArchive,
  checkpoint: AuditCheckpoint | null,
): boolean {
  db.begin();
  try {
    if (firstSequence(db) !== first) {
      throw new StartupError('Another process has archived entries meanwhile; this one has removed nothing.');
    }
    if (checkpoint && hasCheckpoint(db, last)) {
      db.rollback();
      return false;
    }
    const transaction = new LedgerTransaction(db, vault, readHeads(db), []);
    if (checkpoint) transaction.insert('AuditCheckpoint', { ...checkpoint });
    auditSession(
      transaction,
      { ...NO_SESSION, id: mintRequestId().id },
      {
        kind: AuditKind.TRAIL_ARCHIVED,
        status: 'SUCCESS',
        reason: archivedReason(last, hash, sha256),
        actor: systemActor('audit-archive'),
      },
    );
    if (db.run('UPDATE "AuditTrail" SET "firstSequence" = ? WHERE "id" = 1', last + 1) !== 1) {
      throw new StartupError(
        'The table AuditTrail has no row that says where the audit trail begins; nothing was removed.',
      );
    }
    db.commit();
    return true;
  } catch (error) {
    db.rollback();
    throw error;
  }
}

/** The entry that the trail begins with. */
export function firstSequence(db: SqliteConnection): number {
  const first = new TrailRows(db).firstSequence();
  if (first === null) throw new StartupError('The table AuditTrail does not say where the audit trail begins.');
  return first;
}

/** Whether an entry was signed. */
export const hasCheckpoint = (db: SqliteConnection, sequence: number): boolean =>
  db.get('SELECT 1 FROM "AuditCheckpoint" WHERE "sequence" = ?', sequence) !== undefined;
