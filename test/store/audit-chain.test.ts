import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type AuditEntry, GENESIS_HASH, hashEntry } from '../../src/store/audit-chain.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { TrailRows } from '../../src/store/trail-rows.js';
import { dropAuditTriggers } from '../support/drop-audit-triggers.js';
import { type Books, openBooks, openSession, someAudit } from './ledger.js';

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

const FIRST: AuditEntry = {
  sequence: 7,
  id: '0199aaaa-0000-7000-8000-000000000001',
  timestamp: new Date('2026-11-22T15:00:00.120Z'),
  requestId: '0199aaaa-0000-7000-8000-000000000002',
  kind: 'SESSION_INITIATION',
  status: 'FAILED',
  reason: 'CXone answered 400: "Zoë" \\ 🦊',
  errorCode: 'CXONE_SCHEMA_REJECTED',
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  sessionId: null,
  actor: 'web shop',
  durationMs: 12.5,
  fraudScore: 60,
  attempts: 1,
  capacityCheck: 'CHECKED',
  crmSynced: false,
  version: 1,
  actorRole: null,
  personal: null,
  sourceAddress: null,
};
const SECOND: AuditEntry = { ...FIRST, version: 2, actorRole: 'BACKEND', personal: 'c2VhbGVk', sourceAddress: 'net' };

/** The same as RFC 8785 would have it, by hand. */
const FIRST_JSON =
  '{"actor":"web shop","attempts":1,"capacityCheck":"CHECKED","crmSynced":false,"durationMs":12.5,' +
  '"errorCode":"CXONE_SCHEMA_REJECTED","fraudScore":60,"guestId":"guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c",' +
  '"id":"0199aaaa-0000-7000-8000-000000000001","kind":"SESSION_INITIATION",' +
  '"reason":"CXone answered 400: \\"Zoë\\" \\\\ 🦊","requestId":"0199aaaa-0000-7000-8000-000000000002",' +
  '"sequence":7,"sessionId":null,"status":"FAILED","timestamp":"2026-11-22T15:00:00.120Z"}';
const SECOND_JSON =
  '{"actor":"web shop","actorRole":"BACKEND","attempts":1,"capacityCheck":"CHECKED","crmSynced":false,"durationMs":12.5,' +
  '"errorCode":"CXONE_SCHEMA_REJECTED","fraudScore":60,"guestId":"guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c",' +
  '"id":"0199aaaa-0000-7000-8000-000000000001","kind":"SESSION_INITIATION","personal":"c2VhbGVk",' +
  '"reason":"CXone answered 400: \\"Zoë\\" \\\\ 🦊","requestId":"0199aaaa-0000-7000-8000-000000000002",' +
  '"sequence":7,"sourceAddress":"net","status":"FAILED","timestamp":"2026-11-22T15:00:00.120Z","version":2}';

/** What is hashed of no version but one; the others refuse it in the table. */
const FOREIGN: readonly string[] = ['actorRole', 'personal', 'sessionId', 'sourceAddress', 'version'];

describe.each([
  ['version 1', FIRST, FIRST_JSON],
  ['version 2', SECOND, SECOND_JSON],
])('the hash of an audit entry of %s', (_, entry, json) => {
  it('is SHA-256 over the previous hash and the canonical JSON of the entry', () => {
    expect(hashEntry(GENESIS_HASH, entry)).toBe(sha256('0'.repeat(64) + json));
    expect(hashEntry('ab'.repeat(32), entry)).toBe(sha256('ab'.repeat(32) + json));
  });

  it('does not depend on the order in which the fields were put together', () => {
    const reversed = Object.fromEntries(Object.entries(entry).reverse()) as unknown as AuditEntry;
    expect(hashEntry(GENESIS_HASH, reversed)).toBe(hashEntry(GENESIS_HASH, entry));
  });

  const hashed = Object.keys(entry).filter((field) => json.includes(`"${field}":`) || !FOREIGN.includes(field));

  it.each(hashed as (keyof AuditEntry)[])('changes with its %s', (field) => {
    const other = field === 'timestamp' ? new Date(0) : field === 'version' ? 1 : 'something else';
    expect(hashEntry(GENESIS_HASH, { ...entry, [field]: other })).not.toBe(hashEntry(GENESIS_HASH, entry));
  });
});

/** Five entries, with nulls, numbers, booleans and text of many kinds in them. */
async function fiveEntries(): Promise<{ books: Books; audits: AuditReader }> {
  const books = await openBooks();
  await openSession(books);
  await books.writer.submit((transaction) => {
    transaction.appendAudit(someAudit({ kind: 'CRM_SYNC', crmSynced: true, reason: 'Zoë 🦊 "quoted"\n' }));
    transaction.appendAudit(someAudit({ durationMs: 5, fraudScore: 0, attempts: 3, crmSynced: false }));
  });
  await books.writer.submit((transaction) => transaction.appendAudit(someAudit({ durationMs: 0.1 + 0.2 })));
  await books.writer.submit((transaction) => transaction.appendAudit(someAudit({ status: 'REJECTED' })));
  return { books, audits: new AuditReader(books) };
}

/** What somebody does who has the file and some skill. */
function tamper({ path }: Books, sql: string): void {
  const raw = new SqliteConnection(path);
  dropAuditTriggers(raw);
  raw.exec(sql);
  raw.close();
}

describe('verifying the audit trail', () => {
  it('finds an untouched chain good, and says where it ends', async () => {
    const { books, audits } = await fiveEntries();
    const head = books.outside.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = 5')?.hash;
    expect(await audits.verify()).toEqual({
      ok: true,
      checked: 5,
      firstBrokenSequence: null,
      reason: null,
      head,
      checkpoints: 0,
      lastCheckpoint: null,
    });
  });

  it('finds an empty trail good', async () => {
    expect(await new AuditReader(await openBooks()).verify()).toEqual({
      ok: true,
      checked: 0,
      firstBrokenSequence: null,
      reason: null,
      head: null,
      checkpoints: 0,
      lastCheckpoint: null,
    });
  });

  it('agrees with a chain that is computed from the rows alone', async () => {
    const { books } = await fiveEntries();
    const rows = books.db.all<Record<string, string | number | null>>('SELECT * FROM "AuditEntry" ORDER BY "sequence"');
    let previous = '0'.repeat(64);
    for (const { hash, previousHash, ...row } of rows) {
      expect(previousHash).toBe(previous);
      const { sessionId, ...hashed } = row;
      expect(sessionId).toBeNull();
      const entry: Record<string, unknown> = {
        ...hashed,
        timestamp: new Date(Number(row.timestamp)).toISOString(),
        crmSynced: row.crmSynced === null ? null : row.crmSynced === 1,
      };
      const keys = Object.keys(entry).sort();
      const json = `{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(entry[key])}`).join(',')}}`;
      previous = sha256(previous + json);
      expect(hash).toBe(previous);
    }
  });

  it('spans more than one batch of rows', async () => {
    const books = await openBooks();
    await books.writer.submit((transaction) => {
      for (let i = 0; i < 2_100; i++) transaction.appendAudit(someAudit());
    });
    const audits = new AuditReader(books);
    expect(await audits.verify()).toMatchObject({ ok: true, checked: 2_100 });
    tamper(books, `UPDATE "AuditEntry" SET "actor" = 'nobody' WHERE "sequence" = 2050`);
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 2_049, firstBrokenSequence: 2_050 });
  });

  const CHANGED = 'the entry was changed';
  const impossible = (column: string) => `${CHANGED}: ${column} has a value that no entry can have`;

  it.each<[change: string, reason: string]>([
    [`"timestamp" = "timestamp" + 1`, CHANGED],
    [`"id" = 'other'`, CHANGED],
    [`"requestId" = 'other'`, CHANGED],
    [`"kind" = 'SESSION_ENDED'`, CHANGED],
    [`"status" = 'REJECTED'`, CHANGED],
    [`"reason" = 'other'`, CHANGED],
    [`"errorCode" = 'other'`, CHANGED],
    [`"guestId" = 'other'`, CHANGED],
    [`"actor" = 'other'`, CHANGED],
    [`"actorRole" = 'other'`, CHANGED],
    [`"personal" = 'other'`, CHANGED],
    [`"sourceAddress" = 'other'`, CHANGED],
    [`"durationMs" = 5.000001`, CHANGED],
    [`"fraudScore" = NULL`, CHANGED],
    [`"attempts" = 4`, CHANGED],
    [`"capacityCheck" = 'SKIPPED'`, CHANGED],
    [`"crmSynced" = 1`, CHANGED],
    [`"sessionId" = 'other'`, impossible('sessionId')],
    [`"version" = 1`, impossible('actorRole')],
    [`"version" = 3`, impossible('version')],
    [`"timestamp" = 'yesterday'`, impossible('timestamp')],
    [`"timestamp" = 8640000000000001`, impossible('timestamp')],
    [`"attempts" = 1 << 60`, impossible('attempts')],
    [`"attempts" = 'three'`, impossible('attempts')],
    [`"crmSynced" = 2`, impossible('crmSynced')],
    [`"durationMs" = 9e999`, impossible('durationMs')],
    [`"durationMs" = 'long'`, impossible('durationMs')],
    [`"id" = CAST("id" AS BLOB)`, impossible('id')],
    [`"hash" = "hash" || char(0)`, impossible('hash')],
    [`"actor" = "actor" || char(0) || 'x'`, impossible('actor')],
    [`"reason" = CAST(x'ff' AS TEXT)`, impossible('reason')],
  ])('finds an entry that was changed: %s', async (change, reason) => {
    const { books, audits } = await fiveEntries();
    tamper(books, `UPDATE "AuditEntry" SET ${change} WHERE "sequence" = 3`);
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 2, firstBrokenSequence: 3, reason });
  });

  it('finds an entry that was changed together with its hash', async () => {
    const { books, audits } = await fiveEntries();
    const [entry] = new TrailRows(books.outside).after(2, 1).rows;
    const forged = hashEntry(entry!.previousHash, { ...entry!, actor: 'forger' });
    tamper(books, `UPDATE "AuditEntry" SET "actor" = 'forger', "hash" = '${forged}' WHERE "sequence" = 3`);
    expect(await audits.verify()).toMatchObject({
      ok: false,
      checked: 3,
      firstBrokenSequence: 4,
      reason: 'the entry is not chained to the one before it',
    });
  });

  it.each([1, 3])('finds that entry %d was deleted', async (sequence) => {
    const { books, audits } = await fiveEntries();
    tamper(books, `DELETE FROM "AuditEntry" WHERE "sequence" = ${sequence}`);
    expect(await audits.verify()).toMatchObject({
      ok: false,
      checked: sequence - 1,
      firstBrokenSequence: sequence,
      reason: 'the entry is missing',
    });
  });

  it('finds that an entry was deleted and the gap closed', async () => {
    const { books, audits } = await fiveEntries();
    tamper(
      books,
      `DELETE FROM "AuditEntry" WHERE "sequence" = 3;
       UPDATE "AuditEntry" SET "sequence" = 3 WHERE "sequence" = 4; UPDATE "AuditEntry" SET "sequence" = 4 WHERE "sequence" = 5`,
    );
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 2, firstBrokenSequence: 3 });
  });

  it('finds that two entries were swapped', async () => {
    const { books, audits } = await fiveEntries();
    tamper(
      books,
      `UPDATE "AuditEntry" SET "sequence" = 99 WHERE "sequence" = 2;
       UPDATE "AuditEntry" SET "sequence" = 2 WHERE "sequence" = 3; UPDATE "AuditEntry" SET "sequence" = 3 WHERE "sequence" = 99`,
    );
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 1, firstBrokenSequence: 2 });
  });

  it('finds that an entry was put in between', async () => {
    const { books, audits } = await fiveEntries();
    const copied = `"timestamp", "requestId", "kind", "status", "actor", "previousHash"`;
    tamper(
      books,
      `UPDATE "AuditEntry" SET "sequence" = "sequence" + 100 WHERE "sequence" >= 3;
       UPDATE "AuditEntry" SET "sequence" = "sequence" - 99 WHERE "sequence" >= 100;
       INSERT INTO "AuditEntry" ("sequence", "id", "hash", ${copied})
         SELECT 3, 'new', 'new', ${copied} FROM "AuditEntry" WHERE "sequence" = 4`,
    );
    expect(await audits.verify()).toMatchObject({ ok: false, checked: 2, firstBrokenSequence: 3 });
  });

  it('follows only the range that is asked for, both ends included', async () => {
    const { books, audits } = await fiveEntries();
    const hashAt = (sequence: number) =>
      books.outside.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ?', sequence)?.hash;
    expect(await audits.verify(2, 4)).toMatchObject({ ok: true, checked: 3, head: hashAt(4) });
    expect(await audits.verify(5, 5)).toMatchObject({ ok: true, checked: 1, head: hashAt(5) });
    expect(await audits.verify(4)).toMatchObject({ ok: true, checked: 2, head: hashAt(5) });
    tamper(books, `UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 2`);
    expect(await audits.verify(3)).toMatchObject({ ok: true, checked: 3 });
    expect(await audits.verify(1, 1)).toMatchObject({ ok: true, checked: 1 });
    expect(await audits.verify(2, 2)).toMatchObject({ ok: false, firstBrokenSequence: 2, checked: 0, head: null });
  });

  it('cannot begin where the entry before is missing', async () => {
    const { books, audits } = await fiveEntries();
    tamper(books, `DELETE FROM "AuditEntry" WHERE "sequence" = 2`);
    expect(await audits.verify(3)).toMatchObject({ ok: false, firstBrokenSequence: 2, checked: 0 });
  });
});

it('the trail still verifies when the key of a guest is destroyed, and tells no more of the guest', async () => {
  const { books, audits } = await fiveEntries();
  const guestId = expect.stringMatching(/^[0-9a-f-]{36}$/);
  expect(await audits.after(0, 1)).toMatchObject([{ guestId, sessionId: expect.any(String), erased: false }]);
  books.db.exec('UPDATE "GuestKey" SET "guestHmac" = NULL, "wrapped" = NULL');
  expect(await audits.after(0, 1)).toMatchObject([{ guestId: null, crmId: null, sessionId: null, erased: true }]);
  expect(await audits.verify()).toMatchObject({ ok: true, checked: 5 });
});

it('the trail refuses UPDATE and DELETE on the writer’s own connection', async () => {
  const { books } = await fiveEntries();
  expect(() => books.db.exec(`UPDATE "AuditEntry" SET "actor" = 'x'`)).toThrow('AuditEntry is append-only');
  expect(() => books.db.exec('DELETE FROM "AuditEntry"')).toThrow('AuditEntry is append-only');
});
