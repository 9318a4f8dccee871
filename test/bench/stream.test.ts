import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const BENCH = fileURLToPath(new URL('../../bench/stream.mjs', import.meta.url));

it('the bench of the stream runs, and every subscriber has every event once', async () => {
  const options = ['--sockets', '20', '--rounds', '1', '--seconds', '0.2', '--events', '0'];

  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, ...options], { timeout: 20_000 });

  expect(stdout).toMatch(/\| 20 \| \(a\) this server \| [\d,]+ \|/);
  expect(stdout).toMatch(/\| 20 \| \(b\) stock \| [\d,]+ \|/);
});
