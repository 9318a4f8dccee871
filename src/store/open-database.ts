import { existsSync } from 'node:fs';
import { PrismaClient } from '../generated/prisma/client.js';
import { MIGRATIONS } from '../paths.js';
import { assertAppendOnly } from './append-only.js';
import { makePrivate, makeWayTo, unopenable } from './database-file.js';
import { type DatabaseLock, lockDatabase } from './database-lock.js';
import { GuestVault } from './guest-vault.js';
import { assertGuestKeys, keyringRow, keyWrapOf, makeKeyring } from './keyring.js';
import type { MasterKeys } from './master-cipher.js';
import { applyMigrations, pendingMigrations } from './migrate.js';
import { PrismaSqliteReader } from './prisma-sqlite-adapter.js';
import { sealPlainRows } from './seal-plain-rows.js';
import { SqliteConnection } from './sqlite-connection.js';

/** The ledger's file, up to date and reserved for this process; what writes to it opens a connection of its own. */
export interface OpenedDatabase {
  /** For what has to be read in microseconds; like Prisma it sees only what is committed. */
  readonly reader: SqliteConnection;
  readonly prisma: PrismaClient;
  /** Opens what is sealed. */
  readonly vault: GuestVault;
  /** Those that it is sealed under. */
  readonly masterKeys: MasterKeys;
  /** Absolute. */
  readonly path: string;
  /** The names of the migrations that this start has applied. */
  readonly appliedMigrations: readonly string[];
  /** Closes both and lets another server take the file. May be called more than once. */
  close(): Promise<void>;
}

/**
 * Finds the keys of a database.
 * @param mayMake false for a database that has been written with some: others would be wrong
 */
export type KeySource = (path: string, mayMake: boolean) => MasterKeys;

/**
 * Opens the database that a `file:` URL names (relative to the working directory), creates it when it is missing, brings it
 * up to date and keeps other servers off it.
 * @throws StartupError when it is in use, cannot be opened, is not ours, is newer than this program, was written with another key or
 * would not be durable; the file is then as it was before
 */
export async function openDatabase(url: string, keysOf: KeySource): Promise<OpenedDatabase> {
  const path = makeWayTo(url);
  const opened: { lock?: DatabaseLock; reader?: SqliteConnection } = {};
  try {
    opened.lock = lockDatabase(path);
    // A look that changes nothing comes first: opening a writer already turns the file to WAL.
    const hasKeys = existsSync(path) && inspect(path);
    const masterKeys = keysOf(path, !hasKeys);
    if (hasKeys) assertKeys(path, masterKeys);
    const appliedMigrations = bringUpToDate(path, masterKeys);
    opened.reader = new SqliteConnection(path, { readOnly: true });
    const prisma = new PrismaClient({ adapter: new PrismaSqliteReader(path) });
    await prisma.$connect();
    const { reader, lock } = opened;
    const vault = GuestVault.open(reader, masterKeys);
    let closing: Promise<void> | undefined;
    return {
      reader,
      prisma,
      vault,
      masterKeys,
      path,
      appliedMigrations,
      close: () => {
        closing ??= close(prisma, reader, lock);
        return closing;
      },
    };
  } catch (error) {
    opened.reader?.close();
    opened.lock?.release();
    throw unopenable(path, error);
  }
}

function bringUpToDate(path: string, masterKeys: MasterKeys): readonly string[] {
  if (!existsSync(path)) makePrivate(path);
  const connection = new SqliteConnection(path);
  try {
    connection.assertDurable();
    // Nobody builds on this before the start is on record, which waits for the disk: a power cut until then costs one more try.
    connection.relaxSync();
    const applied = applyMigrations(connection, MIGRATIONS);
    assertAppendOnly(connection);
    makeKeyring(connection, keyWrapOf(masterKeys));
    sealPlainRows(connection, GuestVault.open(connection, masterKeys));
    return applied;
  } finally {
    connection.close();
  }
}

/** @returns whether it has keys already */
const inspect = (path: string): boolean =>
  reading(path, (connection) => {
    pendingMigrations(connection, MIGRATIONS);
    return keyringRow(connection) !== undefined;
  });

const assertKeys = (path: string, masterKeys: MasterKeys): void =>
  reading(path, (connection) => {
    GuestVault.open(connection, masterKeys);
    assertGuestKeys(connection, keyWrapOf(masterKeys));
  });

function reading<T>(path: string, look: (connection: SqliteConnection) => T): T {
  const connection = new SqliteConnection(path, { readOnly: true });
  try {
    return look(connection);
  } finally {
    connection.close();
  }
}

async function close(prisma: PrismaClient, reader: SqliteConnection, lock: DatabaseLock): Promise<void> {
  try {
    await prisma.$disconnect();
    reader.close();
  } finally {
    lock.release();
  }
}
