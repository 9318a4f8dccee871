import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { openBooks, someAudit } from '../store/ledger.js';
import { ENTRIES, makeRoomAt, signedTrail } from './audit/signed-trail.js';
import { exportTrail, Template, verify } from './audit/trail.js';

const template = new Template(ENTRIES);
afterAll(() => template.remove());

describe('an export', () => {
  it('gets the verdict of its database', async () => {
    const { trail, file, key } = await signedTrail(template);
    const output = trail.file('export.jsonl');
    const everything = ['--checkpoints', file, '--public-key', key];
    expect(await exportTrail('--database', trail.path, '--output', output)).toEqual({ code: 0, said: '' });
    const ofDatabase = await verify('--database', trail.path, ...everything);
    const ofExport = await verify('--export', output, ...everything);
    expect(ofExport).toEqual({ code: 0, said: ofDatabase.said.replace('in the database', 'in the export') });
  });

  it.each<[what: string, sql: string]>([
    ['a changed field', `UPDATE "AuditEntry" SET "actor" = 'x' WHERE "sequence" = 4321`],
    ['a deleted row', 'DELETE FROM "AuditEntry" WHERE "sequence" = 5000'],
    ['an inserted row', makeRoomAt(9_500)],
    ['a truncated tail', 'DELETE FROM "AuditEntry" WHERE "sequence" > 9876'],
  ])('of a trail with %s is broken as that is', async (_, sql) => {
    const { trail } = await signedTrail(template);
    trail.tamper((db) => db.exec(sql));
    const output = trail.file('export.jsonl');
    await exportTrail('--database', trail.path, '--output', output);
    const ofDatabase = await verify('--database', trail.path);
    expect(ofDatabase.code).toBe(1);
    const said = ofDatabase.said.replace('the database', 'the export');
    expect(await verify('--export', output)).toEqual({ code: 1, said });
  });

  it('that lacks its end, or has something changed, is broken', async () => {
    const { trail } = await signedTrail(template);
    const output = trail.file('export.jsonl');
    await exportTrail('--database', trail.path, '--output', output);
    const text = readFileSync(output, 'utf8');
    const verdict = (content: string) => verify('--export', trail.file('changed.jsonl', content));
    const lines = text.trimEnd().split('\n');
    const cut = { code: 1, said: 'broken at entry 10001: the export was cut off: its trailer is missing\n' };
    expect(await verdict(`${lines.slice(0, -1).join('\n')}\n`)).toEqual(cut);
    expect((await verdict(`${text}{}\n`)).said).toContain(
      'broken at entry 10001: the export goes on after its trailer',
    );
    // Which of the two actors somebody sees depends on their parser.
    const doubled = text.replace('"actor":"tester"', '"actor":"forger","actor":"tester"');
    expect(await verdict(doubled)).toEqual({
      code: 1,
      said: 'broken at entry 1: line 2 of the export cannot be read\n',
    });
  });

  it('and a verification work while the server’s writer has the database open', async () => {
    const { path } = await template.copy();
    await using books = await openBooks({ path });
    await books.writer.submit((transaction) => transaction.appendAudit(someAudit()));
    expect((await verify('--database', path)).said).toMatch(/^good: 10001 entries/);
    const output = `${path}.jsonl`;
    expect(await exportTrail('--database', path, '--output', output)).toEqual({ code: 0, said: '' });
    await books.writer.submit((transaction) => transaction.appendAudit(someAudit()));
    expect((await verify('--export', output)).said).toMatch(/^good: 10001 entries/);
  });
});
