import { type AuditEntry, GENESIS_HASH, hashEntry } from '../../../src/store/audit-chain.js';
import type { SqliteConnection } from '../../../src/store/sqlite-connection.js';
import { type Checkpoint, jsonLines, putCheckpoints, Signer, type Template, type Trail } from './trail.js';

export const ENTRIES = 10_000;
const EVERY = 1_000;
export const signer = new Signer();

export const hashAt = (db: SqliteConnection, sequence: number): string =>
  db.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ?', sequence)?.hash ?? '';

/** A trail with a signed checkpoint after every thousand entries, in the database and in a file. */
export async function signedTrail(
  template: Template,
): Promise<{ trail: Trail; checkpoints: Checkpoint[]; file: string; key: string }> {
  const trail = await template.copy();
  const checkpoints = trail.tamper((db) => {
    const sequences = Array.from({ length: ENTRIES / EVERY }, (_, n) => (n + 1) * EVERY);
    const signed = sequences.map((sequence) => signer.sign(sequence, hashAt(db, sequence)));
    putCheckpoints(db, signed);
    return signed;
  });
  const file = trail.file('checkpoints.jsonl', jsonLines(checkpoints));
  return { trail, checkpoints, file, key: trail.file('key.pem', signer.pem) };
}

/** Computes every hash from an entry on again, as somebody does who knows docs/audit.md. */
export function rewriteFrom(db: SqliteConnection, first: number): void {
  type Row = Omit<AuditEntry, 'timestamp' | 'crmSynced'> & { timestamp: number; crmSynced: number | null };
  let previousHash = hashAt(db, first - 1) || GENESIS_HASH;
  db.begin();
  for (const row of db.all<Row>('SELECT * FROM "AuditEntry" WHERE "sequence" >= ? ORDER BY "sequence"', first)) {
    const crmSynced = row.crmSynced === null ? null : row.crmSynced === 1;
    const hash = hashEntry(previousHash, { ...row, timestamp: new Date(row.timestamp), crmSynced });
    const update = 'UPDATE "AuditEntry" SET "previousHash" = ?, "hash" = ? WHERE "sequence" = ?';
    db.run(update, previousHash, hash, row.sequence);
    previousHash = hash;
  }
  db.commit();
}

const COPIED = '"id", "timestamp", "requestId", "kind", "status", "actor", "attempts", "previousHash", "hash"';

/** SQL that moves everything from there on by one, and puts a copy of another entry in between. */
export const makeRoomAt = (sequence: number) => `
  UPDATE "AuditEntry" SET "sequence" = -"sequence" - 1 WHERE "sequence" >= ${sequence};
  UPDATE "AuditEntry" SET "sequence" = -"sequence" WHERE "sequence" < 0;
  INSERT INTO "AuditEntry" ("sequence", ${COPIED}) SELECT ${sequence}, ${COPIED} FROM "AuditEntry" WHERE "sequence" = ${sequence - 100};`;
