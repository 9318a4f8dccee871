import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { keyBesideDatabase } from '../../src/store/encryption-key.js';
import type { MasterKeys } from '../../src/store/master-cipher.js';
import { type KeySource, openDatabase } from '../../src/store/open-database.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { openBooks, openSession } from './ledger.js';

const [RIGHT] = MASTER_KEYS;
const WRONG = Buffer.alloc(32, 66);

/** A database with one session, closed. */
async function written(): Promise<{ readonly path: string; readonly guestId: string }> {
  const books = await openBooks({ path: join(temporaryDirectory(), 'test.db') });
  const { request } = await openSession(books);
  await books[Symbol.asyncDispose]();
  return { path: books.path, guestId: request.guestId };
}

const open = (path: string, keysOf: KeySource) => openDatabase(`file:${path}`, keysOf);
const configured =
  (...keys: MasterKeys): KeySource =>
  () =>
    keys;
/** As in sandbox mode. */
const beside: KeySource = (path, mayMake) => [keyBesideDatabase(path, mayMake)];

async function refusal(path: string, keysOf: KeySource): Promise<string> {
  const error = await open(path, keysOf).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupError);
  return (error as Error).message;
}

/** What lies beside the database and in it. The lock file says who has it. */
function stateOf(path: string) {
  const names = readdirSync(dirname(path)).filter((name) => !name.includes('.lock'));
  return { names, bytes: readFileSync(path).toString('base64'), changedAt: statSync(path).mtimeMs };
}

/** The sessions of a guest, as a start with these keys reads them. */
async function sessionsOf(path: string, guestId: string, keysOf: KeySource) {
  const database = await open(path, keysOf);
  try {
    return (await new SessionReader(database).page({ guestId }, 10, null)).rows;
  } finally {
    await database.close();
  }
}

describe('a start with another ENCRYPTION_KEY', () => {
  it('is refused with the settings to mend, and shows no key', async () => {
    const { path } = await written();
    const message = await refusal(path, configured(WRONG));

    expect(message).toContain(path);
    expect(message).toMatch(/ENCRYPTION_KEY is not the key .* ENCRYPTION_KEYS_OLD/);
    for (const key of [RIGHT, WRONG]) {
      for (const encoding of ['base64', 'base64url', 'hex'] as const)
        expect(message).not.toContain(key.toString(encoding));
    }
  });

  it('leaves the database as it was, byte by byte, and makes no file', async () => {
    const { path } = await written();
    const before = stateOf(path);
    await refusal(path, configured(WRONG, Buffer.alloc(32, 67)));

    expect(stateOf(path)).toEqual(before);
  });

  it('leaves the database to the next start, which has the right key', async () => {
    const { path, guestId } = await written();
    await refusal(path, configured(WRONG));

    expect(await sessionsOf(path, guestId, configured(RIGHT))).toMatchObject([{ guestId }]);
  });

  it('is no harm where the right one is in ENCRYPTION_KEYS_OLD, at whatever place', async () => {
    const { path, guestId } = await written();

    expect(await sessionsOf(path, guestId, configured(WRONG, RIGHT))).toMatchObject([{ guestId }]);
    expect(await sessionsOf(path, guestId, configured(WRONG, Buffer.alloc(32, 67), RIGHT))).toMatchObject([
      { guestId },
    ]);
    // And nothing of it was changed to the key that is new.
    expect(await sessionsOf(path, guestId, configured(RIGHT))).toMatchObject([{ guestId }]);
  });
});

describe('the key beside a database', () => {
  /** As `written`, with the key in a file. */
  async function writtenBeside() {
    const { path, guestId } = await written();
    writeFileSync(`${path}.key`, `${RIGHT.toString('base64')}\n`);
    return { path, guestId };
  }

  it('is made with the database, for its owner alone, and opens it again', async () => {
    const path = join(temporaryDirectory(), 'test.db');
    await (await open(path, beside)).close();
    const key = readFileSync(`${path}.key`, 'utf8');
    expect(statSync(`${path}.key`).mode & 0o777).toBe(0o600);
    await (await open(path, beside)).close();

    expect(readFileSync(`${path}.key`, 'utf8')).toBe(key);
  });

  it('is not made anew where the database was written with one: the start is refused, and nothing changes', async () => {
    const { path, guestId } = await writtenBeside();
    rmSync(`${path}.key`);
    const before = stateOf(path);

    expect(await refusal(path, beside)).toBe(
      `The encryption key ${path}.key is missing, and the database was written with it. Put it back, or set ENCRYPTION_KEY to what was in it.`,
    );
    expect(existsSync(`${path}.key`)).toBe(false);
    expect(stateOf(path)).toEqual(before);
    writeFileSync(`${path}.key`, RIGHT.toString('base64'));
    expect(await sessionsOf(path, guestId, beside)).toMatchObject([{ guestId }]);
  });

  it.each([
    ['too short', Buffer.alloc(31, 7).toString('base64')],
    ['too long', Buffer.alloc(33, 7).toString('base64')],
    ['empty', ''],
    ['no base64', 'my notes'],
  ])('is refused where it is %s, and stays as it is', async (_, content) => {
    const { path } = await writtenBeside();
    writeFileSync(`${path}.key`, content);
    const before = stateOf(path);

    expect(await refusal(path, beside)).toBe(
      `The encryption key ${path}.key is not 32 bytes in base64. Put it back, or remove it together with the database.`,
    );
    expect(stateOf(path)).toEqual(before);
    expect(readFileSync(`${path}.key`, 'utf8')).toBe(content);
  });

  it('is refused where it is another one', async () => {
    const { path } = await writtenBeside();
    writeFileSync(`${path}.key`, WRONG.toString('base64'));
    const before = stateOf(path);

    expect(await refusal(path, beside)).toMatch(/ENCRYPTION_KEYS_OLD/);
    expect(stateOf(path)).toEqual(before);
  });
});

describe('a database whose guests’ keys are under several keys', () => {
  it('is not opened without one of them, also where that of the file itself is there', async () => {
    const { path } = await written();
    // The first guest that came after a restart with a new key has its key under that.
    const both: MasterKeys = [WRONG, RIGHT];
    const next = await openBooks({ path, masterKeys: both });
    await openSession(next);
    await next[Symbol.asyncDispose]();

    const refusal = await openDatabase(`file:${path}`, () => [RIGHT]).catch((error: Error) => error);
    expect(refusal).toBeInstanceOf(StartupError);
    expect((refusal as Error).message).toMatch(/Keys of guests .* \([0-9a-f]{8}\) .* ENCRYPTION_KEYS_OLD/);
    await (await openDatabase(`file:${path}`, () => [RIGHT, WRONG])).close();
  });
});
