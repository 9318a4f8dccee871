import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';

describe('the SQLite connection', () => {
  let directory: string;
  let path: string;
  let connection: SqliteConnection;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'connection-'));
    path = join(directory, 'test.db');
    connection = new SqliteConnection(path);
    connection.exec('CREATE TABLE item (id INTEGER PRIMARY KEY, value ANY)');
  });
  afterEach(() => {
    connection.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function stored(value: Parameters<SqliteConnection['run']>[1]): { value: unknown; type: string } | undefined {
    connection.run('DELETE FROM item');
    connection.run('INSERT INTO item (value) VALUES (?)', value);
    return connection.get('SELECT value, typeof(value) AS type FROM item');
  }

  it.each([0, 1, -1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 1_795_363_771_175, Number.MAX_SAFE_INTEGER])(
    'keeps the whole number %d as an INTEGER',
    (value) => {
      expect(stored(value)).toEqual({ value, type: 'integer' });
    },
  );

  it.each([0.1, -2.5, 1e300])('keeps the number %d as a REAL', (value) => {
    expect(stored(value)).toEqual({ value, type: 'real' });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, new Date(Number.NaN)])('refuses %s', (value) => {
    expect(() => stored(value)).toThrow(TypeError);
  });

  it('keeps a date as whole milliseconds', () => {
    expect(stored(new Date('2026-11-22T15:00:00.123Z'))).toEqual({ value: 1_795_359_600_123, type: 'integer' });
  });

  it('keeps booleans, nothing, text and bytes', () => {
    expect(stored(true)).toEqual({ value: 1, type: 'integer' });
    expect(stored(false)).toEqual({ value: 0, type: 'integer' });
    expect(stored(null)).toEqual({ value: null, type: 'null' });
    expect(stored(undefined)).toEqual({ value: null, type: 'null' });
    expect(stored('Zoë 🦊')).toEqual({ value: 'Zoë 🦊', type: 'text' });
    expect(stored(new Uint8Array([0, 255]))).toEqual({ value: new Uint8Array([0, 255]), type: 'blob' });
  });

  it('refuses text that the driver would cut short', () => {
    expect(() => stored('before\u0000after')).toThrow(/NUL/);
  });

  it('leaves the values of its caller as they are', () => {
    const values = [new Date(0), undefined];
    connection.all('SELECT ?, ?', ...values);
    expect(values).toEqual([new Date(0), undefined]);
  });

  it('refuses to round an integer that a number cannot hold', () => {
    connection.exec('INSERT INTO item (value) VALUES (9007199254740993)');
    expect(() => connection.all('SELECT value FROM item')).toThrow(/too large/);
    expect(() => connection.get('SELECT value FROM item')).toThrow(/too large/);
  });

  it('tells how many rows a statement changed', () => {
    expect(connection.run('INSERT INTO item (value) VALUES (1), (2), (3)')).toBe(3);
    expect(connection.run('UPDATE item SET value = 0 WHERE value > ?', 1)).toBe(2);
    expect(connection.run('DELETE FROM item WHERE value = 7')).toBe(0);
  });

  it('gives no row as undefined and no rows as an empty list', () => {
    expect(connection.get('SELECT * FROM item')).toBeUndefined();
    expect(connection.all('SELECT * FROM item')).toEqual([]);
  });

  it('gives every row as an object by column name', () => {
    connection.run('INSERT INTO item (value) VALUES (?), (?)', 'a', 'b');
    expect(connection.all('SELECT id, value FROM item ORDER BY id')).toEqual([
      { id: 1, value: 'a' },
      { id: 2, value: 'b' },
    ]);
  });

  it('still works after more statements than it keeps prepared', () => {
    for (let i = 0; i < 500; i++) expect(connection.get(`SELECT ${i} AS n`)).toEqual({ n: i });
    expect(connection.get('SELECT 0 AS n')).toEqual({ n: 0 });
  });

  it('sees the columns that were added after a statement was prepared', () => {
    connection.run('INSERT INTO item (value) VALUES (1)');
    connection.all('SELECT * FROM item');
    connection.exec('ALTER TABLE item ADD COLUMN more TEXT');
    expect(connection.get('SELECT * FROM item')).toEqual({ id: 1, value: 1, more: null });
  });

  it('commits what was written since it began', () => {
    connection.begin();
    connection.run('INSERT INTO item (value) VALUES (1)');
    expect(connection.isInTransaction).toBe(true);
    connection.commit();
    expect(connection.isInTransaction).toBe(false);
    expect(connection.all('SELECT value FROM item')).toHaveLength(1);
  });

  it('forgets what was written when it rolls back, and may do so twice', () => {
    connection.begin();
    connection.run('INSERT INTO item (value) VALUES (1)');
    connection.rollback();
    connection.rollback();
    expect(connection.all('SELECT value FROM item')).toEqual([]);
  });

  it('can go on after a statement failed within a transaction', () => {
    connection.begin();
    connection.run('INSERT INTO item (id) VALUES (1)');
    expect(() => connection.run('INSERT INTO item (id) VALUES (1)')).toThrow(/UNIQUE constraint failed: item\.id/);
    connection.run('INSERT INTO item (id) VALUES (2)');
    connection.commit();
    expect(connection.all('SELECT id FROM item')).toEqual([{ id: 1 }, { id: 2 }]);
  });

  it('takes the write lock as soon as it begins', () => {
    const other = new SqliteConnection(path);
    other.exec('PRAGMA busy_timeout = 0');
    connection.begin();
    expect(() => other.begin()).toThrow(/locked/);
    connection.rollback();
    other.begin();
    other.close();
  });

  it('enforces foreign keys', () => {
    connection.exec('CREATE TABLE part (item INTEGER REFERENCES item (id))');
    expect(() => connection.run('INSERT INTO part VALUES (1)')).toThrow(/FOREIGN KEY/);
  });

  it('is durable, and finds out when it is not', () => {
    expect(() => connection.assertDurable()).not.toThrow();
    connection.exec('PRAGMA synchronous = NORMAL');
    expect(() => connection.assertDurable()).toThrow(StartupError);
    connection.exec('PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE');
    expect(() => connection.assertDurable()).toThrow(/journal_mode is delete \(must be wal\)/);
  });

  it('rolls back and leaves everything in the one file when it closes, and may close twice', () => {
    connection.run('INSERT INTO item (value) VALUES (1)');
    connection.begin();
    connection.run('INSERT INTO item (value) VALUES (2)');
    connection.close();
    connection.close();
    expect(statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
    const next = new SqliteConnection(path);
    next.begin();
    expect(next.all('SELECT value FROM item')).toEqual([{ value: 1 }]);
    next.close();
  });

  it('refuses everything once it is closed', () => {
    connection.close();
    expect(() => connection.get('SELECT 1')).toThrow();
  });

  it('can be opened so that nothing is written through it', () => {
    const reader = new SqliteConnection(path, { readOnly: true });
    expect(() => reader.run('INSERT INTO item (value) VALUES (1)')).toThrow(/readonly/);
    expect(() => reader.exec('PRAGMA query_only = OFF; DELETE FROM item; INSERT INTO item VALUES (1, 1)')).toThrow(
      /readonly/,
    );
    reader.close();
  });

  it('does not create a file that is only to be read', () => {
    expect(() => new SqliteConnection(join(directory, 'missing.db'), { readOnly: true })).toThrow();
    expect(statSync(join(directory, 'missing.db'), { throwIfNoEntry: false })).toBeUndefined();
  });
});
