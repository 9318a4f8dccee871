import type { GuestVault } from './guest-vault.js';
import { type KeyringState, keyringRow } from './keyring.js';
import type { SealedRow } from './personal-reader.js';
import { sealBody } from './sealed-body.js';
import { sealEvent, sealSession } from './sealed-rows.js';
import type { SqliteConnection } from './sqlite-connection.js';

const BATCH_SIZE = 1_000;

/**
 * Seals what an earlier version has kept of persons in the clear, once. All of it is one transaction; then the file is written
 * anew, since copies may lie in its freed pages. A crash in between is made up for at the next start. Audit entries of
 * version 1 stay as they are: they are chained by what they say.
 */
export function sealPlainRows(db: SqliteConnection, vault: GuestVault): void {
  if (keyringRow(db)?.state === 'PLAIN') {
    db.begin();
    try {
      const sealed = sealSessions(db, vault) + sealEvents(db, vault) + sealDeliveries(db, vault);
      setState(db, sealed > 0 ? 'UNSWEPT' : 'SEALED');
      db.commit();
    } catch (error) {
      db.rollback();
      throw error;
    }
  }
  if (keyringRow(db)?.state !== 'UNSWEPT') return;
  db.exec('VACUUM');
  setState(db, 'SEALED');
}

const setState = (db: SqliteConnection, state: KeyringState): number =>
  db.run('UPDATE "Keyring" SET "state" = ? WHERE "id" = 1', state);

/**
 * Goes through a table by its rowid, which has to be asked for by name: where it is the primary key, SQLite calls it by the name of that.
 * @returns how many rows there were
 */
function forEach<Row extends { readonly rowid: number }>(
  db: SqliteConnection,
  select: string,
  visit: (row: Row) => void,
): number {
  let count = 0;
  for (let last = 0; ; ) {
    const rows = db.all<Row>(`${select} AND rowid > ? ORDER BY rowid LIMIT ?`, last, BATCH_SIZE);
    for (const row of rows) visit(row);
    count += rows.length;
    if (rows.length < BATCH_SIZE) return count;
    last = rows.at(-1)?.rowid ?? last;
  }
}

interface PlainSession {
  readonly rowid: number;
  readonly id: string;
  readonly guestId: string;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly idempotencyKey: string | null;
}

function sealSessions(db: SqliteConnection, vault: GuestVault): number {
  const select =
    'SELECT rowid AS "rowid", "id", "guestId", "crmId", "sessionId", "idempotencyKey" FROM "GuestSession" WHERE true';
  const sessions = forEach<PlainSession>(db, select, ({ id, guestId, crmId, sessionId, idempotencyKey }) => {
    const sealed = sealSession(vault, id, { guestId, crmId, sessionId });
    db.run(
      'UPDATE "GuestSession" SET "guestId" = ?, "crmId" = ?, "sessionId" = ?, "personal" = ?, "idempotencyKey" = ? WHERE "id" = ?',
      sealed.guestId,
      sealed.crmId,
      sealed.sessionId,
      sealed.personal,
      vault.blindOrNull('idempotency key', idempotencyKey),
      id,
    );
  });
  const keys = 'SELECT rowid AS "rowid", "key" FROM "IdempotencyKey" WHERE true';
  forEach<{ readonly rowid: number; readonly key: string }>(db, keys, ({ rowid, key }) => {
    db.run('UPDATE "IdempotencyKey" SET "key" = ? WHERE rowid = ?', vault.blind('idempotency key', key), rowid);
  });
  return sessions;
}

interface PlainEvent extends SealedRow {
  readonly rowid: number;
  readonly id: string;
  readonly crmId: string | null;
  readonly sessionId: string | null;
  readonly reason: string | null;
}

function sealEvents(db: SqliteConnection, vault: GuestVault): number {
  const select = `SELECT rowid AS "rowid", "id", "guestId", "crmId", "sessionId", "reason", "personal" FROM "SessionEvent" WHERE "guestId" IS NOT NULL`;
  return forEach<PlainEvent>(db, select, (event) => {
    const { guestId, personal } = sealEvent(vault, event);
    db.run(
      `UPDATE "SessionEvent" SET "guestId" = ?, "personal" = ?, "crmId" = NULL, "sessionId" = NULL, "reason" = NULL WHERE "sequence" = ?`,
      guestId,
      personal,
      event.rowid,
    );
  });
}

function sealDeliveries(db: SqliteConnection, vault: GuestVault): number {
  const select = 'SELECT rowid AS "rowid", "id", "body" FROM "WebhookDelivery" WHERE true';
  return forEach<{ readonly rowid: number; readonly id: string; readonly body: string }>(db, select, (delivery) => {
    const { guestId, body } = sealBody(vault, delivery, guestIn(delivery.body));
    db.run(
      'UPDATE "WebhookDelivery" SET "guestId" = ?, "body" = ? WHERE "sequence" = ?',
      guestId,
      body,
      delivery.rowid,
    );
  });
}

/** Whom a webhook tells of. One that cannot be read, which is none of ours, is kept as it is. */
function guestIn(body: string): string | null {
  try {
    const content = JSON.parse(body) as { payload?: { guestId?: unknown } | null } | null;
    const guestId = content?.payload?.guestId;
    return typeof guestId === 'string' ? guestId : null;
  } catch {
    return null;
  }
}
