import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { canAttachStrace } from '../support/can-attach-strace.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/count-syncs.mjs', import.meta.url));

it.skipIf(!canAttachStrace())('strace sees at least one sync for each group commit of the built server', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '--sessions', '20', '--clients', '5']);
  const count = (what: string) => Number(stdout.match(new RegExp(`^${what} +(\\d+)`, 'm'))?.[1]);
  expect(count('sessions')).toBe(20);
  expect(count('commits')).toBeGreaterThan(0);
  expect(count('syncs')).toBeGreaterThanOrEqual(count('commits'));
});
