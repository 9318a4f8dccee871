import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StartupError } from '../../src/errors.js';
import type { ValidRequest } from '../../src/guest-session/ports.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { DeliveryReader } from '../../src/store/delivery-reader.js';
import { deriveKey } from '../../src/store/encryption-key.js';
import { EventReader } from '../../src/store/event-reader.js';
import { SqliteIntentLedger } from '../../src/store/intent-ledger.js';
import type { MasterKeys } from '../../src/store/master-cipher.js';
import { openDatabase } from '../../src/store/open-database.js';
import { type Rotation, rotateKeys } from '../../src/store/rotate-keys.js';
import { reportRotation } from '../../src/store/rotation-report.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { TokenCipher } from '../../src/store/token-cipher.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { attemptFor, type Books, openBooks, openSession, success } from './ledger.js';

const [OLDEST, OLD, NEW] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [Buffer, Buffer, Buffer];
const HOUR_MS = 3_600_000;

const fileOfItsOwn = () => join(temporaryDirectory(), 'test.db');

/** As the command does: on a connection of its own. */
async function rotate(path: string, masterKeys: MasterKeys): Promise<Rotation> {
  const db = new SqliteConnection(path);
  try {
    return await rotateKeys(db, masterKeys);
  } finally {
    db.close();
  }
}

/** Books under the old key that hold the sessions of so many guests. */
async function writtenUnder(masterKeys: MasterKeys, guests: number) {
  const books = await openBooks({ path: fileOfItsOwn(), masterKeys });
  const guestIds = Array.from({ length: guests }, () => randomUUID());
  const opened = await Promise.all(guestIds.map((guestId) => openSession(books, guestId)));
  return { books, path: books.path, guestIds, ids: opened.map(({ attempt }) => attempt.requestId) };
}

/** Key ids that the guests' keys are wrapped under. */
const wrappingKeys = (db: SqliteConnection) =>
  db
    .all<{ keyId: string | null }>('SELECT DISTINCT substr("wrapped", 1, 8) AS "keyId" FROM "GuestKey"')
    .map(({ keyId }) => keyId);

function intentsOf(books: Books, masterKeys: MasterKeys): SqliteIntentLedger {
  const [current, ...older] = masterKeys;
  return new SqliteIntentLedger(books.writer, new SessionReader(books), new TokenCipher(current, older), {
    instanceId: randomUUID(),
    isAlone: true,
    blindKey: (key) => books.vault.blind('idempotency key', key),
    ttlMs: HOUR_MS,
    unwritten: () => [],
    inputKeys: masterKeys.map((key) => deriveKey(key, 'idempotency inputs')) as [Buffer, ...Buffer[]],
  });
}

/** A session that was opened with an idempotency key, as the spine does it. */
async function openWithKey(books: Books, masterKeys: MasterKeys, key: string): Promise<ValidRequest> {
  const { attempt, request } = attemptFor(randomUUID(), { idempotencyKey: key });
  expect(await intentsOf(books, masterKeys).recognise(attempt, request)).toEqual({ is: 'NEW' });
  await books.attempts.reserve(attempt, request);
  Object.assign(attempt, { holdsKey: true, reserved: true, posts: 1 });
  await books.attempts.close(attempt, success());
  return request;
}

/** The same request again. */
function tryAgain(books: Books, masterKeys: MasterKeys, request: ValidRequest) {
  const { attempt } = attemptFor(request.guestId);
  return intentsOf(books, masterKeys).recognise(attempt, request);
}

describe('a rotation of keys', () => {
  it('leaves a database that opens with the new key alone, and in which everything can be read and found', async () => {
    const { books, path, guestIds, ids } = await writtenUnder([OLD], 30);
    await books[Symbol.asyncDispose]();
    const rotation = await rotate(path, [NEW, OLD]);
    expect(rotation).toMatchObject({ guestKeys: { changed: 30, all: 30 }, isIndexKeyChanged: true, guestKeysLeft: [] });

    const database = await openDatabase(`file:${path}`, () => [NEW]);
    onTestFinished(() => database.close());
    const sessions = await new SessionReader(database).byIds(ids);
    expect(sessions.map(({ guestId }) => guestId).sort()).toEqual([...guestIds].sort());
    const events = await new EventReader(database).eventsAfter(null, {}, 100);
    expect(new Set(events.map(({ guestId }) => guestId))).toEqual(new Set(guestIds));
    const audits = await new AuditReader(database).page({ guestId: guestIds[7] }, 10, null);
    expect(audits.rows.map(({ guestId }) => guestId)).toEqual([guestIds[7]]);
    expect(await new AuditReader(database).verify()).toMatchObject({ ok: true, checked: 30 });
    const deliveries = new DeliveryReader(database).page({}, 100, null).rows;
    expect(deliveries.map(({ body }) => JSON.parse(body).payload.guestId).sort()).toEqual([...guestIds].sort());
    expect((await new SessionReader(database).page({ guestId: guestIds[3] }, 10, null)).rows).toHaveLength(1);
  });

  it('changes nothing where all is under the key already, and says so', async () => {
    const { books, path } = await writtenUnder([OLD], 3);
    await books[Symbol.asyncDispose]();
    await rotate(path, [NEW, OLD]);
    const before = readFileSync(path);
    const again = await rotate(path, [NEW, OLD]);

    expect(readFileSync(path).equals(before)).toBe(true);
    expect(reportRotation(again, true)).toEqual({
      lines: [`nothing to do: under ${again.keyId} are 3 keys of 3`, 'ENCRYPTION_KEYS_OLD can be removed now'],
      problems: [],
    });
  });

  it('leaves nothing of a wrapped key under the old one in the file', async () => {
    const { books, path } = await writtenUnder([OLD], 3);
    const before = books.outside.all<{ wrapped: string }>('SELECT "wrapped" FROM "GuestKey"');
    await books[Symbol.asyncDispose]();
    expect(before.every(({ wrapped }) => readFileSync(path).includes(wrapped))).toBe(true);
    await rotate(path, [NEW, OLD]);

    expect(before.some(({ wrapped }) => readFileSync(path).includes(wrapped))).toBe(false);
  });

  it('does not bring back a key that was erased, before it or while it is at work', async () => {
    const { books, path } = await writtenUnder([OLD], 3);
    const erase = (id: number) =>
      books.writer.submit(({ db }) =>
        db.run('UPDATE "GuestKey" SET "wrapped" = NULL, "guestHmac" = NULL, "erasedAt" = 1 WHERE "id" = ?', id),
      );
    await erase(1);
    const db = new SqliteConnection(path);
    onTestFinished(() => db.close());
    // Between the reading of the batch and its writing.
    const begin = db.begin.bind(db);
    db.begin = () => {
      books.db.run('UPDATE "GuestKey" SET "wrapped" = NULL, "guestHmac" = NULL, "erasedAt" = 2 WHERE "id" = 2');
      begin();
    };
    const rotation = await rotateKeys(db, [NEW, OLD]);

    expect(rotation.guestKeys).toEqual({ changed: 1, all: 1 });
    expect(wrappingKeys(books.outside)).toEqual([null, rotation.keyId]);
    expect(books.outside.all('SELECT "id", "wrapped" FROM "GuestKey" WHERE "erasedAt" IS NOT NULL')).toEqual([
      { id: 1, wrapped: null },
      { id: 2, wrapped: null },
    ]);
  });

  it('names a key that it does not have, with what is under it, and leaves that alone', async () => {
    const { books, path } = await writtenUnder([OLDEST], 2);
    await books[Symbol.asyncDispose]();
    // Two guests stay under the oldest key; the index key goes with the others.
    const stray = await openBooks({ path, masterKeys: [OLD, OLDEST] });
    await openSession(stray);
    const { indexKey } = stray.outside.get<{ indexKey: string }>('SELECT "indexKey" FROM "Keyring"')!;
    const [oldest] = wrappingKeys(stray.outside);
    await stray[Symbol.asyncDispose]();
    const before = new SqliteConnection(path);
    const underOldest = before.all('SELECT * FROM "GuestKey" WHERE "id" <= 2');
    before.close();
    await expect(rotate(path, [NEW, OLD])).rejects.toThrow(StartupError);
    await rotate(path, [OLD, OLDEST]);
    const damaged = new SqliteConnection(path);
    for (const row of underOldest as { id: number; wrapped: string }[]) {
      damaged.run('UPDATE "GuestKey" SET "wrapped" = ? WHERE "id" = ?', row.wrapped, row.id);
    }
    damaged.close();
    const rotation = await rotate(path, [NEW, OLD]);

    expect(indexKey.startsWith(`${oldest}.`)).toBe(true);
    expect(rotation.guestKeysLeft).toEqual([{ keyId: oldest, count: 2, isOurs: false }]);
    expect(rotation).toMatchObject({ guestKeys: { changed: 1, all: 3 }, isIndexKeyChanged: true });
    expect(reportRotation(rotation, true)).toEqual({
      lines: [`re-wrapped 1 key of 3 under ${rotation.keyId}`, 'ENCRYPTION_KEYS_OLD is still needed for what was left'],
      problems: [
        `2 guest keys wrapped under ${oldest}, a key that is neither ENCRYPTION_KEY nor in ENCRYPTION_KEYS_OLD. They were left as they are: ` +
          'add the key and run this again.',
      ],
    });
    const after = new SqliteConnection(path, { readOnly: true });
    onTestFinished(() => after.close());
    expect(after.all('SELECT * FROM "GuestKey" WHERE "id" <= 2')).toEqual(underOldest);
  });

  it('keeps the old key necessary for a start while a key is left under it', async () => {
    const { books, path } = await writtenUnder([OLD], 2);
    books.db.run(`UPDATE "GuestKey" SET "wrapped" = substr("wrapped", 1, 9) || 'damaged' WHERE "id" = 1`);
    await books[Symbol.asyncDispose]();
    const rotation = await rotate(path, [NEW, OLD]);

    expect(rotation).toMatchObject({ guestKeys: { changed: 1 }, isIndexKeyChanged: false });
    expect(reportRotation(rotation, true).problems).toEqual([
      expect.stringMatching(/^1 guest key still wrapped under/),
    ]);
    await expect(openDatabase(`file:${path}`, () => [NEW])).rejects.toThrow(/ENCRYPTION_KEYS_OLD/);
  });

  it('has the tokens of idempotency keys replayed after it, and says how long the inputs need the old key', async () => {
    const { books, path } = await writtenUnder([OLD], 0);
    const request = await openWithKey(books, [OLD], 'a key');
    const [{ expiresAt = 0 } = {}] = books.outside.all<{ expiresAt: number }>(
      'SELECT "expiresAt" FROM "IdempotencyKey"',
    );
    const rotation = await rotate(path, [NEW, OLD]);

    expect(rotation.tokens).toEqual({ changed: 1, all: 1 });
    expect(reportRotation(rotation, true).lines).toEqual([
      `re-wrapped 1 key of 1 under ${rotation.keyId}`,
      're-encrypted 1 client token of 1',
      `ENCRYPTION_KEYS_OLD is needed until ${new Date(expiresAt).toISOString()}: the inputs of 1 idempotency key are hashed under it`,
    ]);
    await books[Symbol.asyncDispose]();
    const after = await openBooks({ path, masterKeys: [NEW, OLD] });
    expect(await tryAgain(after, [NEW, OLD], request)).toMatchObject({
      is: 'REPLAY',
      conclusion: { replayed: true, outcome: { status: 'SUCCESS', created: { clientToken: 'token' } } },
    });

    const { clientToken, requestId } = after.outside.get<{ clientToken: string; requestId: string }>(
      'SELECT "clientToken", "requestId" FROM "IdempotencyKey"',
    )!;
    expect(new TokenCipher(NEW).decrypt(clientToken, requestId)).toBe('token');
    after.db.run('UPDATE "IdempotencyKey" SET "expiresAt" = 1');
    expect(reportRotation(await rotate(path, [NEW, OLD]), true).lines.at(-1)).toBe(
      'ENCRYPTION_KEYS_OLD can be removed now',
    );
  });

  it('begins nothing where no key opens the database', async () => {
    const { books, path } = await writtenUnder([OLD], 2);
    await books[Symbol.asyncDispose]();
    const before = readFileSync(path);

    await expect(rotate(path, [NEW, OLDEST])).rejects.toThrow(StartupError);
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});
