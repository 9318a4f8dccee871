import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const FUZZ = fileURLToPath(new URL('../../scripts/fuzz-api.mjs', import.meta.url));
const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
/** On a machine that has other things to do as well. */
const HANGS_MS = 60_000;

it('hostile requests and malformed messages leave the server as it was', { timeout: HANGS_MS }, async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'fuzz-test-'));
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  // `npm run fuzz:api` judges the time.
  const many = ['--requests', '40', '--messages', '200', '--sessions', '5', '--most-ms', '10000'];
  const run = promisify(execFile)(process.execPath, [FUZZ, '--seed', String(SEED), ...many], {
    cwd,
    timeout: HANGS_MS,
  });
  const { code, stdout, stderr } = await run.then(
    (printed) => ({ code: 0, ...printed }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );

  expect(code, `seed ${SEED}: ${stdout}${stderr}`).toBe(0);
  expect(stdout).toMatch(/^Of \d\d hostile requests[\s\S]*^200 malformed messages[\s\S]*the audit trail verifies/m);
});
