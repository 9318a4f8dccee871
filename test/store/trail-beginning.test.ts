import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AuditSigner } from '../../src/store/audit-signer.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { archive, oldTrail, signer, verifyAsServer } from '../scripts/audit/archived-trail.js';
import { exportTrail, verify } from '../scripts/audit/trail.js';
import { dropAuditTriggers } from '../support/drop-audit-triggers.js';

const stranger = new AuditSigner(generateKeyPairSync('ed25519').privateKey);

/** A trail of entries 31 to 41; those before were archived. */
async function archivedTrail() {
  const trail = await oldTrail({ old: 30 });
  await archive(trail.path, ['--output', trail.file('archive.jsonl')]);
  const key = trail.file('key.json');
  writeFileSync(key, JSON.stringify(signer.keySet));
  return { ...trail, key };
}

/** What somebody does who has the file, and no key. */
function tamper(path: string, change: (db: SqliteConnection) => void): void {
  const raw = new SqliteConnection(path);
  dropAuditTriggers(raw);
  change(raw);
  raw.close();
}

/** The same checkpoint, in the name of the server's key. */
function forge(db: SqliteConnection): void {
  const { hash } = db.get<{ hash: string }>('SELECT "hash" FROM "AuditCheckpoint" WHERE "sequence" = 30')!;
  const { signature } = stranger.sign({ sequence: 30, hash, timestamp: new Date(0) });
  db.run('UPDATE "AuditCheckpoint" SET "timestamp" = 0, "signature" = ? WHERE "sequence" = 30', signature);
}

const run = (sql: string) => (db: SqliteConnection) => db.exec(sql);

/** The checkpoint that the trail goes on from, signed with a key that the server does not have. */
function signAsStranger(db: SqliteConnection): void {
  const { hash } = db.get<{ hash: string }>('SELECT "hash" FROM "AuditCheckpoint" WHERE "sequence" = 30')!;
  const { keyId, signature } = stranger.sign({ sequence: 30, hash, timestamp: new Date(0) });
  const sql = 'UPDATE "AuditCheckpoint" SET "timestamp" = 0, "keyId" = ?, "signature" = ? WHERE "sequence" = 30';
  db.run(sql, keyId, signature);
}

describe('a trail that begins later', () => {
  it('is verified from where it begins, whatever is asked for before', async () => {
    const { path } = await archivedTrail();
    const vouched = { ok: true, reason: null, checkpoints: 1, lastCheckpoint: 30 };
    expect(await verifyAsServer(path)).toMatchObject({ ...vouched, checked: 11 });
    expect(await verifyAsServer(path, 5, 32)).toMatchObject({ ...vouched, checked: 2 });
    expect(await verifyAsServer(path, 1, 30)).toMatchObject({ ...vouched, checked: 0, head: null });
    expect(await verifyAsServer(path, 33)).toMatchObject({
      ok: true,
      checked: 9,
      checkpoints: 0,
      lastCheckpoint: null,
    });
  });

  it('is good where a key that the server does not have vouches for its beginning, and the reason names that key', async () => {
    const { path, key } = await archivedTrail();
    tamper(path, signAsStranger);
    const reason = `checkpoints of a key that this server does not have were not checked: 1 of the key "${stranger.keyId}"`;
    const unknown = { ok: true, firstBrokenSequence: null, reason, checkpoints: 0, lastCheckpoint: null };
    expect(await verifyAsServer(path)).toMatchObject({ ...unknown, checked: 11 });
    expect(await verifyAsServer(path, 31, 31)).toMatchObject({ ...unknown, checked: 1 });
    // The beginning is not looked at there.
    expect(await verifyAsServer(path, 33)).toMatchObject({ ok: true, reason: null });
    const { code, said } = await verify('--database', path, '--public-key', key);
    expect(said).toContain(`is signed with the key ${stranger.keyId}, which is not among those given`);
    expect(code).toBe(1);
  });

  it.each<[what: string, change: (db: SqliteConnection) => void, byServer: string, byTool?: string, first?: number]>([
    [
      'no checkpoint before it',
      run('DELETE FROM "AuditCheckpoint" WHERE "sequence" = 30'),
      'there is no checkpoint of entry 30: those before it were removed',
    ],
    [
      'a checkpoint of another chain',
      run(`UPDATE "AuditCheckpoint" SET "hash" = '${'ab'.repeat(32)}' WHERE "sequence" = 30`),
      'of the one before it the signature of the checkpoint is wrong: it was changed or forged',
      'its previousHash is not the one of the checkpoint of entry 30 in the database',
    ],
    [
      'a checkpoint that somebody else has signed',
      forge,
      'of the one before it the signature of the checkpoint is wrong: it was changed or forged',
      'the checkpoint of entry 30 in the database has a signature that is not right',
    ],
    [
      'more removed than was archived',
      (db) => {
        const { hash } = db.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = 35')!;
        db.exec(`UPDATE "AuditTrail" SET "firstSequence" = 36; DELETE FROM "AuditEntry" WHERE "sequence" < 36`);
        // As if the server had happened to sign there.
        const { keyId, signature } = signer.sign({ sequence: 35, hash, timestamp: new Date(0) });
        db.run('INSERT INTO "AuditCheckpoint" VALUES (35, ?, 0, ?, ?)', hash, keyId, signature);
      },
      'no entry says that those before it were archived',
      undefined,
      36,
    ],
  ])('is broken at its first entry with %s', async (_, change, byServer, byTool = byServer, first = 31) => {
    const { path, file, key } = await archivedTrail();
    tamper(path, change);
    const reason = `the trail begins with this entry, but ${byServer}`;
    expect(await verifyAsServer(path)).toMatchObject({ ok: false, firstBrokenSequence: first, reason });
    const said = `broken at entry ${first}: the trail begins with it, but ${byTool}\n`;
    expect(await verify('--database', path, '--public-key', key)).toEqual({ code: 1, said });
    const exported = file('export.jsonl');
    await exportTrail('--database', path, '--output', exported);
    const ofExport = await verify('--export', exported, '--public-key', key);
    expect(ofExport).toEqual({ code: 1, said: said.replace('in the database', 'in the export') });
  });

  it.each<[what: string, sql: string, sequence: number, byTool?: number]>([
    ['its first entry removed', 'DELETE FROM "AuditEntry" WHERE "sequence" = 31', 31],
    ['all entries removed', 'DELETE FROM "AuditEntry"', 31],
    ['its first entry changed', `UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 31`, 31],
    ['its first entry chained to nothing', `UPDATE "AuditEntry" SET "previousHash" = '' WHERE "sequence" = 31`, 31],
    // The tool meets that one on its way, and does not look for it beforehand.
    ['the entry that tells of it changed', `UPDATE "AuditEntry" SET "reason" = NULL WHERE "sequence" = 41`, 31, 41],
    ['a beginning that was put back', 'UPDATE "AuditTrail" SET "firstSequence" = 1', 1],
    ['no beginning', 'DELETE FROM "AuditTrail"', 1],
    ['a beginning that can be none', `UPDATE "AuditTrail" SET "firstSequence" = 'x'`, 1],
    ['an entry before the first of all', 'UPDATE "AuditEntry" SET "sequence" = 0 WHERE "sequence" = 41', 0],
  ])('is broken with %s', async (_, sql, sequence, byTool = sequence) => {
    const { path } = await archivedTrail();
    tamper(path, run(sql));
    expect(await verifyAsServer(path)).toMatchObject({ ok: false, firstBrokenSequence: sequence });
    const { code, said } = await verify('--database', path);
    expect(code).toBe(1);
    expect(said).toMatch(new RegExp(`^broken at entry ${byTool}:`));
  });

  it('does not go on from another archive', async () => {
    const { path } = await archivedTrail();
    const other = await archivedTrail();
    const { code, said } = await verify('--database', path, '--after', other.file('archive.jsonl'));
    expect(said).toContain('broken at entry 31: it is not chained to the last entry of');
    expect(code).toBe(1);
  });

  it('is not taken for broken when it is archived while it is verified', async () => {
    const { path, file } = await oldTrail({ old: 1_500 });
    const verifying = verifyAsServer(path);
    const [verification] = await Promise.all([verifying, archive(path, ['--output', file('archive.jsonl')])]);
    expect(verification).toMatchObject({ ok: true });
  });
});
