import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartupError } from '../errors.js';
import type { AuditCheckpoint, AuditSigner, JwkSet } from './audit-signer.js';
import { appendCheckpoint } from './checkpoint-file.js';
import type { GuestVault } from './guest-vault.js';
import {
  type ArchiveRange,
  firstSequence,
  hasCheckpoint,
  moveBeginning,
  type VerifiedArchive,
} from './move-trail-beginning.js';
import type { SqliteConnection } from './sqlite-connection.js';

const REMOVED_AT_ONCE = 1_000;
const SHORTEST_PAUSE_MS = 10;

/** Writes an archive and verifies it: the tools that know no more of the server than its database and docs/audit.md. */
interface ArchiveFiles {
  /**
   * Writes the trail up to an entry to a file that must not be there yet; on return it is on the disk.
   * @param end `checkpoint`: the one of its last entry, where the database has none; `keys`: what goes with it
   */
  write(
    databasePath: string,
    output: string,
    end: { readonly last: number; readonly checkpoint: AuditCheckpoint | null; readonly keys: JwkSet['keys'] },
  ): Promise<void>;
  /** @throws when the archive is not good; it is removed then */
  verify(output: string): VerifiedArchive;
}

/** Where it stands, for tests that kill it there. */
export type ArchiveStep = 'written' | 'committed' | 'removing';

export interface ArchiveOrder {
  /** Younger entries stay. */
  readonly before: Date;
  readonly output: string;
  readonly files: ArchiveFiles;
  /** Where checkpoints are appended to as well; null for nowhere. */
  readonly checkpointFile: string | null;
  readonly onStep?: ((step: ArchiveStep) => void) | undefined;
}

export interface ArchiveOutcome {
  /** Null where nothing was old enough. */
  readonly archived: VerifiedArchive | null;
  /** Entries that an earlier run had archived and not removed any more. */
  readonly leftOver: number;
}

/**
 * Moves old entries of the audit trail from the database into a file. At every moment they are in one of the two: the file is
 * written and verified first; then one transaction says that the trail begins later, and only what is before that beginning can
 * be removed. A server may be writing meanwhile.
 * @throws StartupError when it refuses; nothing was removed then
 */
export async function archiveAuditTrail(
  db: SqliteConnection,
  vault: GuestVault,
  signer: AuditSigner,
  order: ArchiveOrder,
): Promise<ArchiveOutcome> {
  const { before, checkpointFile, onStep = () => {} } = order;
  const leftOver = await removeArchived(db, onStep);
  const range = entriesBefore(db, before);
  if (range === null) return { archived: null, leftOver };

  let checkpoint = missingCheckpoint(db, signer, range);
  let archived = await writeFile(db, signer, range, checkpoint, order);
  if (!moveBeginning(db, vault, archived, checkpoint)) {
    // Once more, with the server's checkpoint of the last entry in place of ours.
    rmSync(order.output);
    checkpoint = null;
    archived = await writeFile(db, signer, range, checkpoint, order);
    moveBeginning(db, vault, archived, checkpoint);
  }
  onStep('committed');
  // Behind the commit: the file must not know a checkpoint that the database does not have.
  if (checkpoint && checkpointFile !== null) await appendCheckpoint(checkpointFile, checkpoint);
  await removeArchived(db, onStep);
  return { archived, leftOver };
}

/** Writes the archive and verifies it. */
async function writeFile(
  db: SqliteConnection,
  signer: AuditSigner,
  range: ArchiveRange,
  checkpoint: AuditCheckpoint | null,
  { output, files, onStep = () => {} }: ArchiveOrder,
): Promise<VerifiedArchive> {
  await files.write(db.path, output, { last: range.last, checkpoint, keys: keysFor(db, signer, range) });
  onStep('written');
  const archived = files.verify(output);
  const isWhole = archived.first === range.first && archived.last === range.last && archived.hash === range.hash;
  if (!isWhole) throw new StartupError(`${output} does not hold the entries ${range.first} to ${range.last}.`);
  return archived;
}

/** The entries that are old enough, up to the first that is not, whatever the clock was when they were written. */
function entriesBefore(db: SqliteConnection, before: Date): ArchiveRange | null {
  const first = firstSequence(db);
  // The newest stays: the next one is chained to it.
  const sql = `SELECT "sequence", "hash" FROM "AuditEntry" WHERE "sequence" = coalesce(
    (SELECT "sequence" FROM "AuditEntry" WHERE "sequence" >= ? AND "timestamp" >= ? ORDER BY "sequence" LIMIT 1),
    (SELECT max("sequence") FROM "AuditEntry")) - 1 AND "sequence" >= ?`;
  const last = db.get<{ sequence: number; hash: string }>(sql, first, before, first);
  return last ? { first, last: last.sequence, hash: last.hash } : null;
}

/** The checkpoint of the last entry, where there is none yet. */
function missingCheckpoint(db: SqliteConnection, signer: AuditSigner, { last, hash }: ArchiveRange) {
  if (hasCheckpoint(db, last)) return null;
  return signer.sign({ sequence: last, hash, timestamp: new Date() });
}

/** Ours goes with the archive unless checkpoints in it are of a former key: whoever verifies it has to bring that one. */
function keysFor(db: SqliteConnection, signer: AuditSigner, { first, last }: ArchiveRange): JwkSet['keys'] {
  const sql = 'SELECT 1 FROM "AuditCheckpoint" WHERE "sequence" BETWEEN ? AND ? AND "keyId" <> ? LIMIT 1';
  return db.get(sql, first - 1, last, signer.keyId) === undefined ? signer.keySet.keys : [];
}

/** Removes what is before the beginning of the trail, a little at a time: a server that writes has to wait for each. */
async function removeArchived(db: SqliteConnection, onStep: (step: ArchiveStep) => void): Promise<number> {
  const last = firstSequence(db) - 1;
  const sql = `DELETE FROM "AuditEntry" WHERE "sequence" IN
    (SELECT "sequence" FROM "AuditEntry" WHERE "sequence" BETWEEN 1 AND ? ORDER BY "sequence" LIMIT ${REMOVED_AT_ONCE})`;
  for (let removed = 0; ; ) {
    const startedAt = performance.now();
    const count = db.run(sql, last);
    removed += count;
    if (count < REMOVED_AT_ONCE) return removed;
    onStep('removing');
    await sleep(Math.max(SHORTEST_PAUSE_MS, performance.now() - startedAt));
  }
}
