import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { describe, expect, it, onTestFinished } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLE = `${ROOT}examples/library/open-session.ts`;

/** Runs the example in a project of its own, which has the built package as a dependency by path. */
async function run(): Promise<{ stdout: string; stderr: string }> {
  const project = mkdtempSync(join(tmpdir(), 'library-example-'));
  onTestFinished(() => rmSync(project, { recursive: true, force: true }));
  mkdirSync(join(project, 'node_modules'));
  symlinkSync(ROOT, join(project, 'node_modules', 'cxone-guest-sessions'), 'junction');
  const { outputText } = ts.transpileModule(readFileSync(EXAMPLE, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  const program = join(project, 'open-session.mjs');
  writeFileSync(program, outputText);
  const environment = { PATH: process.env.PATH, TMPDIR: project };
  return promisify(execFile)(process.execPath, [program], { cwd: project, env: environment, timeout: 15_000 });
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
