import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AuditSigner, openSigner } from '../../src/store/audit-signer.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { dropAuditTriggers } from '../support/drop-audit-triggers.js';
import { append, archive, oldTrail, signEntry, signer, verifyAsServer } from './audit/archived-trail.js';
import { verify } from './audit/trail.js';

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

it('an archive has the checkpoint of its last entry that the server has made while it was written', async () => {
  const { books, path, file } = await oldTrail({ old: 30 });
  const [output, checkpoints, key] = [file('archive.jsonl'), file('checkpoints.jsonl'), file('key.json')];
  writeFileSync(key, JSON.stringify(signer.keySet));
  let written = 0;
  const { code, said } = await archive(path, ['--output', output], { AUDIT_CHECKPOINT_FILE: checkpoints }, (step) => {
    if (step !== 'written' || ++written > 1) return;
    appendFileSync(checkpoints, `${JSON.stringify({ version: 1, ...signEntry(path, 30) })}\n`);
  });
  expect(said).toMatch(/^archived: entries 1 to 30,/);
  expect(code).toBe(0);
  await append(books, 1, 0);
  expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 12, checkpoints: 1 });
  for (const trail of [
    ['--database', path, '--after', output],
    ['--export', output],
  ]) {
    const verdict = await verify(...trail, '--checkpoints', checkpoints, '--public-key', key);
    expect(verdict.said).toContain(`1 checkpoints in ${checkpoints}, kept outside: trusted`);
    expect(verdict.code).toBe(0);
  }
});

it('nothing is removed, or said to be, where the trail cannot say that it begins later', async () => {
  const { path, file } = await oldTrail({ old: 30 });
  const db = new SqliteConnection(path);
  dropAuditTriggers(db);
  db.exec('DELETE FROM "AuditTrail"');
  db.close();
  const before = booksOf(path);
  const checkpoints = file('checkpoints.jsonl');
  const { code, said } = await archive(path, ['--output', file('a')], { AUDIT_CHECKPOINT_FILE: checkpoints });
  expect(said).toBe('The table AuditTrail has no row that says where the audit trail begins; nothing was removed.\n');
  expect(code).toBe(2);
  expect(booksOf(path)).toEqual(before);
  expect(readFileSync(checkpoints, 'utf8')).toBe('');
});
