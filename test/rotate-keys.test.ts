import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AuditReader } from '../src/store/audit-reader.js';
import { keyBesideDatabase } from '../src/store/encryption-key.js';
import { EventReader } from '../src/store/event-reader.js';
import { keyWrapOf } from '../src/store/keyring.js';
import { openDatabase } from '../src/store/open-database.js';
import { SessionReader } from '../src/store/session-reader.js';
import { type Books, openBooks, openSession } from './store/ledger.js';
import { eventually } from './support/eventually.js';
import { end, type Program, run } from './support/program.js';
import { temporaryDirectory } from './support/temporary-directory.js';

const COMMAND = fileURLToPath(new URL('../dist/rotate-keys.js', import.meta.url));
const [OLD, NEW] = [randomBytes(32), randomBytes(32)] as const;
const NEW_ID = keyWrapOf([NEW]).keyId;

const fileOfItsOwn = () => join(temporaryDirectory(), 'test.db');

/** The command with the settings of a server on this file, new key and old one. */
const start = (path: string, env: Readonly<Record<string, string>> = {}): Program =>
  run(COMMAND, [], {
    DATABASE_URL: `file:${path}`,
    ENCRYPTION_KEY: NEW.toString('base64'),
    ENCRYPTION_KEYS_OLD: OLD.toString('base64'),
    ...env,
  });

async function ended(program: Program) {
  const { child } = program;
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return { code: child.exitCode, out: program.out.trim(), err: program.err.trim() };
}

/** Keys of guests that have nothing else yet. */
const addGuests = (books: Books, count: number) =>
  books.writer.submit(({ vault }) => {
    for (let n = 0; n < count; n++) vault.keyFor(`guest ${n}`);
  });

const countUnderNew = (books: Books) => books.count('GuestKey', `"wrapped" GLOB '${NEW_ID}.*'`);

describe('npm run keys:rotate', () => {
  it('rotates while the server opens sessions on the same file, and then the new key alone opens all of it', async () => {
    const path = fileOfItsOwn();
    const before = await openBooks({ path, masterKeys: [OLD] });
    const known = randomUUID();
    const first = await openSession(before, known);
    await addGuests(before, 5_000);
    await before[Symbol.asyncDispose]();

    const server = await openBooks({ path, masterKeys: [NEW, OLD], maxConcurrentSessions: 10_000 });
    const command = start(path);
    const ids = [first.attempt.requestId];
    let longestMs = 0;
    let isOver = false;
    const rotation = ended(command).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const startedAt = performance.now();
      // Of a guest whose key is old or new by now, and of one that was never seen.
      for (const guestId of [known, randomUUID()]) {
        const { attempt } = await openSession(server, guestId);
        ids.push(attempt.requestId);
      }
      longestMs = Math.max(longestMs, performance.now() - startedAt);
    }
    const { code, out, err } = await rotation;
    await server[Symbol.asyncDispose]();

    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(
      new RegExp(`^re-wrapped 5,001 keys of [\\d,]+ under ${NEW_ID}\nENCRYPTION_KEYS_OLD can be removed now$`),
    );
    expect(ids.length).toBeGreaterThan(20);
    expect(longestMs).toBeLessThan(2_000);

    const database = await openDatabase(`file:${path}`, () => [NEW]);
    onTestFinished(() => database.close());
    const sessions = await new SessionReader(database).byIds(ids);
    expect(sessions.filter(({ guestId }) => guestId === known)).toHaveLength((ids.length + 1) / 2);
    expect(sessions.every(({ guestId, sessionId }) => guestId !== null && sessionId !== null)).toBe(true);
    const events = await new EventReader(database).eventsAfter(null, {}, 10 * ids.length);
    expect(events.length).toBeGreaterThanOrEqual(ids.length);
    expect(events.every(({ guestId }) => guestId !== null)).toBe(true);
    const audits = new AuditReader(database);
    const { rows } = await audits.page({}, ids.length, null);
    expect(rows.map(({ erased }) => erased)).toEqual(ids.map(() => false));
    expect(await audits.verify()).toMatchObject({ ok: true, checked: ids.length });
  }, 60_000);

  it('goes on where it was killed, and has nothing to do after that', async () => {
    const path = fileOfItsOwn();
    const before = await openBooks({ path, masterKeys: [OLD] });
    await addGuests(before, 3_000);
    await before[Symbol.asyncDispose]();
    const books = await openBooks({ path, masterKeys: [NEW, OLD] });

    const killed = start(path);
    await eventually(() => countUnderNew(books) > 0, 20_000);
    books.db.begin(); // it waits for us now
    await end(killed, 'SIGKILL');
    books.db.rollback();
    const done = countUnderNew(books);
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(3_000);
    expect(done % 200).toBe(0);

    const left = (3_000 - done).toLocaleString('en');
    expect(await ended(start(path))).toEqual({
      code: 0,
      out: `re-wrapped ${left} keys of 3,000 under ${NEW_ID}\nENCRYPTION_KEYS_OLD can be removed now`,
      err: '',
    });
    expect(countUnderNew(books)).toBe(3_000);
    expect(await ended(start(path))).toEqual({
      code: 0,
      out: `nothing to do: under ${NEW_ID} are 3,000 keys of 3,000\nENCRYPTION_KEYS_OLD can be removed now`,
      err: '',
    });
    await books[Symbol.asyncDispose]();
    const alone = await openBooks({ path, masterKeys: [NEW] });
    expect(alone.vault.nameOf('guest 2999')).toBe('gk_3000');
    expect(alone.vault.byName('gk_3000')).not.toBeNull();
  }, 60_000);

  it('takes a sandbox from the key beside its database to one that is set', async () => {
    const path = fileOfItsOwn();
    const database = await openDatabase(`file:${path}`, (file, mayMake) => [keyBesideDatabase(file, mayMake)]);
    await database.close();
    const [refused, rotated] = [
      await ended(start(path, { ENCRYPTION_KEY: '', ENCRYPTION_KEYS_OLD: '' })),
      await ended(start(path, { ENCRYPTION_KEYS_OLD: readFileSync(`${path}.key`, 'utf8').trim() })),
    ];

    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/^ENCRYPTION_KEY is not set: there is nothing to rotate to/);
    expect(rotated).toMatchObject({ code: 0, err: '' });
    const opened = await openDatabase(`file:${path}`, () => [NEW]);
    await opened.close();
  });

  it('refuses the wrong keys and changes nothing', async () => {
    const path = fileOfItsOwn();
    const books = await openBooks({ path, masterKeys: [OLD] });
    await openSession(books);
    await books[Symbol.asyncDispose]();
    const before = readFileSync(path);
    const { code, out, err } = await ended(start(path, { ENCRYPTION_KEYS_OLD: randomBytes(32).toString('base64') }));

    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^ENCRYPTION_KEY is not the key that the database .* was written with/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('refuses a database that is not there, is none, or is of an earlier version', async () => {
    const path = fileOfItsOwn();
    expect(await ended(start(path))).toEqual({
      code: 1,
      out: '',
      err: `There is no database ${path} (DATABASE_URL).`,
    });
    expect(existsSync(path)).toBe(false);
    expect((await ended(start(COMMAND))).err).toBe(`The database ${COMMAND} cannot be opened: file is not a database`);
    const older = await openBooks({ path, masterKeys: [OLD] });
    older.db.run(`DELETE FROM "_prisma_migrations" WHERE migration_name LIKE '%guest_keys'`);
    await older[Symbol.asyncDispose]();
    expect((await ended(start(path))).err).toBe(
      `The database ${path} is of an earlier version: start the server on it once.`,
    );
  });
});
