import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Books } from '../store/ledger.js';
import { append, archive, archiveInProcess, oldTrail, signer, verifyAsServer } from './audit/archived-trail.js';
import { exportTrail, verify } from './audit/trail.js';

const sequences = ({ outside }: Books) =>
  outside.get('SELECT min("sequence") AS "first", max("sequence") AS "last", count(*) AS "count" FROM "AuditEntry"');

const keyFile = (file: (name: string) => string): string => {
  const path = file('key.json');
  writeFileSync(path, JSON.stringify(signer.keySet));
  return path;
};

describe('archiving the audit trail', () => {
  it('moves what is old into a file that verifies alone, and leaves a trail that says so', async () => {
    const { books, path, file } = await oldTrail();
    const output = file('archive.jsonl');
    const checkpoints = file('checkpoints.jsonl');
    const more = { AUDIT_CHECKPOINT_FILE: checkpoints };
    const { code, said } = await archive(path, ['--output', output], more);
    expect(said).toMatch(/^archived: entries 1 to 2500, head [0-9a-f]{64}, are in .*archive\.jsonl, and removed/);
    expect(code).toBe(0);
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(sequences(books)).toEqual({ first: 2_501, last: 2_511, count: 11 });

    const sha256 = createHash('sha256').update(readFileSync(output)).digest('hex');
    const { hash, ...told } = books.outside.get<{
      hash: string;
    }>(`SELECT "c"."hash", "e"."kind", "e"."actor", "e"."actorRole",
      "e"."reason" FROM "AuditEntry" "e", "AuditCheckpoint" "c" WHERE "e"."sequence" = 2511 AND "c"."sequence" = 2500`)!;
    expect(told).toEqual({
      kind: 'TRAIL_ARCHIVED',
      actor: 'audit-archive',
      actorRole: 'SYSTEM',
      reason: `entries 1 to 2500 were archived: ${hash}; sha256 of the archive ${sha256}`,
    });

    const key = keyFile(file);
    const ofArchive = await verify('--export', output, '--public-key', key);
    expect(ofArchive.said).toContain(`good: an archive of entries 1 to 2500, head ${hash}\n`);
    expect(ofArchive.said).toContain(`signatures: 1 checked with ${signer.keyId}\n`);
    const ofTrail = await verify(
      '--database',
      path,
      '--checkpoints',
      checkpoints,
      '--public-key',
      key,
      '--after',
      output,
    );
    expect(ofTrail.said).toContain('good: entries 2501 to 2511, head ');
    expect(ofTrail.said).toContain(
      `entry 2511 says that they were archived; ${output} is good, and has entries 1 to 2500`,
    );
    expect(ofTrail.said).toContain(`1 checkpoints in ${checkpoints}, kept outside: trusted`);
    expect(ofTrail.code).toBe(0);
    expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 11, reason: null });
  });

  it('goes on where it ended, and the newest archive is the one that the trail tells of', async () => {
    const { books, path, file } = await oldTrail({ old: 30 });
    const [first, second] = [file('first.jsonl'), file('second.jsonl')];
    const checkpoints = file('checkpoints.jsonl');
    const more = { AUDIT_CHECKPOINT_FILE: checkpoints };
    expect(await archive(path, ['--output', first], more)).toMatchObject({ code: 0 });
    await append(books, 5, 0);
    // All but the newest entry, and with them the one that tells of the first archive.
    const { code, said } = await archive(path, ['--output', second, '--before', '2100-01-01'], more);
    expect(said).toMatch(/^archived: entries 31 to 45,/);
    expect(code).toBe(0);
    expect(sequences(books)).toEqual({ first: 46, last: 47, count: 2 });
    expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 2 });
    expect(await verify('--export', second, '--after', first)).toMatchObject({ code: 0 });
    for (const archived of [first, second]) {
      const { said } = await verify('--export', archived, '--checkpoints', checkpoints);
      expect(said).toContain('good: an archive of entries ');
    }
    expect(await verify('--database', path, '--after', second)).toMatchObject({ code: 0 });
    // Nothing is wrong with either of them: it is the archive between them that was to be named.
    expect(await verify('--database', path, '--after', first)).toEqual({
      code: 2,
      said: `The trail begins with entry 46, and ${first} ends with entry 30: name the archive whose last entry is 45. Without it nothing can be said of the entries 31 to 45.\n`,
    });

    const exported = file('export.jsonl');
    expect(await exportTrail('--database', path, '--output', exported)).toEqual({ code: 0, said: '' });
    const ofExport = await verify('--export', exported, '--after', second);
    expect(ofExport.said).toContain('good: entries 46 to 47');
    expect(ofExport.code).toBe(0);
  });

  it('leaves everything as it is where nothing is old enough', async () => {
    const { books, path, file } = await oldTrail({ old: 30, young: 0 });
    const output = file('archive.jsonl');
    const nothing = { code: 0, said: 'nothing is old enough to be archived\n' };
    expect(await archive(path, ['--output', output, '--keep-days', '401'])).toEqual(nothing);
    expect(existsSync(output)).toBe(false);
    // Never the newest: the next one is chained to it.
    expect((await archive(path, ['--output', output])).said).toMatch(/^archived: entries 1 to 29,/);
    expect(sequences(books)).toEqual({ first: 30, last: 31, count: 2 });
  });

  it('stops before the first entry that is young, even if the clock was set back behind it', async () => {
    const { books, path, file } = await oldTrail({ old: 10 });
    await append(books, 10, 400);
    await append(books, 1, 0);
    expect((await archive(path, ['--output', file('a')])).said).toMatch(/^archived: entries 1 to 10,/);
  });

  it.each<[what: string, args: string[], why: string]>([
    ['a file that it would have to write over', ['--output', '/dev/null'], '/dev/null is there already'],
    ['no file', [], 'Name a file for the archive.'],
    ['a directory that is not there', ['--output', '/no/such/file'], 'The archive cannot be written'],
    ['a date that is none', ['--output', 'a', '--before', '2026-13-01'], '--before: 2026-13-01 is no date.'],
    ['days that are none', ['--output', 'a', '--keep-days', '-1'], "'--keep-days' argument is ambiguous"],
    [
      'both',
      ['--output', 'a', '--before', '2026-01-01', '--keep-days', '1'],
      'Name either a date or a number of days.',
    ],
  ])('refuses %s', async (_, args, why) => {
    const { books, path } = await oldTrail({ old: 30 });
    const { code, said } = await archive(path, args);
    expect(said).toContain(why);
    expect(code).toBe(2);
    expect(sequences(books)).toMatchObject({ first: 1, count: 40 });
  });

  it('refuses without a key that signs', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    const tenant = {
      CXONE_BASE_URL: 'https://cxone.test',
      CXONE_CLIENT_ID: 'i',
      CXONE_CLIENT_SECRET: 's',
      CXONE_QUEUE_ID: 'q',
    };
    const { code, said } = await archive(path, ['--output', file('a')], { ...tenant, AUDIT_SIGNING_KEY: '' });
    expect(said).toContain('AUDIT_SIGNING_KEY is not set');
    expect(code).toBe(2);
  });

  it('archives no trail that is broken', async () => {
    const { books, path, file } = await oldTrail({ old: 30 });
    books.db.exec(`DROP TRIGGER "AuditEntry_no_update"; UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 7`);
    const output = file('archive.jsonl');
    const { code, said } = await archive(path, ['--output', output]);
    expect(said).toContain('broken at entry 7: its content does not match its hash');
    expect(code).toBe(1);
    expect(existsSync(output)).toBe(false);
    expect(sequences(books)).toMatchObject({ first: 1, count: 40 });
  });
});

describe('an archiving that is killed', () => {
  it('after the file was written has changed nothing, and the next one goes its way', async () => {
    const { books, path, file } = await oldTrail();
    const output = file('archive.jsonl');
    expect(await archiveInProcess(path, ['--output', output], 'written')).toMatchObject({ signal: 'SIGKILL' });
    expect(sequences(books)).toEqual({ first: 1, last: 2_510, count: 2_510 });
    expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 2_510 });
    expect(await verify('--export', output)).toMatchObject({ code: 0 });

    expect((await archive(path, ['--output', output])).said).toContain('is there already');
    expect(await archive(path, ['--output', file('again.jsonl')])).toMatchObject({ code: 0 });
    expect(sequences(books)).toEqual({ first: 2_501, last: 2_511, count: 11 });
  });

  it.each([
    ['before anything was removed', 'committed', 1],
    ['while entries were removed', 'removing', 1_001],
  ] as const)('%s has lost nothing, and the next one removes the rest', async (_, step, left) => {
    const { books, path, file } = await oldTrail();
    const output = file('archive.jsonl');
    expect(await archiveInProcess(path, ['--output', output], step)).toMatchObject({ signal: 'SIGKILL' });
    expect(sequences(books)).toMatchObject({ first: left, last: 2_511 });
    // What is left is of no account.
    expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 11 });
    expect((await verify('--database', path, '--after', output)).said).toContain('is good, and has entries 1 to 2500');

    const next = await archive(path, ['--output', file('next.jsonl')]);
    expect(next).toEqual({
      code: 0,
      said: `removed ${2_501 - left} entries that an earlier run had archived and not removed any more
nothing is old enough to be archived
`,
    });
    expect(sequences(books)).toEqual({ first: 2_501, last: 2_511, count: 11 });
    expect(await verify('--database', path)).toMatchObject({ code: 0 });
  });
});

it('a server that writes meanwhile goes on behind the entry that tells of the archive', async () => {
  const { books, path, file } = await oldTrail();
  let isDone = false;
  const archiving = archiveInProcess(path, ['--output', file('archive.jsonl')]).finally(() => {
    isDone = true;
  });
  let appended = 0;
  for (; !isDone; appended++) {
    await append(books, 1, 0);
    expect(await verifyAsServer(path)).toMatchObject({ ok: true });
    await setImmediate();
  }
  expect(await archiving).toMatchObject({ code: 0 });
  await append(books, 1, 0);
  expect(sequences(books)).toEqual({ first: 2_501, last: 2_512 + appended, count: 12 + appended });
  expect(await verify('--database', path, '--after', file('archive.jsonl'))).toMatchObject({ code: 0 });
  expect(await verifyAsServer(path)).toMatchObject({ ok: true, checked: 12 + appended });
});
