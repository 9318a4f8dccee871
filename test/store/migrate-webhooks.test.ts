import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { applyMigrations } from '../../src/store/migrate.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { DELIVERED, deliveriesIn, hearIn, tell } from './deliveries.js';
import { openBooks, TESTER } from './ledger.js';

const OURS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
const BEFORE = ['20261122150000_init', '20261122150001_append_only', '20261122185655_idempotency'];

/** A webhook as it stood in a version that told of openings alone, and named no place in the log. */
interface OldDelivery {
  readonly name: string;
  readonly status: string;
  readonly attempts: number;
  readonly nextAttemptAt: number;
  readonly leaseToken?: string;
  readonly deliveredAt?: number;
  readonly lastError?: string;
}
// Not in the order of their events, to which the rows know their way alone.
const OLD: readonly OldDelivery[] = [
  { name: 'waiting', status: 'PENDING', attempts: 3, nextAttemptAt: 5_000, lastError: 'status 503' },
  { name: 'dead', status: 'DEAD', attempts: 10, nextAttemptAt: 7_000, lastError: 'status 500' },
  { name: 'delivered', status: 'DELIVERED', attempts: 2, nextAttemptAt: 6_000, deliveredAt: 4_000 },
  { name: 'new', status: 'PENDING', attempts: 0, nextAttemptAt: 9_000, leaseToken: 'lease' },
];
const ORDER = ['delivered', 'waiting', 'new', 'dead'];

function oldDatabase(): string {
  const directory = mkdtempSync(join(tmpdir(), 'migrate-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const migrations = join(directory, 'migrations');
  for (const name of BEFORE) cpSync(join(OURS, name), join(migrations, name), { recursive: true });
  const path = join(directory, 'test.db');
  const db = new SqliteConnection(path);
  applyMigrations(db, migrations);
  ORDER.forEach((name, i) => {
    for (const [type, sequence] of [
      ['SESSION_REQUESTED', 2 * i + 1],
      ['SESSION_INITIATED', 2 * i + 2],
    ] as const) {
      db.run(
        `INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId") VALUES (?, ?, ?, ?, ?)`,
        sequence,
        `${type} ${name}`,
        type,
        sequence,
        `request ${name}`,
      );
    }
  });
  for (const { name, status, attempts, nextAttemptAt, leaseToken, deliveredAt, lastError } of OLD) {
    const id = `SESSION_INITIATED ${name}`;
    db.run(
      `INSERT INTO "WebhookDelivery" ("id", "requestId", "eventType", "body", "status", "attempts", "createdAt", "nextAttemptAt",
         "leaseToken", "deliveredAt", "lastError") VALUES (?, ?, 'SESSION_INITIATED', ?, ?, ?, 1000, ?, ?, ?, ?)`,
      id,
      `request ${name}`,
      `{"body of":"${name}"}`,
      status,
      attempts,
      nextAttemptAt,
      leaseToken,
      deliveredAt,
      lastError,
    );
    for (let number = 1; number <= attempts; number++) {
      db.run(
        `INSERT INTO "WebhookAttempt" ("deliveryId", "number", "startedAt", "durationMs", "statusCode") VALUES (?, ?, ?, 1.5, 503)`,
        id,
        number,
        number,
      );
    }
  }
  db.close();
  return path;
}

it('webhooks of a version that sent one for each session come through with their place in the log, their tries and their turn', async () => {
  const path = oldDatabase();
  const books = await openBooks({ path });

  const rows = deliveriesIn(books);
  expect(rows.map(({ sequence, id }) => [sequence, id])).toEqual(
    ORDER.map((name, i) => [2 * i + 2, `SESSION_INITIATED ${name}`]),
  );
  for (const { name, status, attempts, nextAttemptAt, leaseToken = null, deliveredAt, lastError = null } of OLD) {
    const isPending = status === 'PENDING';
    expect(rows.find(({ requestId }) => requestId === `request ${name}`)).toMatchObject({
      eventType: 'SESSION_INITIATED',
      body: `{"body of":"${name}"}`,
      status,
      attempts,
      failures: attempts,
      createdAt: 1_000,
      nextAttemptAt: isPending ? nextAttemptAt : null,
      concludedAt: isPending ? null : (deliveredAt ?? nextAttemptAt),
      leaseToken,
      lastError,
    });
    expect(books.count('WebhookAttempt', `"deliveryId" = 'SESSION_INITIATED ${name}'`)).toBe(attempts);
  }
  expect(books.outside.all('PRAGMA foreign_key_check')).toEqual([]);
  expect(books.outside.get('SELECT * FROM "SessionEventLog"')).toEqual({ id: 1, firstSequence: 1 });

  // And the outbox goes on with them: what waits is tried, what comes later for the same session waits behind it.
  const heard = hearIn(books);
  const later = await tell(books, 'request waiting', 'SESSION_INITIATED');
  expect([later.sequence, heard]).toEqual([9, []]);
  expect(await books.outbox.releaseAbandoned()).toBe(1);
  const due = await books.outbox.claimDue(10);
  expect(due.map(({ requestId, attempts }) => [requestId, attempts])).toEqual([
    ['request waiting', 3],
    ['request new', 0],
  ]);
  for (const delivery of due) expect(await books.outbox.record(delivery, DELIVERED)).not.toBeNull();
  expect(heard.map(({ id }) => id)).toEqual([later.id]);
  expect(await books.outbox.replay('SESSION_INITIATED dead', TESTER)).toBe(true);
  expect((await books.outbox.claimDue(10)).map(({ attempts }) => attempts)).toEqual([10]);
});
