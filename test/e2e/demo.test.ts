import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startNetwork } from '../support/network.js';

const DEMO = fileURLToPath(new URL('../../dist/demo.js', import.meta.url));
const run = (...args: string[]) => promisify(execFile)(process.execPath, [DEMO, ...args], { timeout: 15_000 });

const STORY = [
  /^1 {3}\S/,
  /^2 {3}Subscribed/,
  /^3 {3}createGuestSession for guest-/,
  /← SESSION_INITIATED {2}cxs_/,
  /← SESSION_CRM_SYNCED/,
  /^4 .*80 is above/,
  /FRAUD_BLOCKED/,
  /^5 .*SESSION_INITIATION SUCCESS/,
  /"ok":true/,
  /^6 .*"totalRequests":2/,
];

test('the demo tells the whole story on a server of its own', async () => {
  const { stdout } = await run();
  for (const line of STORY) expect(stdout.split('\n')).toContainEqual(expect.stringMatching(line));
  expect(stdout).not.toMatch(/ctk_[0-9a-f]{10}/);
});

test('the demo tells it on a server that runs', async () => {
  const network = await startNetwork();
  const { stdout } = await run('--url', network.app.url);
  for (const line of STORY) expect(stdout.split('\n')).toContainEqual(expect.stringMatching(line));
});

test('the demo says so where no server answers', async () => {
  await expect(run('--url', 'http://127.0.0.1:1')).rejects.toMatchObject({
    code: 1,
    stderr: 'The demo failed: no server answers at http://127.0.0.1:1\n',
  });
});
