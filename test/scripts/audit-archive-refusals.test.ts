import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AuditSigner, openSigner } from '../../src/store/audit-signer.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { archive, oldTrail, signEntry, signer } from './audit/archived-trail.js';

const { privateKey } = generateKeyPairSync('ed25519');
const other = new AuditSigner(privateKey);
const OTHER_KEY = { AUDIT_SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64') };
const NO_KEY = { AUDIT_SIGNING_KEY: '' };

/** What an archiving changes. */
function booksOf(path: string) {
  const db = new SqliteConnection(path, { readOnly: true });
  try {
    return {
      beginning: db.get('SELECT "firstSequence" FROM "AuditTrail"'),
      entries: db.get('SELECT min("sequence") AS "first", max("sequence") AS "last" FROM "AuditEntry"'),
      checkpoints: db.all('SELECT "sequence" FROM "AuditCheckpoint"'),
    };
  } finally {
    db.close();
  }
}

describe('archiving with a key that is not the server’s', () => {
  it('makes no key where the one beside the database is missing', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    const output = file('archive.jsonl');
    const before = booksOf(path);
    const { code, said } = await archive(path, ['--output', output], NO_KEY);
    expect(said).toContain(`The key of the audit trail ${path}.audit-key is missing`);
    expect(said).toContain('Put it back');
    expect(code).toBe(2);
    expect(existsSync(`${path}.audit-key`)).toBe(false);
    expect(existsSync(output)).toBe(false);
    expect(booksOf(path)).toEqual(before);
  });

  it('takes the one beside the database that the server has made', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    signEntry(path, 35, openSigner(null, path)!);
    expect(await archive(path, ['--output', file('archive.jsonl')], NO_KEY)).toMatchObject({ code: 0 });
  });

  it('refuses before it does anything where the newest checkpoint is of another key', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    signEntry(path, 35);
    const before = booksOf(path);
    const [output, checkpoints] = [file('archive.jsonl'), file('checkpoints.jsonl')];
    const more = { ...OTHER_KEY, AUDIT_CHECKPOINT_FILE: checkpoints };
    const { code, said } = await archive(path, ['--output', output], more);
    expect(said).toBe(
      `The newest checkpoint of the audit trail, of entry 35, is of the key ${signer.keyId}; the one that is set here is ` +
        `${other.keyId}. Nothing was done: set the key that the server has. Where AUDIT_SIGNING_KEY was changed on ` +
        'purpose, the server has to have signed with the new key first: start it; it signs within a minute, or when it is stopped.\n',
    );
    expect(code).toBe(2);
    expect(existsSync(output)).toBe(false);
    expect(existsSync(checkpoints)).toBe(false);
    expect(booksOf(path)).toEqual(before);
  });

  it('goes on with a new key once the server has signed with it', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    signEntry(path, 35);
    signEntry(path, 40, other);
    expect(await archive(path, ['--output', file('archive.jsonl')], OTHER_KEY)).toMatchObject({ code: 0 });
    expect((await archive(path, ['--output', file('next.jsonl')])).said).toContain('of entry 40, is of the key');
  });
});
