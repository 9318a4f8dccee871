import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLE = `${ROOT}examples/library/open-session.ts`;

/** Runs the example as a program of its own, which finds the built package by its name, as a user's program does. */
async function run(): Promise<{ stdout: string; stderr: string }> {
  const { outputText } = ts.transpileModule(readFileSync(EXAMPLE, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  const args = ['--input-type=module', '--eval', outputText];
  return promisify(execFile)(process.execPath, args, { cwd: ROOT, env: { PATH: process.env.PATH }, timeout: 15_000 });
}

describe('examples/library/open-session.ts', () => {
  it('opens a session, is refused another, and shows the audit trail of both', async () => {
    const { stdout, stderr } = await run();

    expect(stderr).toBe('');
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^opened cxs_[0-9a-f-]{36}, until \d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(lines[1]).toBe('refused: FRAUD_BLOCKED, do not try again');
    const trail = lines.slice(2);
    expect(trail).toContainEqual(expect.stringMatching(/^audit \d: SESSION_INITIATION SUCCESS [0-9a-f]{12}…$/));
    expect(trail).toContainEqual(
      expect.stringMatching(/^audit \d: SESSION_INITIATION REJECTED \(score 80 is above 75 \(proxy\)\) [0-9a-f]{12}…$/),
    );
  });
});
