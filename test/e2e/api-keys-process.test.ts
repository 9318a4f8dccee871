import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { main as createKey } from '../../scripts/keys-create.mjs';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN } from '../support/network.js';
import { Site } from '../support/server-process.js';

/** Makes a key as `npm run keys:create -- --file` does. */
async function create(role: string, name: string, file: string): Promise<string> {
  let said = '';
  const say = (text: string) => {
    said += text;
  };
  expect(await createKey(['--role', role, '--name', name, '--file', file], { say, explain: () => undefined })).toBe(0);
  return said.split('\n')[0] ?? '';
}

it('a server in production takes keys that keys:create makes while it runs, logs no key and no hash, and still ends well', async () => {
  const site = await Site.prepare();
  const file = join(dirname(site.databasePath), 'keys.json');
  const first = await create('BACKEND', 'portal', file);
  const server = await site.start({ API_KEYS_FILE: file, NODE_ENV: 'production', LOG_LEVEL: 'trace' });
  const as = (key: string) => ({ authorization: `Bearer ${key}` });
  const statusOf = async (key: string) => (await site.graphql('{ __typename }', undefined, as(key))).status;
  expect((await site.graphql(OPEN, { input: inputFor() }, as(first))).data.createGuestSession.userErrors).toEqual([]);

  const second = await create('BACKEND', 'portal-2', file);
  await eventually(async () => (await statusOf(second)) === 200);
  expect(await statusOf(first)).toBe(200);

  const [, left] = JSON.parse(readFileSync(file, 'utf8')) as object[];
  writeFileSync(file, JSON.stringify([left]));
  await eventually(async () => (await statusOf(first)) === 401);
  expect(await statusOf(second)).toBe(200);

  expect(await server.end('SIGTERM')).toEqual([0, null]);
  expect(server.err).toContain('the API keys have changed');
  for (const key of [first, second]) {
    expect(server.err).not.toContain(key);
    expect(server.err).not.toContain(createHash('sha256').update(key).digest('hex'));
  }
});

it('a server does not start with a file of keys that is broken, and says all that is wrong without a value', async () => {
  const site = await Site.prepare();
  const file = join(dirname(site.databasePath), 'keys.json');
  writeFileSync(file, JSON.stringify([{ name: 'a', role: 'canary', sha256: 'canary' }]));
  const server = site.spawn({ API_KEYS_FILE: file });

  expect(await server.exited).toEqual([1, null]);
  expect(server.err.trimEnd().split('\n')).toEqual([
    'The settings are not valid:',
    expect.stringMatching(/^ {2}- API_KEYS_FILE \(at keys\.0\.role\): /),
    '  - API_KEYS_FILE (at keys.0.sha256): must be 64 hexadecimal digits',
  ]);
  expect(server.err).not.toContain('canary');
});
