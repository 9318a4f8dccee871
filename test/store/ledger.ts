import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { PrismaClient } from '../../src/generated/prisma/client.js';
import { Attempt } from '../../src/guest-session/attempt.js';
import type { Caller, Outcome, ValidRequest } from '../../src/guest-session/ports.js';
import type { WebhookEventType } from '../../src/guest-session/session-event.js';
import { validateRequest } from '../../src/guest-session/validate-request.js';
import { SqliteAttemptLedger } from '../../src/store/attempt-ledger.js';
import type { AuditContent } from '../../src/store/audit-chain.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import type { NewSessionEvent } from '../../src/store/ledger-transaction.js';
import { LedgerWriter } from '../../src/store/ledger-writer.js';
import type { MasterKeys } from '../../src/store/master-cipher.js';
import { MinuteCounter } from '../../src/store/minute-counter.js';
import { openDatabase } from '../../src/store/open-database.js';
import { Outbox } from '../../src/store/outbox.js';
import { SqliteSessionLedger } from '../../src/store/session-ledger.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { TokenCipher } from '../../src/store/token-cipher.js';
import { MASTER_KEYS, OpenedConnection } from '../support/opened-connection.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

/** A ledger on a file of its own, and a second connection that sees what others see. */
export interface Books extends AsyncDisposable {
  readonly path: string;
  readonly db: SqliteConnection;
  /** The same. */
  readonly reader: SqliteConnection;
  readonly vault: GuestVault;
  readonly prisma: PrismaClient;
  readonly writer: LedgerWriter;
  /** Reads, on a connection of its own, what is committed; whole rows with what is sealed in them opened. */
  readonly outside: OpenedConnection;
  readonly outbox: Outbox;
  readonly attempts: SqliteAttemptLedger;
  readonly sessions: SqliteSessionLedger;
  /** Rows of a table as others see them. */
  count(table: string, where?: string): number;
}

/** Who does what is done in tests. */
export const actor = (name: string): Caller => ({ name, role: 'BACKEND', sourceAddress: null });

export const TESTER = actor('tester');

export const CAP = 5;
/** Five days. */
const DISABLE_AFTER_MS = 432_000_000;
/** However seldom something is tried, it counts. */
export const RULES = { disableAfterMs: DISABLE_AFTER_MS, longestWaitMs: 10 * DISABLE_AFTER_MS };

/** Opens books that are closed when the test is over. @param path a file to go on with */
export async function openBooks({
  path = join(temporaryDirectory(), 'test.db'),
  maxConcurrentSessions = CAP,
  webhookEvents = ['SESSION_INITIATED'] as readonly WebhookEventType[],
  now = () => new Date(),
  masterKeys = MASTER_KEYS as MasterKeys,
} = {}): Promise<Books> {
  const database = await openDatabase(`file:${path}`, () => masterKeys);
  const { prisma } = database;
  const db = new SqliteConnection(database.path);
  const vault = GuestVault.open(db, masterKeys);
  const writer = new LedgerWriter(db, vault, new MinuteCounter(), webhookEvents);
  const outside = new OpenedConnection(path);
  const outbox = new Outbox(writer, db, { url: 'http://127.0.0.1/crm', rules: RULES }, now);
  await outbox.meetEndpoint();
  const [encryptionKey, ...oldKeys] = masterKeys;
  const cipher = new TokenCipher(encryptionKey, oldKeys);
  const attempts = new SqliteAttemptLedger(writer, { reader: db, vault }, cipher, {
    tellsCrm: webhookEvents.includes('SESSION_INITIATED'),
    maxConcurrentSessions,
    fingerprintKey: Buffer.alloc(32, 7),
  });
  const sessions = new SqliteSessionLedger(writer, db, new SessionReader({ prisma, vault }), cipher);
  let closing: Promise<void> | undefined;
  const close = async () => {
    await writer[Symbol.asyncDispose]();
    outside.close();
    db.close();
    await database.close();
  };
  const books: Books = {
    path,
    db,
    reader: db,
    prisma,
    vault,
    writer,
    outside,
    outbox,
    attempts,
    sessions,
    count: (table, where = '1') =>
      outside.get<{ n: number }>(`SELECT count(*) AS n FROM "${table}" WHERE ${where}`)?.n ?? Number.NaN,
    [Symbol.asyncDispose]: () => {
      closing ??= close();
      return closing;
    },
  };
  onTestFinished(() => books[Symbol.asyncDispose]());
  return books;
}

/** An attempt that has passed validation and scoring. */
export function attemptFor(guestId: string = randomUUID(), input: object = {}) {
  const attempt = new Attempt(TESTER, 15_000);
  const request: ValidRequest = validateRequest(
    { guestId, deviceFingerprint: 'a device', crmId: 'crm-1', ...input },
    { defaultQueueId: 'queue' },
  );
  attempt.request = request;
  attempt.risk = { score: 12, reasons: [], provider: 'test', degraded: false };
  return { attempt, request };
}

export const success = (expiresAt = new Date(Date.now() + 3_600_000)): Outcome => ({
  status: 'SUCCESS',
  created: { sessionId: `cxs-${randomUUID()}`, clientToken: 'token', expiresAt },
});

/** Opens a session in the books, from the reservation to the close. */
export async function openSession(books: Books, guestId?: string, outcome: Outcome = success()) {
  const { attempt, request } = attemptFor(guestId);
  await books.attempts.reserve(attempt, request);
  attempt.reserved = true;
  attempt.posts = 1;
  return { attempt, request, closed: await books.attempts.close(attempt, outcome) };
}

/** An event with nothing in particular to tell. */
export const someEvent = (content: Partial<NewSessionEvent> = {}): NewSessionEvent => ({
  id: randomUUID(),
  type: 'SESSION_REQUESTED',
  occurredAt: new Date(),
  requestId: randomUUID(),
  guestId: null,
  crmId: null,
  sessionId: null,
  channel: null,
  status: null,
  reason: null,
  expiresAt: null,
  ...content,
});

/** An audit entry with nothing in particular to tell. */
export const someAudit = (content: Partial<AuditContent> = {}): AuditContent => ({
  requestId: randomUUID(),
  kind: 'SESSION_INITIATION',
  status: 'SUCCESS',
  reason: null,
  errorCode: null,
  guestId: null,
  crmId: null,
  sessionId: null,
  actor: TESTER,
  durationMs: null,
  fraudScore: null,
  attempts: null,
  capacityCheck: null,
  crmSynced: null,
  ...content,
});

/**
 * How many commits the write-ahead log of a database holds: frames that say how long the file is after them
 * (https://www.sqlite.org/fileformat2.html#walformat).
 */
export function commitsInWal(path: string): number {
  const wal = readFileSync(`${path}-wal`);
  if (wal.length === 0) return 0;
  const frameLength = 24 + wal.readUInt32BE(8);
  const salt = wal.subarray(16, 24);
  let commits = 0;
  for (let at = 32; at + frameLength <= wal.length; at += frameLength) {
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break; // left by an earlier round through the file
    if (wal.readUInt32BE(at + 4) > 0) commits += 1;
  }
  return commits;
}
