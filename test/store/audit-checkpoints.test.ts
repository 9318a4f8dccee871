import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { AuditCheckpoints } from '../../src/store/audit-checkpoints.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { AuditSigner } from '../../src/store/audit-signer.js';
import { eventually } from '../support/eventually.js';
import { type Books, openBooks, someAudit } from './ledger.js';

const SIGNER = new AuditSigner(generateKeyPairSync('ed25519').privateKey);
const LOOK_MS = 5;
/** Long enough for several looks. */
const SOME_LOOKS_MS = 40;

/** Appends entries to the trail, all written at one time. */
const append = (books: Books, count: number, timestamp = new Date()): Promise<void> =>
  books.writer.submit((transaction) => {
    for (let i = 0; i < count; i++) transaction.appendAudit(someAudit(), timestamp);
  });

interface Line {
  readonly level: 'info' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** Checkpoints of some books, by a clock of the test's own, which end before the books do. */
async function sign(books: Books, { file = null as string | null, now = () => new Date() } = {}) {
  const lines: Line[] = [];
  const log = {
    info: (fields: object, message: string) => lines.push({ level: 'info', fields, message }),
    error: (fields: object, message: string) => lines.push({ level: 'error', fields, message }),
  };
  const settings = { signer: SIGNER, file, now, intervalMs: LOOK_MS };
  const checkpoints = await AuditCheckpoints.start(books.writer, books.outside, settings, log);
  onTestFinished(() => checkpoints[Symbol.asyncDispose]());
  return { checkpoints, lines };
}

const sequences = (books: Books): number[] =>
  books.outside.all<{ sequence: number }>('SELECT "sequence" FROM "AuditCheckpoint"').map(({ sequence }) => sequence);

describe('checkpoints are written', () => {
  it('at every 1,000th entry, and at the end for the rest', async () => {
    const books = await openBooks();
    const { checkpoints } = await sign(books);
    await append(books, 999);
    await sleep(SOME_LOOKS_MS);
    expect(sequences(books)).toEqual([]);
    await append(books, 1_501);
    await eventually(() => sequences(books).length === 2);
    await checkpoints[Symbol.asyncDispose]();

    expect(sequences(books)).toEqual([1_000, 2_000, 2_500]);
    expect(await new AuditReader(books, SIGNER).verify()).toMatchObject({
      ok: true,
      checked: 2_500,
      checkpoints: 3,
      lastCheckpoint: 2_500,
      reason: null,
    });
  });

  it('a minute after the first entry that has none, and not sooner', async () => {
    const books = await openBooks();
    const start = Date.now();
    let passedMs = 0;
    await sign(books, { now: () => new Date(start + passedMs) });
    await append(books, 1, new Date(start));
    await append(books, 2, new Date(start + 30_000));
    passedMs = 59_999;
    await sleep(SOME_LOOKS_MS);
    expect(sequences(books)).toEqual([]);
    passedMs = 60_000;
    await eventually(() => sequences(books).length === 1);
    expect(sequences(books)).toEqual([3]);

    // The next minute begins with the next entry.
    await append(books, 1, new Date(start + 200_000));
    passedMs = 259_999;
    await sleep(SOME_LOOKS_MS);
    expect(sequences(books)).toEqual([3]);
    passedMs = 260_000;
    await eventually(() => sequences(books).length === 2);
    expect(sequences(books)).toEqual([3, 4]);
  });

  it('also where the clock was set back by more than that', async () => {
    const books = await openBooks();
    await append(books, 1, new Date(Date.now() + 3_600_000));
    await sign(books);
    await eventually(() => sequences(books).length === 1);
  });

  it('one for all that an old trail has, not one for every thousand', async () => {
    const books = await openBooks();
    await append(books, 3_500, new Date(Date.now() - 86_400_000));
    const { checkpoints } = await sign(books);
    await eventually(() => sequences(books).length > 0);
    await checkpoints[Symbol.asyncDispose]();
    expect(sequences(books)).toEqual([3_500]);
  });

  it('never for nothing, and never twice, not even after a restart', async () => {
    const books = await openBooks();
    await (await sign(books)).checkpoints[Symbol.asyncDispose]();
    expect(sequences(books)).toEqual([]);
    await append(books, 2);
    const { checkpoints, lines } = await sign(books);
    await checkpoints[Symbol.asyncDispose]();
    await checkpoints[Symbol.asyncDispose]();
    await (await sign(books)).checkpoints[Symbol.asyncDispose]();
    expect(sequences(books)).toEqual([2]);
    expect(lines).toHaveLength(1);

    const checkpoint = await books.prisma.auditCheckpoint.findFirstOrThrow();
    await expect(books.writer.execute('recordCheckpoint', checkpoint)).rejects.toThrow('append-only');
  });

  it('never for an entry that is not the one that was signed', async () => {
    const books = await openBooks();
    await append(books, 2);
    for (const [sequence, hash] of [
      [2, 'ab'.repeat(32)],
      [3, 'ab'.repeat(32)],
    ] as const) {
      const forged = SIGNER.sign({ sequence, hash, timestamp: new Date() });
      await expect(books.writer.execute('recordCheckpoint', forged)).rejects.toThrow(
        `the audit entry ${sequence} does not have the hash that was signed`,
      );
    }
    expect(sequences(books)).toEqual([]);
  });

  it('later where the storage takes none, which is logged once', async () => {
    const books = await openBooks();
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "AuditCheckpoint" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await append(books, 1_000);
    const { lines } = await sign(books);
    await eventually(() => lines.length > 0);
    await sleep(SOME_LOOKS_MS);
    expect(lines).toEqual([
      {
        level: 'error',
        fields: { err: expect.objectContaining({ message: expect.stringContaining('no more') }) },
        message: 'the audit trail could not be signed: it is tried again',
      },
    ]);
    books.db.exec('DROP TRIGGER "full"');
    await eventually(() => sequences(books).length === 1);
  });

  it('to the log, in full', async () => {
    const books = await openBooks();
    const { checkpoints, lines } = await sign(books);
    await append(books, 1);
    await checkpoints[Symbol.asyncDispose]();
    const { timestamp: _, ...told } = await books.prisma.auditCheckpoint.findFirstOrThrow();
    expect(lines).toEqual([{ level: 'info', fields: told, message: 'the audit trail was signed' }]);
  });
});

describe('the file of checkpoints', () => {
  const linesOf = (file: string) => readFileSync(file, 'utf8').split('\n');

  it('has a line of JSON for each, and is gone on with', async () => {
    const books = await openBooks();
    const file = join(dirname(books.path), 'checkpoints.jsonl');
    for (let run = 0; run < 2; run++) {
      const { checkpoints } = await sign(books, { file });
      await append(books, 1_001);
      await checkpoints[Symbol.asyncDispose]();
    }
    const stored = await books.prisma.auditCheckpoint.findMany({ orderBy: { sequence: 'asc' } });
    expect(stored.map(({ sequence }) => sequence)).toEqual([1_000, 1_001, 2_001, 2_002]);
    expect(linesOf(file)).toEqual([
      ...stored.map(({ sequence, hash, timestamp, keyId, signature }) =>
        JSON.stringify({ version: 1, sequence, hash, timestamp: timestamp.toISOString(), keyId, signature }),
      ),
      '',
    ]);
  });

  it('loses no line to one that was cut off', async () => {
    const books = await openBooks();
    const file = join(dirname(books.path), 'checkpoints.jsonl');
    writeFileSync(file, '{"version":1,"sequ');
    const { checkpoints } = await sign(books, { file });
    await append(books, 1);
    await checkpoints[Symbol.asyncDispose]();
    const [cut, whole, end] = linesOf(file);
    expect([cut, end]).toEqual(['{"version":1,"sequ', '']);
    expect(JSON.parse(whole!)).toMatchObject({ version: 1, sequence: 1 });
  });

  it('may be moved away, to be kept', async () => {
    const books = await openBooks();
    const file = join(dirname(books.path), 'logs', 'checkpoints.jsonl');
    mkdirSync(dirname(file));
    await sign(books, { file });
    await append(books, 1_000);
    await eventually(() => linesOf(file).length === 2);
    renameSync(file, `${file}.1`);
    await append(books, 1_000);
    await eventually(() => existsSync(file) && linesOf(file).length === 2);
    expect(JSON.parse(linesOf(file)[0]!)).toMatchObject({ sequence: 2_000 });
    expect(JSON.parse(linesOf(`${file}.1`)[0]!)).toMatchObject({ sequence: 1_000 });
  });

  it('that cannot be written stops the start', async () => {
    const books = await openBooks();
    const directory = dirname(books.path);
    for (const file of [directory, join(directory, 'nowhere', 'checkpoints.jsonl')]) {
      const start = sign(books, { file });
      await expect(start).rejects.toThrow(StartupError);
      await expect(start).rejects.toThrow(`AUDIT_CHECKPOINT_FILE: ${file} cannot be appended to: E`);
    }
  });

  it('that cannot be written any more is logged, and the checkpoint is stored', async () => {
    const books = await openBooks();
    const file = join(dirname(books.path), 'logs', 'checkpoints.jsonl');
    mkdirSync(dirname(file));
    const { checkpoints, lines } = await sign(books, { file });
    rmSync(dirname(file), { recursive: true });
    await append(books, 1);
    await checkpoints[Symbol.asyncDispose]();
    expect(sequences(books)).toEqual([1]);
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ['info', 'the audit trail was signed'],
      ['error', 'a checkpoint could not be appended to AUDIT_CHECKPOINT_FILE'],
    ]);
  });
});
