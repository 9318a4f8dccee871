import { generateKeyPairSync } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { GENESIS_HASH, hashEntry } from '../../src/store/audit-chain.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { AuditSigner } from '../../src/store/audit-signer.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { TrailRows } from '../../src/store/trail-rows.js';
import { dropAuditTriggers } from '../support/drop-audit-triggers.js';
import { type Books, openBooks, someAudit } from './ledger.js';

const SIGNER = new AuditSigner(generateKeyPairSync('ed25519').privateKey);
const STRANGER = new AuditSigner(generateKeyPairSync('ed25519').privateKey);

/** Ten entries, signed at the fourth and at the eighth. */
async function tenEntries({ signers = [SIGNER, SIGNER] } = {}) {
  const books = await openBooks();
  await books.writer.submit((transaction) => {
    for (let i = 0; i < 10; i++) transaction.appendAudit(someAudit());
  });
  const audits = new AuditReader(books, SIGNER);
  const [first, second] = signers;
  await checkpoint(books, first!, 4);
  await checkpoint(books, second!, 8);
  return { books, audits };
}

const hashAt = (books: Books, sequence: number): string =>
  books.outside.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ?', sequence)?.hash ?? '';

const checkpoint = (books: Books, signer: AuditSigner, sequence: number) =>
  books.writer.execute(
    'recordCheckpoint',
    signer.sign({ sequence, hash: hashAt(books, sequence), timestamp: new Date() }),
  );

/** What somebody does who has the file, and no key. */
function tamper({ path }: Books, change: (db: SqliteConnection) => void): void {
  const raw = new SqliteConnection(path);
  dropAuditTriggers(raw);
  change(raw);
  raw.close();
}

/** Changes an entry, and computes it and all that come after again. */
async function rewriteFrom(books: Books, sequence: number): Promise<void> {
  const { rows: entries } = new TrailRows(books.outside).after(0, 100);
  tamper(books, (db) => {
    let previousHash = GENESIS_HASH;
    for (const entry of entries) {
      const content = entry.sequence === sequence ? { ...entry, actor: 'somebody else' } : entry;
      const hash = hashEntry(previousHash, content);
      db.run(
        'UPDATE "AuditEntry" SET "actor" = ?, "previousHash" = ?, "hash" = ? WHERE "sequence" = ?',
        content.actor,
        previousHash,
        hash,
        entry.sequence,
      );
      previousHash = hash;
    }
  });
}

const CUT_OFF = /^the entry is missing: the trail was cut off, since there is a checkpoint at 8$/;
const REWRITTEN = /^the entry is not the one that its checkpoint was made of/;
const FORGED = 'the signature of the checkpoint is wrong: it was changed or forged';

describe('verifying the audit trail with its checkpoints', () => {
  it('counts those that it found good, and says how far they reach', async () => {
    const { books, audits } = await tenEntries();
    expect(await audits.verify()).toEqual({
      ok: true,
      checked: 10,
      firstBrokenSequence: null,
      reason: null,
      head: hashAt(books, 10),
      checkpoints: 2,
      lastCheckpoint: 8,
    });
  });

  it('checks those in the range that is asked for, both ends included', async () => {
    const { audits } = await tenEntries();
    expect(await audits.verify(4, 8)).toMatchObject({ ok: true, checkpoints: 2, lastCheckpoint: 8 });
    expect(await audits.verify(5, 7)).toMatchObject({ ok: true, checkpoints: 0, lastCheckpoint: null });
    expect(await audits.verify(1, 7)).toMatchObject({ ok: true, checkpoints: 1, lastCheckpoint: 4 });
    expect(await audits.verify(9)).toMatchObject({ ok: true, checkpoints: 0, lastCheckpoint: null });
    expect(await audits.verify(12)).toMatchObject({ ok: true, checked: 0, checkpoints: 0 });
  });

  it('finds an entry that was changed with all hashes after it', async () => {
    const { books, audits } = await tenEntries();
    await rewriteFrom(books, 6);
    // Without the checkpoints nothing would be wrong with it.
    expect(await audits.verify(1, 7)).toMatchObject({ ok: true });
    const reason = expect.stringMatching(/^the entry is not the one .* or one before it after 4, was changed/);
    expect(await audits.verify()).toMatchObject({
      ok: false,
      checked: 7,
      firstBrokenSequence: 8,
      reason,
      checkpoints: 1,
      lastCheckpoint: 4,
    });
  });

  it('finds a chain that was written anew from its beginning', async () => {
    const { books, audits } = await tenEntries();
    await rewriteFrom(books, 1);
    const broken = {
      ok: false,
      firstBrokenSequence: 4,
      reason: expect.stringMatching(REWRITTEN),
      lastCheckpoint: null,
    };
    expect(await audits.verify()).toMatchObject(broken);
    // Nor does it help to write the new hash into the checkpoint.
    const raw = new SqliteConnection(books.path);
    raw.run('UPDATE "AuditCheckpoint" SET "hash" = ? WHERE "sequence" = 4', hashAt(books, 4));
    raw.close();
    expect(await audits.verify()).toMatchObject({ ok: false, firstBrokenSequence: 4, reason: FORGED });
  });

  it('finds that the end was cut off, wherever it looks', async () => {
    const { books, audits } = await tenEntries();
    tamper(books, (db) => db.run('DELETE FROM "AuditEntry" WHERE "sequence" > 5'));
    const cutOff = { ok: false, firstBrokenSequence: 6, reason: expect.stringMatching(CUT_OFF) };
    expect(await audits.verify()).toMatchObject({ ...cutOff, checked: 5, lastCheckpoint: 4 });
    expect(await audits.verify(1, 6)).toMatchObject(cutOff);
    expect(await audits.verify(6)).toMatchObject(cutOff);
    expect(await audits.verify(7)).toMatchObject({ ...cutOff, firstBrokenSequence: 7 });
    expect(await audits.verify(1, 5)).toMatchObject({ ok: true });
  });

  it('finds that all of it is gone', async () => {
    const { books, audits } = await tenEntries();
    tamper(books, (db) => db.run('DELETE FROM "AuditEntry"'));
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 0, firstBrokenSequence: 1 });
  });

  it('finds entries that were put in place of those that were cut off', async () => {
    const { books, audits } = await tenEntries();
    await rewriteFrom(books, 8);
    expect(await audits.verify()).toMatchObject({ firstBrokenSequence: 8, reason: expect.stringMatching(REWRITTEN) });
  });

  it.each([
    ['signature', STRANGER.sign({ sequence: 4, hash: 'x', timestamp: new Date() }).signature],
    ['signature', 'nonsense'],
    ['timestamp', 1_000_000],
    ['hash', 'ab'.repeat(32)],
  ])('finds a checkpoint whose %s was changed to %s', async (column, value) => {
    const { books, audits } = await tenEntries();
    tamper(books, (db) => db.run(`UPDATE "AuditCheckpoint" SET "${column}" = ? WHERE "sequence" = 4`, value));
    expect(await audits.verify()).toMatchObject({
      ok: false,
      checked: 3,
      firstBrokenSequence: 4,
      reason: FORGED,
      checkpoints: 0,
    });
  });

  it.each([
    [`"timestamp" = 'yesterday'`],
    [`"timestamp" = 1 << 60`],
    [`"signature" = "signature" || char(0) || 'x'`],
    [`"hash" = CAST("hash" AS BLOB)`],
  ])('finds a checkpoint that can be none: %s', async (change) => {
    const { books, audits } = await tenEntries();
    tamper(books, (db) => db.exec(`UPDATE "AuditCheckpoint" SET ${change} WHERE "sequence" = 4`));
    const reason = 'the checkpoint is none: one of its columns holds what none can have';
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 3, firstBrokenSequence: 4, reason });
  });

  it('finds a checkpoint that was forged for an entry that never was', async () => {
    const { books, audits } = await tenEntries();
    const forged = { ...STRANGER.sign({ sequence: 99, hash: 'x', timestamp: new Date() }), keyId: SIGNER.keyId };
    await books.writer.submit((transaction) => transaction.insert('AuditCheckpoint', forged));
    expect(await audits.verify()).toMatchObject({ ok: false, firstBrokenSequence: 99, reason: FORGED });
  });

  it('says of which keys there are checkpoints that it cannot check, and does not call them broken', async () => {
    const { audits } = await tenEntries({ signers: [STRANGER, SIGNER] });
    expect(await audits.verify()).toMatchObject({
      ok: true,
      firstBrokenSequence: null,
      reason: `checkpoints of a key that this server does not have were not checked: 1 of the key "${STRANGER.keyId}"`,
      checkpoints: 1,
      lastCheckpoint: 8,
    });
  });

  it('compares the hashes of those, too', async () => {
    const { books, audits } = await tenEntries({ signers: [STRANGER, STRANGER] });
    await rewriteFrom(books, 6);
    expect(await audits.verify()).toMatchObject({ ok: false, firstBrokenSequence: 8, checkpoints: 0 });
  });

  it('has none to check where the server has no key', async () => {
    const { books } = await tenEntries();
    const verification = await new AuditReader(books).verify();
    expect(verification).toMatchObject({ ok: true, checkpoints: 0, lastCheckpoint: null });
    expect(verification.reason).toContain(`2 of the key "${SIGNER.keyId}"`);
  });

  it('spans more than one batch of rows', async () => {
    const books = await openBooks();
    await books.writer.submit((transaction) => {
      for (let i = 0; i < 2_000; i++) transaction.appendAudit(someAudit());
    });
    for (const sequence of [1, 1_000, 1_001, 2_000]) await checkpoint(books, SIGNER, sequence);
    const audits = new AuditReader(books, SIGNER);
    expect(await audits.verify()).toMatchObject({ ok: true, checked: 2_000, checkpoints: 4, lastCheckpoint: 2_000 });
  });

  it('is not misled by a trail that grows, and is signed, while it looks', async () => {
    const books = await openBooks();
    const audits = new AuditReader(books, SIGNER);
    let isDone = false;
    const growing = (async () => {
      for (let sequence = 1; sequence <= 12; sequence++) {
        await books.writer.submit((transaction) => transaction.appendAudit(someAudit()));
        await checkpoint(books, SIGNER, sequence);
      }
      isDone = true;
    })();
    while (!isDone) {
      expect(await audits.verify()).toMatchObject({ ok: true, reason: null });
      await setImmediate(); // reading does not let the writer have its turn
    }
    await growing;
    expect(await audits.verify()).toMatchObject({ ok: true, checked: 12, checkpoints: 12 });
  });
});
