import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { main } from '../../scripts/keys-create.mjs';
import { identify } from '../../src/access/api-keys.js';
import { loadSettings } from '../../src/config.js';
import { RESERVED_NAMES, ROLES } from '../../src/key-formats.js';
import { run } from '../support/program.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/keys-create.mjs', import.meta.url));
const isRoot = process.getuid?.() === 0;
const SHOP = 'https://shop.example.com';

/** Runs the command in this process. */
async function create(...args: string[]) {
  let said = '';
  let explained = '';
  const code = await main(args, {
    say: (text) => {
      said += text;
    },
    explain: (text) => {
      explained += text;
    },
  });
  const [key = '', entry = ''] = said.split('\n');
  return { code, said, explained, key, entry };
}

function newFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'keys-create-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'keys.json');
}

const DIE = "process.kill(process.pid, 'SIGKILL')";
const LINGER = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)';

/** Has a program do this between the reading of the file and the moment that another one takes its place. */
function beforeRename(what: string): { readonly NODE_OPTIONS: string } {
  const code = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module';
    const { renameSync } = fs;
    fs.renameSync = (from, to) => { if (to.endsWith('keys.json')) ${what}; renameSync(from, to); };
    syncBuiltinESMExports();`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}

describe('npm run keys:create', () => {
  it.each(ROLES)('makes a key of the role %s that the server knows from then on, and prints it once', async (role) => {
    const { code, key, entry, said, explained } = await create('--role', role, '--name', 'console');
    expect([code, key]).toEqual([0, expect.stringMatching(/^gsk_[\w-]{43}$/)]);
    expect(said.split(key)).toHaveLength(2);
    expect(entry + explained).not.toContain(key);

    const { apiKeys } = loadSettings({ API_KEYS: `[${entry}]` }).config.access;
    const presented = { authorization: `Bearer ${key}`, origin: undefined };
    expect(identify(apiKeys, presented, new Date()).identity).toEqual({ name: 'console', role });
  });

  it('makes another key each time', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => create('--role', 'CRM', '--name', 'x')));
    expect(new Set(made.map(({ key }) => key)).size).toBe(20);
  });

  it('writes down for which pages the key is, and until when', async () => {
    const portal = 'http://127.0.0.1:8080';
    const expiresAt = '2090-01-01T00:00:00Z';
    const { entry } = await create(
      ...['--role', 'GUEST', '--name', 'widget', '--origin', SHOP, '--origin', portal, '--expires-at', expiresAt],
    );

    expect(loadSettings({ API_KEYS: `[${entry}]` }).config.access.apiKeys).toMatchObject([
      { name: 'widget', origins: [SHOP, portal], expiresAt: new Date(expiresAt) },
    ]);
  });

  it.each<[string[], string]>([
    [['--name', 'x'], '--role must be one of GUEST, BACKEND, CRM, OPS'],
    [['--name', 'x', '--role', 'ADMIN'], '--role must be one of GUEST, BACKEND, CRM, OPS'],
    [['--role', 'OPS'], '--name is needed: 1 to 100 plain characters'],
    [['--role', 'OPS', '--name', 'caf\u00e9'], '--name is needed: 1 to 100 plain characters'],
    ...RESERVED_NAMES.map((name): [string[], string] => [
      ['--role', 'OPS', '--name', name],
      '--name must not be local',
    ]),
    [['--role', 'OPS', '--name', 'x', '--origin', '*'], '--origin must be as browsers send it'],
    [['--role', 'OPS', '--name', 'x', '--origin', `${SHOP}/`], '--origin must be as browsers send it'],
    [['--role', 'OPS', '--name', 'x', '--expires-at', 'soon'], '--expires-at must be a date to come'],
    [['--role', 'OPS', '--name', 'x', '--expires-at', '2020-01-01T00:00:00Z'], '--expires-at must be a date to come'],
    [['--role', 'OPS', '--name', 'x', '--expires', '2090-01-01'], "Unknown option '--expires'"],
  ])('refuses %j, says why and how it is used, and makes no key', async (args, problem) => {
    const file = newFile();
    const { code, said, explained } = await create(...args, '--file', file);

    expect([code, said, existsSync(file)]).toEqual([2, '', false]);
    expect(explained).toContain(problem);
    expect(explained).toContain('npm run keys:create -- --role ROLE');
  });

  it('as a program says the key on standard output, and the rest beside it', async () => {
    const program = run(SCRIPT, ['--role', 'OPS', '--name', 'console']);
    expect(await once(program.child, 'close')).toEqual([0, null]);

    expect(program.out).toMatch(/^gsk_[\w-]{43}\n\{"name":"console","role":"OPS","sha256":"[0-9a-f]{64}"\}\n$/);
    expect(program.err).toMatch(/shown this once/);
  });
});

describe('npm run keys:create -- --file', () => {
  it('makes the file, adds to it, and keeps what others may not read', async () => {
    const file = newFile();
    const first = await create('--role', 'OPS', '--name', 'one', '--file', file);
    const second = await create('--role', 'GUEST', '--name', 'two', '--origin', SHOP, '--file', file);

    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual([JSON.parse(first.entry), JSON.parse(second.entry)]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(file, '..'))).toEqual(['keys.json']);
    expect(loadSettings({ API_KEYS_FILE: file }).config.access.apiKeysFile?.keys).toHaveLength(2);
    expect(readFileSync(file, 'utf8')).not.toContain(first.key);
  });

  it('refuses a name that is there, and leaves the file as it is', async () => {
    const file = newFile();
    await create('--role', 'OPS', '--name', 'one', '--file', file);
    const before = readFileSync(file, 'utf8');
    const { code, said, explained } = await create('--role', 'CRM', '--name', 'one', '--file', file);

    expect([code, said, explained]).toEqual([2, '', `${file} has a key of the name one\n`]);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it.each(['', '{}', '[{"name":'])('leaves a file alone that holds %j, which is no list of keys', async (text) => {
    const file = newFile();
    writeFileSync(file, text);
    const { code, said, explained } = await create('--role', 'CRM', '--name', 'one', '--file', file);

    expect([code, said, explained]).toEqual([2, '', `${file} is not a JSON list: it is left as it is\n`]);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('says that a file cannot be written, and shows no key that is nowhere', async () => {
    const file = join(newFile(), 'nowhere', 'keys.json');
    const { code, said, explained } = await create('--role', 'CRM', '--name', 'one', '--file', file);

    expect([code, said]).toEqual([2, '']);
    expect(explained).toMatch(/cannot be written: ENOENT/);
  });

  it('follows a link, which stays one', async () => {
    const file = newFile();
    writeFileSync(file, '[]');
    symlinkSync('keys.json', `${file}.link`);
    await create('--role', 'CRM', '--name', 'one', '--file', `${file}.link`);

    expect(lstatSync(`${file}.link`).isSymbolicLink()).toBe(true);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject([{ name: 'one' }]);
  });

  it('of several at once loses no key, nor one where another was killed in the middle, and leaves nothing behind', async () => {
    const file = newFile();
    const killed = run(SCRIPT, ['--role', 'OPS', '--name', 'killed', '--file', file], beforeRename(DIE));
    expect(await once(killed.child, 'close')).toEqual([null, 'SIGKILL']);
    expect(readdirSync(join(file, '..'))).toEqual(['keys.json.lock']);

    const names = ['one', 'two', 'three', 'four'];
    const programs = names.map((name) =>
      run(SCRIPT, ['--role', 'OPS', '--name', name, '--file', file], beforeRename(LINGER)),
    );
    const ends = await Promise.all(programs.map(({ child }) => once(child, 'close')));
    expect(ends).toEqual(names.map(() => [0, null]));

    const list: { name: string }[] = JSON.parse(readFileSync(file, 'utf8'));
    expect(list.map(({ name }) => name).sort()).toEqual([...names].sort());
    for (const { out } of programs) expect(list).toContainEqual(JSON.parse(out.split('\n')[1] ?? ''));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(file, '..'))).toEqual(['keys.json']);
  });

  it('leaves the file to those who may read it', async () => {
    const file = newFile();
    writeFileSync(file, '[]');
    chmodSync(file, 0o640);
    if (isRoot) chownSync(file, 1234, 2345);
    await create('--role', 'CRM', '--name', 'one', '--file', file);

    const { mode, uid, gid } = statSync(file);
    expect(mode & 0o777).toBe(0o640);
    if (isRoot) expect([uid, gid]).toEqual([1234, 2345]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveLength(1);
  });
});
