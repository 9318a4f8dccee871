import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { ENTRIES, hashAt, makeRoomAt, rewriteFrom, signedTrail, signer } from './audit/signed-trail.js';
import { firstVersionOf, Template, type Trail, verify } from './audit/trail.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/audit-verify.mjs', import.meta.url));
const template = new Template(ENTRIES);
afterAll(() => template.remove());

describe('a trail of 10,000 entries', () => {
  it('is good as the server wrote it, and the output says what vouches for it', async () => {
    const { trail, file, key } = await signedTrail(template);
    const args = ['--database', trail.path, '--checkpoints', file, '--public-key', key];
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, ...args]);

    expect(await trail.verifyAsServer(signer)).toMatchObject({ ok: true });
    expect(stdout.split('\n')).toEqual([
      `good: 10000 entries, head ${trail.tamper((db) => hashAt(db, ENTRIES))}`,
      `10 checkpoints in ${file}, kept outside: trusted`,
      '10 checkpoints in the database: whoever could change the trail could remove these, too',
      `signatures: 20 checked with ${signer.keyId}`,
      '',
    ]);
  });

  it.each<[what: string, sql: string, sequence: number, why: string]>([
    [
      'a field',
      `UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 4321`,
      4321,
      'its content does not match its hash',
    ],
    [
      'a column that its version does not have',
      `UPDATE "AuditEntry" SET "personal" = 'x' WHERE "sequence" = 1234`,
      1234,
      'personal has a value that no entry can have',
    ],
    [
      'one that its version does not have any more',
      `UPDATE "AuditEntry" SET "sessionId" = 'x' WHERE "sequence" = 8000`,
      8000,
      'sessionId has a value that no entry can have',
    ],
    ['another version', `UPDATE "AuditEntry" SET "version" = 1 WHERE "sequence" = 8001`, 8001, 'actorRole has a value'],
    [
      'a version that there is not',
      `UPDATE "AuditEntry" SET "version" = 3 WHERE "sequence" = 8001`,
      8001,
      'version has',
    ],
    [
      'an actor’s role',
      `UPDATE "AuditEntry" SET "actorRole" = 'OPS' WHERE "sequence" = 8002`,
      8002,
      'its content does not match its hash',
    ],
    [
      'what is sealed',
      `UPDATE "AuditEntry" SET "personal" = (SELECT "personal" FROM "AuditEntry" WHERE "sequence" = 8004) WHERE "sequence" = 8002`,
      8002,
      'its content does not match its hash',
    ],
    [
      'an address',
      `UPDATE "AuditEntry" SET "sourceAddress" = NULL WHERE "sequence" = 9003`,
      9003,
      'its content does not match its hash',
    ],
    [
      'a previousHash',
      `UPDATE "AuditEntry" SET "previousHash" = 'x' WHERE "sequence" = 99`,
      99,
      'its previousHash was changed',
    ],
    ['the first entry', `DELETE FROM "AuditEntry" WHERE "sequence" = 1`, 1, 'it is missing: the next entry is 2'],
    [
      'a deleted row',
      `DELETE FROM "AuditEntry" WHERE "sequence" = 5000`,
      5000,
      'it is missing: the next entry is 5001',
    ],
    [
      'a deleted row and a closed gap',
      `DELETE FROM "AuditEntry" WHERE "sequence" = 9000; UPDATE "AuditEntry" SET "sequence" = "sequence" - 1 WHERE "sequence" > 9000`,
      9000,
      'entry 9001 has been given its number',
    ],
    [
      'swapped rows',
      `UPDATE "AuditEntry" SET "sequence" = -1 WHERE "sequence" = 20; UPDATE "AuditEntry" SET "sequence" = 20
        WHERE "sequence" = 30; UPDATE "AuditEntry" SET "sequence" = 30 WHERE "sequence" = -1`,
      20,
      'entry 30 has been given its number',
    ],
    ['an inserted row', makeRoomAt(9500), 9500, 'it is not chained to the entry before it'],
    [
      'a row before the first',
      `UPDATE "AuditEntry" SET "sequence" = 0 WHERE "sequence" = 1`,
      0,
      'it stands where entry 1',
    ],
    [
      'a truncated tail',
      `DELETE FROM "AuditEntry" WHERE "sequence" > 9876`,
      9877,
      'the end was cut off: the database has',
    ],
    ['an empty table', `DELETE FROM "AuditEntry"`, 1, 'the end was cut off'],
    // SQLite takes this one for the JSON of a null, which is what was there.
    ['a BLOB', `UPDATE "AuditEntry" SET "reason" = x'00' WHERE "sequence" = 3000`, 3000, 'a BLOB stands'],
    [
      'a huge number',
      `UPDATE "AuditEntry" SET "attempts" = 1 << 60 WHERE "sequence" = 3000`,
      3000,
      'it cannot be read',
    ],
    [
      'a NUL',
      `UPDATE "AuditEntry" SET "actor" = "actor" || char(0) || 'x' WHERE "sequence" = 3000`,
      3000,
      'its content',
    ],
    [
      'bytes that are no UTF-8',
      `UPDATE "AuditEntry" SET "reason" = CAST(replace(CAST("reason" AS BLOB), x'efbfbd', x'f0bfbd') AS TEXT) WHERE "sequence" = 7`,
      7,
      'a text holds bytes that are not UTF-8',
    ],
  ])('shows %s, with the first bad entry and why, to both verifiers', async (_, sql, sequence, why) => {
    const { trail } = await signedTrail(template);
    trail.tamper((db) => db.exec(sql));

    const { code, said } = await verify('--database', trail.path);
    expect(said).toContain(`broken at entry ${sequence}: ${why}`);
    expect(code).toBe(1);
    const asServer = await trail.verifyAsServer(signer);
    expect(asServer).toMatchObject({ ok: false, firstBrokenSequence: sequence });
  });

  it('shows an entry that was put in with the right hash', async () => {
    const trail = await template.copy();
    trail.tamper((db) => {
      db.exec(makeRoomAt(9_990));
      rewriteFrom(db, 9_990);
      // What came after it has its own hashes back, and another number.
      db.exec(`ATTACH '${template.path}' AS "before"; UPDATE "AuditEntry" SET ("previousHash", "hash") =
        (SELECT "previousHash", "hash" FROM "before"."AuditEntry" AS "was" WHERE "was"."id" = "AuditEntry"."id")
        WHERE "sequence" > 9990`);
    });
    const { code, said } = await verify('--database', trail.path);
    expect(code).toBe(1);
    expect(said).toMatch(/^broken at entry 9991: entry 9990 has been given its number/);
    expect(await trail.verifyAsServer()).toMatchObject({ ok: false, firstBrokenSequence: 9_991 });
  });
});

describe('a trail from before version 2', () => {
  it('is good without the columns that came with it', async () => {
    const trail = await template.copy();
    trail.tamper((db) => {
      db.exec(`DELETE FROM "AuditEntry" WHERE "version" > 1; DROP TABLE "AuditTrail"`);
      for (const column of ['version', 'actorRole', 'personal', 'sourceAddress']) {
        db.exec(`ALTER TABLE "AuditEntry" DROP COLUMN "${column}"`);
      }
    });
    const { code, said } = await verify('--database', trail.path);
    expect(code).toBe(0);
    expect(said).toMatch(new RegExp(`^good: ${firstVersionOf(ENTRIES)} entries`));
  });
});

describe('what cannot be verified', () => {
  it.each<[what: string, args: (trail: Trail) => string[], why: string]>([
    ['no file', () => [], 'Name either a database or an export.'],
    ['two', () => ['--database', 'a', '--export', 'b'], 'Name either a database or an export.'],
    ['an option that it does not have', () => ['--data', 'a'], "Unknown option '--data'"],
    ['a missing database', () => ['--database', '/no/such.db'], 'There is no file /no/such.db.'],
    ['a file that is no database', (trail) => ['--database', trail.file('a.db', 'a text')], 'file is not a database'],
    ['a database without a trail', (trail) => ['--database', trail.file('a.db', '')], 'has no table AuditEntry'],
    ['a missing export', () => ['--export', '/no/such.jsonl'], '/no/such.jsonl cannot be read'],
    ['a file that is no export', (trail) => ['--export', trail.file('a.jsonl', '{}\n')], 'is no export of version 1'],
    [
      'a file without a key',
      (trail) => ['--database', 'a', '--public-key', trail.file('k', 'x')],
      'no Ed25519 public key',
    ],
    [
      'a file without checkpoints',
      (trail) => ['--database', trail.path, '--checkpoints', trail.file('c', '{"version":2}\n')],
      'line 1 is no checkpoint',
    ],
  ])('%s ends with 2, and says why', async (_, args, why) => {
    const { code, said } = await verify(...args(await template.copy()));
    expect(said).toContain(why);
    expect(code).toBe(2);
  });

  it('a table of another version', async () => {
    const trail = await template.copy();
    trail.tamper((db) => db.exec('ALTER TABLE "AuditEntry" ADD COLUMN "mood" TEXT'));
    const { code, said } = await verify('--database', trail.path);
    expect(said).toContain('AuditEntry has other columns than this program knows');
    expect(code).toBe(2);
  });
});
