import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MIGRATIONS } from '../../src/paths.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { DeliveryReader } from '../../src/store/delivery-reader.js';
import { EventReader } from '../../src/store/event-reader.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { keyringRow, keyWrapOf, makeKeyring } from '../../src/store/keyring.js';
import { applyMigrations } from '../../src/store/migrate.js';
import { openDatabase } from '../../src/store/open-database.js';
import { sealPlainRows } from '../../src/store/seal-plain-rows.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { insertDelivery, keyOf, type OldDatabase, oldDatabase } from './old-database.js';

/** Starts on the file, as the server does. */
async function open(path: string) {
  const database = await openDatabase(`file:${path}`, () => MASTER_KEYS);
  onTestFinished(() => database.close());
  return database;
}

/** What can be found in the file, or in what lies beside it. */
function foundIn({ path, plain }: OldDatabase): string[] {
  const files = [path, `${path}-wal`, `${path}-journal`].filter((file) => existsSync(file));
  const bytes = Buffer.concat(files.map((file) => readFileSync(file)));
  return plain.filter((text) => bytes.includes(text));
}

/** All that is in the tables. */
function contentOf(path: string): unknown {
  const db = new SqliteConnection(path, { readOnly: true });
  try {
    const tables = ['GuestSession', 'SessionEvent', 'WebhookDelivery', 'IdempotencyKey', 'GuestKey', 'Keyring'];
    return tables.map((table) => db.all(`SELECT * FROM "${table}" ORDER BY 1, 2`));
  } finally {
    db.close();
  }
}

describe('a database from before personal data was sealed', () => {
  it('reads after the first start as it did before, and is found by the same filters', async () => {
    const old = oldDatabase(20);
    const database = await open(old.path);
    const [sessions, events, deliveries] = [
      new SessionReader(database),
      new EventReader(database),
      new DeliveryReader(database),
    ];
    const told = await events.eventsAfter(null, {}, 100);
    expect(told.map(({ sequence }) => sequence)).toEqual(old.sessions.map((_, n) => 301 + n));

    for (const [n, { id, guestId, crmId, sessionId, reason, eventId }] of old.sessions.entries()) {
      const person = { guestId, crmId, sessionId };
      const session = { id, ...person, status: 'ACTIVE', channel: 'WEBCHAT', callerName: 'portal', erased: false };
      expect(await sessions.byId(id)).toMatchObject(session);
      expect(await sessions.bySessionId(sessionId)).toMatchObject({ id });
      expect((await sessions.page({ guestId }, 10, null)).rows).toMatchObject([{ id }]);
      expect((await sessions.page({ crmId }, 10, null)).rows).toMatchObject([{ id }]);
      const event = { id: eventId, type: 'SESSION_INITIATED', requestId: id, ...person, reason, status: 'ACTIVE' };
      expect(told[n]).toMatchObject({ ...event, occurredAt: new Date(1000), expiresAt: new Date(3000) });
      expect(await events.eventsAfter(null, { guestId }, 10)).toEqual([told[n]]);
      expect(deliveries.page({ sessionId }, 10, null).rows).toMatchObject([{ id: eventId, status: 'PENDING' }]);
      const payload = { ...person, tokenExpiry: null, syncedAt: null };
      expect(JSON.parse(deliveries.byId(eventId)?.body ?? '')).toEqual({ eventId, payload });
      const key = database.vault.blind('idempotency key', keyOf(id));
      const keys =
        'SELECT s."id" FROM "IdempotencyKey" k JOIN "GuestSession" s ON s."idempotencyKey" = k."key" WHERE k."key" = ?';
      expect(database.reader.all(keys, key)).toEqual([{ id }]);
    }
  });

  it('has nothing of a person in its bytes any more, freed pages and log included', async () => {
    const old = oldDatabase(50);
    const before = new Set(foundIn(old));
    expect(
      old.sessions.every(({ guestId, reason, id }) => [guestId, reason, keyOf(id)].every((text) => before.has(text))),
    ).toBe(true);
    expect(old.goneGuests.filter((guestId) => before.has(guestId)).length).toBeGreaterThan(20);
    const database = await open(old.path);
    expect(foundIn(old)).toEqual([]);
    await database.close();

    expect(foundIn(old)).toEqual([]);
  });

  it('is as it was after a second start, and after a third', async () => {
    const { path } = oldDatabase(5);
    await (await open(path)).close();
    const [content, bytes] = [contentOf(path), readFileSync(path)];
    for (let start = 0; start < 2; start++) await (await open(path)).close();

    expect(contentOf(path)).toEqual(content);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  it('is swept at the next start where the process died between the sealing and the sweeping', async () => {
    const old = oldDatabase(5);
    const db = new SqliteConnection(old.path);
    applyMigrations(db, MIGRATIONS);
    makeKeyring(db, keyWrapOf(MASTER_KEYS));
    const exec = db.exec.bind(db);
    db.exec = (script) => {
      if (script === 'VACUUM') throw new Error('died');
      exec(script);
    };
    expect(() => sealPlainRows(db, GuestVault.open(db, MASTER_KEYS))).toThrow('died');
    expect(keyringRow(db)?.state).toBe('UNSWEPT');
    db.close();
    // The rows are sealed by now, and copies of others lie about.
    expect(foundIn(old).filter((text) => old.goneGuests.includes(text)).length).toBeGreaterThan(20);

    const database = await open(old.path);
    expect(keyringRow(database.reader)?.state).toBe('SEALED');
    expect(foundIn(old)).toEqual([]);
    expect((await new SessionReader(database).page({}, 10, null)).rows).toHaveLength(5);
  });

  it('is sealed wholly or not at all: a start that fails in the middle is made up for by the next', async () => {
    const old = oldDatabase(5);
    const db = new SqliteConnection(old.path);
    applyMigrations(db, MIGRATIONS);
    makeKeyring(db, keyWrapOf(MASTER_KEYS));
    db.exec(
      `CREATE TEMP TRIGGER "fails" BEFORE UPDATE ON "WebhookDelivery" BEGIN SELECT RAISE(ABORT, 'disk full'); END`,
    );
    expect(() => sealPlainRows(db, GuestVault.open(db, MASTER_KEYS))).toThrow('disk full');
    expect(keyringRow(db)?.state).toBe('PLAIN');
    expect(db.all('SELECT "guestId" FROM "GuestSession" ORDER BY rowid')).toEqual(
      old.sessions.map(({ guestId }) => ({ guestId })),
    );
    expect(db.get('SELECT count(*) AS n FROM "GuestKey"')).toEqual({ n: 0 });
    db.close();

    await (await open(old.path)).close();
    expect(foundIn(old)).toEqual([]);
  });

  it('keeps webhooks that tell of no guest, and those that it cannot read, as they are', async () => {
    const bodies = ['{"payload":{"guestId":null}}', '{"body of":"another"}', '{"payload":null}', 'null', 'no JSON', ''];
    const { path } = oldDatabase(2, (db) => {
      for (const [n, body] of bodies.entries()) {
        insertDelivery(db, { id: `strange ${n}`, requestId: `request ${n}`, sequence: 400 + n, body });
      }
    });
    const deliveries = new DeliveryReader(await open(path));

    expect(bodies.map((_, n) => deliveries.byId(`strange ${n}`)?.body)).toEqual(bodies);
  });

  it('keeps its audit entries, which are chained by what they say', async () => {
    const insert = `INSERT INTO "AuditEntry" ("sequence", "id", "timestamp", "requestId", "kind", "status", "guestId", "sessionId", "actor",
      "previousHash", "hash") VALUES (1, 'a', 1000, 'r', 'SESSION_INITIATION', 'SUCCESS', 'guest-1', 'cxs-1', 'portal', 'x', 'y')`;
    const { path } = oldDatabase(2, (db) => db.run(insert));
    const audits = new AuditReader(await open(path));

    expect((await audits.page({ guestId: 'guest-1' }, 10, null)).rows).toMatchObject([
      { sequence: 1, guestId: 'guest-1', sessionId: 'cxs-1', actor: 'portal', erased: false, hash: 'y' },
    ]);
  });

  it('takes tables that are larger than one batch', async () => {
    const old = oldDatabase(1_200);
    const database = await open(old.path);

    expect(database.reader.get('SELECT count(*) AS n FROM "GuestKey"')).toEqual({ n: 1_200 });
    for (const table of ['GuestSession', 'SessionEvent', 'WebhookDelivery']) {
      expect(database.reader.get(`SELECT count(*) AS n FROM "${table}" WHERE "guestId" NOT GLOB 'gk_*'`)).toEqual({
        n: 0,
      });
    }
    expect(await new EventReader(database).eventsAfter(null, {}, 2_000)).toHaveLength(1_200);
  });
});

describe('the event log', () => {
  const PERSONAL = '"personal" = NULL';

  async function sealedLog() {
    const { path, sessions } = oldDatabase(2);
    const database = await open(path);
    const db = new SqliteConnection(database.path);
    onTestFinished(() => db.close());
    return { db, sessions };
  }

  it('refuses every UPDATE of an event that is sealed, but to forget whom it is about', async () => {
    const { db } = await sealedLog();
    const columns = db.all<{ name: string }>('PRAGMA table_info("SessionEvent")').map(({ name }) => name);
    expect(columns).toHaveLength(13);
    const before = db.all('SELECT * FROM "SessionEvent"');
    for (const name of columns) {
      // By itself, and in the company of what is allowed.
      for (const value of ["'other'", '12345', 'NULL', `"${name}" || 'x'`]) {
        const isNothing = `"${name}" IS ${value}`;
        const isErasure = name === 'personal' && value === 'NULL';
        if (isErasure || db.get(`SELECT 1 FROM "SessionEvent" WHERE ${isNothing}`)) continue;
        for (const change of name === 'personal' ? [''] : ['', `, ${PERSONAL}`]) {
          const update = `UPDATE "SessionEvent" SET "${name}" = ${value}${change} WHERE "sequence" = 301`;
          expect(() => db.run(update), update).toThrow(/SessionEvent is append-only|datatype mismatch/);
        }
      }
    }
    expect(db.all('SELECT * FROM "SessionEvent"')).toEqual(before);

    expect(db.run(`UPDATE "SessionEvent" SET ${PERSONAL} WHERE "sequence" = 301`)).toBe(1);
    const refused = [`"personal" = 'back'`, `"guestId" = 'gk_2'`, `"guestId" = 'guest-1', "personal" = 'back'`];
    for (const change of refused) {
      expect(() => db.run(`UPDATE "SessionEvent" SET ${change} WHERE "sequence" = 301`)).toThrow(/append-only/);
    }
  });

  it('refuses every UPDATE of an event without a guest', async () => {
    const { db } = await sealedLog();
    db.run(
      `INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId") VALUES (400, 'e', 'SESSION_REJECTED', 1, 'r')`,
    );
    for (const change of [`"guestId" = 'gk_1'`, `"personal" = 'x'`, PERSONAL, `"reason" = 'x'`, `"type" = 'x'`]) {
      expect(() => db.run(`UPDATE "SessionEvent" SET ${change} WHERE "sequence" = 400`)).toThrow(/append-only/);
    }
  });
});
