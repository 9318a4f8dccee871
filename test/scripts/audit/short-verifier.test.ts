import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../support/temporary-directory.js';
import { archive, oldTrail, verifyAsServer } from './archived-trail.js';
import { Template } from './trail.js';

const page = readFileSync(new URL('../../../docs/audit.md', import.meta.url), 'utf8');
const [, program = ''] = page.split('## A verifier in a few lines')[1]?.match(/```python\n(.*?)```/s) ?? [];
const template = new Template(200);
afterAll(() => template.remove());
const hasPython = spawnSync('python3', ['--version']).status === 0;

/** Runs it, and gives what it says. */
async function run(database: string): Promise<string> {
  const script = `${temporaryDirectory()}/verify.py`;
  writeFileSync(script, program);
  const { stdout } = await promisify(execFile)('python3', [script, database]);
  return stdout;
}

describe.skipIf(!hasPython)('the verifier of docs/audit.md in a few lines of Python', () => {
  it('finds a trail of both versions good', async () => {
    const trail = await template.copy();
    expect(await run(trail.path)).toMatch(/^entries 1 to 200, head [0-9a-f]{64}\n$/);
  });

  it.each([
    ['actor', 7],
    ['personal', 8],
    ['personal', 180],
    ['sessionId', 180],
    ['sourceAddress', 181],
  ])('finds a changed %s of entry %d', async (column, sequence) => {
    const trail = await template.copy();
    trail.tamper((db) => db.exec(`UPDATE "AuditEntry" SET "${column}" = 'x' WHERE "sequence" = ${sequence}`));
    await expect(run(trail.path)).rejects.toThrow(`broken at ${sequence}`);
  });

  it('finds a trail good that begins later', async () => {
    const { path, file } = await oldTrail({ old: 30 });
    await archive(path, ['--output', file('archive.jsonl')]);
    const { head } = await verifyAsServer(path);
    expect(await run(path)).toBe(`entries 31 to 41, head ${head}\n`);
  });
});
