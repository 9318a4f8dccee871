import { existsSync } from 'node:fs';
import { DatabaseSync } from '@photostructure/sqlite';
import { canonicalForm, GENESIS_HASH } from './canonical.mjs';
import { nextRow, within } from './rows.mjs';
import { Broken, Unusable } from './verdict.mjs';

const CHECKPOINT_COLUMNS = ['sequence', 'hash', 'timestamp', 'keyId', 'signature'];

const BATCH_SIZE = 100;
/** The least that SQLite has. */
const LEAST = -(2n ** 63n);

const quoted = (name) => `"${name}"`;

/**
 * The trail in a database file, read-only and as of one moment: the server may go on writing. Nothing but the row at hand is
 * held in memory.
 */
export class DatabaseTrail {
  name = 'the database';
  /** Keys that come with the trail: none do. */
  keys = new Map();
  isArchive = false;
  /** The entry that it begins with; those before were archived. */
  firstSequence = 1;
  /** What that one says it is chained to. */
  previousHash = GENESIS_HASH;
  #database;
  #form;
  #statements = new Map();
  #open = [];

  /** @throws Unusable when there is no such file, or no audit trail in it that we know how to read */
  constructor(path) {
    if (!existsSync(path)) throw new Unusable(`There is no file ${path}.`);
    try {
      this.#database = new DatabaseSync(path, { readOnly: true });
      this.#database.exec('PRAGMA busy_timeout = 5000; BEGIN');
      const columns = this.#columns('AuditEntry');
      if (columns.length === 0) throw new Unusable(`${path} has no table AuditEntry.`);
      this.#form = canonicalForm(columns.filter((name) => name !== 'previousHash' && name !== 'hash'));
      if (this.#form === undefined) {
        throw new Unusable(`AuditEntry has other columns than this program knows: ${columns.join(', ')}.`);
      }
      const checkpointColumns = this.#columns('AuditCheckpoint');
      this.hasCheckpoints = checkpointColumns.length > 0;
      if (this.hasCheckpoints && !CHECKPOINT_COLUMNS.every((name) => checkpointColumns.includes(name))) {
        throw new Unusable(`AuditCheckpoint lacks columns: it has ${checkpointColumns.join(', ')}.`);
      }
      if (this.#columns('AuditTrail').length > 0) this.#readBeginning();
    } catch (error) {
      this.close();
      throw error instanceof Unusable || error instanceof Broken
        ? error
        : new Unusable(`${path} cannot be read: ${error.message}`);
    }
  }

  #readBeginning() {
    const isPlace = `typeof("firstSequence") = 'integer' AND "firstSequence" BETWEEN 1 AND ${Number.MAX_SAFE_INTEGER}`;
    const row = this.#prepare(
      `SELECT CASE WHEN ${isPlace} THEN "firstSequence" END FROM "AuditTrail" WHERE "id" = 1`,
    ).get();
    const first = row === undefined ? 1 : row[0];
    if (first === null) throw new Broken(1, 'AuditTrail does not say where the trail begins');
    if (first === 1) return;
    this.firstSequence = first;
    this.previousHash = this.#prepare('SELECT "previousHash" FROM "AuditEntry" WHERE "sequence" = ?').get(first)?.[0];
  }

  #columns(table) {
    return [...this.#rows(`SELECT "name" FROM pragma_table_info('${table}')`)].map(([name]) => name);
  }

  #rows(sql, ...values) {
    const rows = this.#prepare(sql).iterate(...values);
    this.#open.push(rows);
    return rows;
  }

  /** Each kept: the driver crashes when one is collected whose rows are still being read. */
  #prepare(sql) {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Entries in the order of their sequence, each followed by its checkpoint; before them the checkpoint of the last one that was
   * archived.
   */
  *items({ upTo = undefined } = {}) {
    const checkpoints = this.#checkpoints(upTo);
    let checkpoint = checkpoints.next().value;
    for (const entry of this.#entries(upTo)) {
      while (checkpoint !== undefined && checkpoint.sequence < entry.sequence) {
        yield checkpoint;
        checkpoint = checkpoints.next().value;
      }
      yield entry;
    }
    if (checkpoint !== undefined) yield checkpoint;
    yield* checkpoints;
  }

  /**
   * The texts come as one JSON array: the driver takes less time for one value than for many, and would cut a text off at a NUL.
   * SQLite's JSON does not keep all digits of a number, so those come by themselves, and it takes some BLOBs for JSON.
   */
  *#entries(upTo) {
    const { names, texts, write } = this.#form;
    const numbers = names.filter((name) => !texts.includes(name));
    const strings = [...texts, 'previousHash', 'hash'].map(quoted);
    const json = `json_array(${strings.join()})`;
    const hasBlob = `'blob' IN (${strings.map((column) => `typeof(${column})`).join()})`;
    const columns = [json, hasBlob, ...numbers.map(quoted)].join();
    const textAt = texts.map((name) => names.indexOf(name));
    const numberAt = numbers.map((name) => names.indexOf(name));
    const sequenceAt = names.indexOf('sequence');
    const values = names.map(() => null);
    for (const row of this.#entryRows(columns, numbers.indexOf('sequence') + 2, upTo)) {
      for (let i = 0; i < numberAt.length; i++) values[numberAt[i]] = row[i + 2];
      const sequence = values[sequenceAt];
      if (row[1] === 1) throw new Broken(sequence, 'a BLOB stands where a text should');
      const contents = JSON.parse(row[0]);
      for (let i = 0; i < textAt.length; i++) values[textAt[i]] = contents[i];
      // U+FFFD is also what the driver makes of bytes that are no UTF-8.
      if (row[0].includes('\ufffd')) this.#assertUtf8(json, row[0], sequence);
      let text;
      try {
        // Where JSON had nothing to escape in any of them, there is nothing to escape in each.
        text = row[0].includes('\\') ? write(values) : write(values, inQuotes);
      } catch ({ message }) {
        throw new Broken(sequence, message);
      }
      yield { type: 'entry', sequence, previousHash: contents[texts.length], hash: contents[texts.length + 1], text };
    }
  }

  /** Many at a time, which takes the driver less; where one of them cannot be read, one at a time up to that one. */
  *#entryRows(columns, sequenceAt, upTo) {
    const where = [...within(this.firstSequence, upTo), '"sequence" > ?'].join(' AND ');
    const select = `SELECT ${columns} FROM "AuditEntry" WHERE ${where} ORDER BY "sequence"`;
    const batch = this.#prepare(`${select} LIMIT ${BATCH_SIZE}`);
    for (let last = LEAST; ; ) {
      let rows;
      try {
        rows = batch.all(last);
      } catch {
        return yield* this.#oneByOne(select, sequenceAt, last);
      }
      yield* rows;
      if (rows.length < BATCH_SIZE) return;
      last = rows.at(-1)[sequenceAt];
    }
  }

  *#oneByOne(select, sequenceAt, from) {
    const rows = this.#rows(select, from);
    for (let last = from === LEAST ? this.firstSequence - 1 : from; ; ) {
      const { done, value: row } = nextRow(rows, last);
      if (done) return;
      yield row;
      last = row[sequenceAt];
    }
  }

  #assertUtf8(expression, decoded, sequence) {
    const query = `SELECT hex(${expression}) FROM "AuditEntry" WHERE "sequence" = ?`;
    const [bytes] = this.#prepare(query).get(sequence);
    if (bytes === Buffer.from(decoded).toString('hex').toUpperCase()) return;
    throw new Broken(sequence, 'a text holds bytes that are not UTF-8');
  }

  *#checkpoints(upTo) {
    if (!this.hasCheckpoints) return;
    const columns = CHECKPOINT_COLUMNS.map(quoted).join();
    const where = ['TRUE', ...within(this.firstSequence - 1, upTo)].join(' AND ');
    const rows = this.#rows(`SELECT ${columns} FROM "AuditCheckpoint" WHERE ${where} ORDER BY "sequence"`);
    for (let last = 0; ; ) {
      const { done, value: row } = nextRow(rows, last, 'its checkpoint');
      if (done) return;
      const [sequence, hash, ms, keyId, signature] = row;
      last = sequence;
      const time = new Date(Number.isInteger(ms) ? ms : Number.NaN);
      const timestamp = Number.isNaN(time.getTime()) ? String(ms) : time.toISOString();
      yield { type: 'checkpoint', version: 1, sequence, hash, timestamp, keyId, signature };
    }
  }

  close() {
    // Until its statements are collected the driver does not let go of the file, and a snapshot would hold up the server's log.
    for (const rows of this.#open) rows.return();
    if (this.#database?.isTransaction) this.#database.exec('ROLLBACK');
    this.#database?.close();
  }
}

const inQuotes = (string) => `"${string}"`;
