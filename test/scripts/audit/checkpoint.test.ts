import { afterAll, describe, expect, it } from 'vitest';
import { ENTRIES, hashAt, rewriteFrom, signedTrail, signer } from './signed-trail.js';
import { jsonLines, putCheckpoints, Signer, Template, verify } from './trail.js';

const template = new Template(ENTRIES);
afterAll(() => template.remove());

describe('a trail of 10,000 entries with checkpoints', () => {
  it('shows by the checkpoints outside that its end was cut off, though those in the database went with it', async () => {
    const { trail, file } = await signedTrail(template);
    trail.tamper((db) => {
      db.exec(
        'DELETE FROM "AuditEntry" WHERE "sequence" > 8500; DELETE FROM "AuditCheckpoint" WHERE "sequence" > 8500',
      );
    });
    expect((await verify('--database', trail.path)).code).toBe(0);
    const { code, said } = await verify('--database', trail.path, '--checkpoints', file);
    expect(code).toBe(1);
    expect(said).toBe('broken at entry 8501: the end was cut off: the file has a checkpoint of entry 9000\n');
  });

  it('shows by its first checkpoint that all of it was written anew', async () => {
    const { trail } = await signedTrail(template);
    trail.tamper((db) => {
      db.exec(`UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 1`);
      rewriteFrom(db, 1);
    });
    const { code, said } = await verify('--database', trail.path);
    expect(said).toContain('broken at entry 1000: its checkpoint in the database has another hash');
    expect(code).toBe(1);
    expect(await trail.verifyAsServer(signer)).toMatchObject({ ok: false, firstBrokenSequence: 1_000 });
  });

  it('shows by its checkpoints that the chain was written anew', async () => {
    const { trail, file } = await signedTrail(template);
    const forger = new Signer();
    trail.tamper((db) => {
      db.exec(`UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 5100`);
      rewriteFrom(db, 5_100);
    });
    const why = (where: string) =>
      `broken at entry 6000: its checkpoint in ${where} has another hash: the chain was written anew, from entry 5001 or a later one on\n`;
    expect(await verify('--database', trail.path)).toEqual({ code: 1, said: why('the database') });
    const asServer = await trail.verifyAsServer(signer);
    expect(asServer).toMatchObject({ ok: false, firstBrokenSequence: 6_000 });
    expect(asServer.reason).toContain('or one before it after 5000, was changed and the chain computed again');

    const signed = trail.tamper((db) => {
      const forged = [5_000, 6_000].map((sequence) => forger.sign(sequence, hashAt(db, sequence)));
      putCheckpoints(db, forged);
      return forged;
    });
    const key = trail.file('key.pem', signer.pem);
    expect(await verify('--database', trail.path)).toMatchObject({ code: 0 });
    expect(await verify('--database', trail.path, '--public-key', key)).toEqual({
      code: 1,
      said: `broken at entry 5000: its checkpoint in the database is signed with the key ${signed[0]?.keyId}, which is not among those given\n`,
    });
    trail.tamper((db) => db.exec('DROP TABLE "AuditCheckpoint"'));
    expect(await verify('--database', trail.path, '--checkpoints', file)).toEqual({ code: 1, said: why('the file') });
  });
});

describe('checkpoints', () => {
  it('have to be in the database when they are in the file, and the same', async () => {
    const { trail, file } = await signedTrail(template);
    trail.tamper((db) => db.exec('DELETE FROM "AuditCheckpoint" WHERE "sequence" = 3000'));
    const args = ['--database', trail.path, '--checkpoints', file];
    expect(await verify(...args)).toEqual({
      code: 1,
      said: 'broken at entry 3000: its checkpoint in the file is missing in the database\n',
    });
    trail.tamper((db) => db.exec(`UPDATE "AuditCheckpoint" SET "timestamp" = 1 WHERE "sequence" = 2000`));
    expect((await verify(...args)).said).toContain(
      'entry 2000: its checkpoint in the file is another one than in the database',
    );
    trail.tamper((db) => db.exec('DROP TABLE "AuditCheckpoint"'));
    const { code, said } = await verify(...args);
    expect(code).toBe(0);
    expect(said).toContain('no checkpoints in the database\nsignatures: not checked (no --public-key)');
  });

  it('with a signature that is not right are found, also when only their time was changed', async () => {
    const { trail, key } = await signedTrail(template);
    trail.tamper((db) => db.exec('UPDATE "AuditCheckpoint" SET "timestamp" = "timestamp" + 1 WHERE "sequence" = 4000'));
    expect((await verify('--database', trail.path)).code).toBe(0);
    expect(await verify('--database', trail.path, '--public-key', key)).toEqual({
      code: 1,
      said: 'broken at entry 4000: its checkpoint in the database has a signature that is not right\n',
    });
  });

  it('that cannot be ones are found', async () => {
    const { trail } = await signedTrail(template);
    const verdictOn = async (sql: string) => {
      trail.tamper((db) => db.exec(sql));
      return verify('--database', trail.path);
    };
    const said = 'broken at entry 4000: its checkpoint is no checkpoint: its signature is none\n';
    const unsigned = await verdictOn(`UPDATE "AuditCheckpoint" SET "signature" = 'x' WHERE "sequence" = 4000`);
    expect(unsigned).toEqual({ code: 1, said });
    const late = await verdictOn(`UPDATE "AuditCheckpoint" SET "timestamp" = 1 << 60 WHERE "sequence" = 1000`);
    expect(late.said).toContain('its checkpoint cannot be read');
    expect(late.code).toBe(1);
    const other = await verdictOn('ALTER TABLE "AuditCheckpoint" DROP COLUMN "keyId"');
    expect(other).toMatchObject({ code: 2, said: expect.stringContaining('AuditCheckpoint lacks columns') });
  });

  it('may stand in the file in any order: that of an archive is of an old entry', async () => {
    const { trail, checkpoints } = await signedTrail(template);
    const [first, ...rest] = checkpoints;
    const shuffled = trail.file('late.jsonl', jsonLines([...rest.slice(4), ...rest.slice(0, 4).reverse(), first]));
    const args = ['--database', trail.path, '--checkpoints'];
    expect((await verify(...args, shuffled)).said).toContain(`10 checkpoints in ${shuffled}, kept outside: trusted`);
    const forged = trail.file('forged.jsonl', jsonLines([...rest, { ...first, hash: 'ab'.repeat(32) }]));
    expect((await verify(...args, forged)).said).toContain(
      'broken at entry 1000: its checkpoint in the file has another',
    );
  });

  it('are checked with a JWK or a JWK Set, too; the last line of the file may be one that is being written', async () => {
    const { trail, checkpoints } = await signedTrail(template);
    const file = trail.file('torn.jsonl', `${jsonLines(checkpoints.slice(0, 9))}{"version":1,"seq`);
    const set = { keys: [{ kty: 'EC', crv: 'P-256', x: '', y: '' }, new Signer().jwk, signer.jwk] };
    for (const key of [signer.jwk, set]) {
      const args = ['--checkpoints', file, '--public-key', trail.file('key.json', JSON.stringify(key))];
      const { code, said } = await verify('--database', trail.path, ...args);
      expect(code).toBe(0);
      expect(said).toContain('signatures: 19 checked with ');
      expect(said).toContain('entries 9001 to 10000 have the chain alone: the last checkpoint is of entry 9000');
    }
  });
});
