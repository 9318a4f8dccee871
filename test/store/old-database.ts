import { randomUUID } from 'node:crypto';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mintRequestId } from '../../src/guest-session/request-id.js';
import { applyMigrations } from '../../src/store/migrate.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const OURS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

/** What the books of an earlier version held of one session. */
interface OldSession {
  readonly id: string;
  readonly guestId: string;
  readonly crmId: string;
  readonly sessionId: string;
  readonly reason: string;
  readonly eventId: string;
}

/** A database from before personal data was sealed. */
export interface OldDatabase {
  readonly path: string;
  readonly sessions: readonly OldSession[];
  /** Whose rows were removed; copies lie in freed pages. */
  readonly goneGuests: readonly string[];
  /** All that must not be in the file any more once it is sealed. */
  readonly plain: readonly string[];
}

/** Makes one. @param more writes what a test needs beside the sessions, which are events 1 to `count` */
export function oldDatabase(count: number, more: (db: SqliteConnection) => void = () => {}): OldDatabase {
  const directory = temporaryDirectory();
  const migrations = join(directory, 'migrations');
  const names = readdirSync(OURS).filter((name) => /^\d/.test(name));
  const sealing = names.find((name) => name.endsWith('_guest_keys')) ?? '';
  for (const name of names.filter((name) => name < sealing)) {
    cpSync(join(OURS, name), join(migrations, name), { recursive: true });
  }
  const path = join(directory, 'test.db');
  const db = new SqliteConnection(path);
  applyMigrations(db, migrations);
  // As a file has it that was written by something that does not overwrite what it frees.
  db.exec('PRAGMA secure_delete = OFF');
  const gone = Array.from({ length: 300 }, () => oldSession());
  const sessions = Array.from({ length: count }, () => oldSession());
  db.begin();
  gone.forEach((session, n) => void insertEvent(db, session, n + 1));
  db.run('UPDATE "SessionEventLog" SET "firstSequence" = 301');
  db.run('DELETE FROM "SessionEvent"');
  sessions.forEach((session, n) => void insertAll(db, session, 301 + n));
  more(db);
  db.commit();
  db.close();
  const plain = sessions.flatMap(({ guestId, crmId, sessionId, reason }) => [guestId, crmId, sessionId, reason]);
  const goneGuests = gone.map(({ guestId }) => guestId);
  return { path, sessions, goneGuests, plain: [...plain, ...sessions.map(({ id }) => keyOf(id)), ...goneGuests] };
}

/** The idempotency key of a session. */
export const keyOf = (id: string): string => `plain-key-${id}`;

const oldSession = (): OldSession => ({
  id: mintRequestId().id,
  guestId: `guest-${randomUUID()}`,
  crmId: `crm-${randomUUID()}`,
  sessionId: `cxs-${randomUUID()}`,
  reason: `as ${randomUUID()} has told us`,
  eventId: randomUUID(),
});

function insertAll(db: SqliteConnection, session: OldSession, sequence: number): void {
  const { id, guestId, crmId, sessionId, eventId } = session;
  db.run(
    `INSERT INTO "GuestSession" ("id", "callerName", "guestId", "crmId", "channel", "priority", "queueId", "languagePreference",
       "fingerprintHmac", "status", "createdAt", "placeHeldUntil", "sessionId", "expiresAt", "idempotencyKey")
       VALUES (?, 'portal', ?, ?, 'WEBCHAT', 'NORMAL', 'queue', 'en', 'hmac', 'ACTIVE', 1000, 2000, ?, 3000, ?)`,
    id,
    guestId,
    crmId,
    sessionId,
    keyOf(id),
  );
  insertEvent(db, session, sequence);
  const payload = { sessionId, guestId, crmId, tokenExpiry: null, syncedAt: null };
  insertDelivery(db, { id: eventId, requestId: id, sequence, body: JSON.stringify({ eventId, payload }) });
  db.run(
    `INSERT INTO "IdempotencyKey" ("callerName", "key", "inputHmac", "state", "requestId", "leaseOwner", "leaseUntil", "expiresAt")
       VALUES ('portal', ?, 'keyid.hmac', 'SUCCEEDED', ?, 'owner', 1000, 9000000000000)`,
    keyOf(id),
    id,
  );
}

const insertEvent = (db: SqliteConnection, { id, eventId, ...event }: OldSession, sequence: number): number =>
  db.run(
    `INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId", "guestId", "crmId", "sessionId", "channel",
       "status", "reason", "expiresAt") VALUES (?, ?, 'SESSION_INITIATED', 1000, ?, ?, ?, ?, 'WEBCHAT', 'ACTIVE', ?, 3000)`,
    sequence,
    eventId,
    id,
    event.guestId,
    event.crmId,
    event.sessionId,
    event.reason,
  );

/** A webhook that waits. */
export const insertDelivery = (
  db: SqliteConnection,
  row: { readonly id: string; readonly requestId: string; readonly sequence: number; readonly body: string },
): number =>
  db.run(
    `INSERT INTO "WebhookDelivery" ("sequence", "id", "requestId", "eventType", "body", "createdAt", "nextAttemptAt")
       VALUES (?, ?, ?, 'SESSION_INITIATED', ?, 1000, 2000)`,
    row.sequence,
    row.id,
    row.requestId,
    row.body,
  );
