import { DatabaseSync } from '@photostructure/sqlite';
import { describe, expect, it } from 'vitest';
import { openBooks, someAudit, someEvent } from './ledger.js';

/** Books with two entries and two events, and a plain connection that asks SQLite for nothing. */
async function withPlainConnection() {
  const books = await openBooks();
  await books.writer.submit((transaction) => {
    for (let i = 0; i < 2; i++) {
      transaction.appendAudit(someAudit());
      transaction.appendEvent(someEvent());
    }
  });
  const { hash } = books.db.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = 1')!;
  const checkpoint = { sequence: 1, hash, timestamp: new Date(), keyId: 'k', signature: 's' };
  await books.writer.execute('recordCheckpoint', checkpoint);
  const plain = new DatabaseSync(books.path);
  return { books, plain };
}

describe('on a connection that is not ours, the database refuses', () => {
  it.each([
    ['UPDATE "AuditEntry" SET "actor" = \'x\'', 'AuditEntry is append-only'],
    ['DELETE FROM "AuditEntry"', 'AuditEntry is append-only'],
    [
      'INSERT OR REPLACE INTO "AuditEntry" SELECT * FROM "AuditEntry" WHERE "sequence" = 1',
      'AuditEntry is append-only',
    ],
    ['UPDATE "AuditCheckpoint" SET "hash" = \'x\'', 'AuditCheckpoint is append-only'],
    ['DELETE FROM "AuditCheckpoint"', 'AuditCheckpoint is append-only'],
    ['INSERT OR REPLACE INTO "AuditCheckpoint" SELECT * FROM "AuditCheckpoint"', 'AuditCheckpoint is append-only'],
    ['UPDATE "SessionEvent" SET "type" = \'x\'', 'SessionEvent is append-only'],
    ['DELETE FROM "SessionEvent"', 'SessionEvent is append-only'],
    ['INSERT OR REPLACE INTO "SessionEvent" SELECT * FROM "SessionEvent"', 'SessionEvent is append-only'],
    ['UPDATE "AuditTrail" SET "firstSequence" = 2', 'AuditTrail is moved by an archive alone'],
    ['UPDATE "AuditTrail" SET "firstSequence" = 0', 'AuditTrail is moved by an archive alone'],
    ['UPDATE "AuditTrail" SET "id" = 2', 'AuditTrail is moved by an archive alone'],
    ['INSERT INTO "AuditTrail" VALUES (0, 99)', 'AuditTrail has one row'],
    ['INSERT OR REPLACE INTO "AuditTrail" VALUES (1, 99)', 'AuditTrail has one row'],
    ['DELETE FROM "AuditTrail"', 'AuditTrail has one row'],
  ])('%s', async (sql, refusal) => {
    const { plain } = await withPlainConnection();
    try {
      expect(() => plain.exec(sql)).toThrow(refusal);
    } finally {
      plain.close();
    }
  });
});
