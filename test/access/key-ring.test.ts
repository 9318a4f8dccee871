import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { KeyChange } from '../../src/access/key-changes.js';
import { KeyRing } from '../../src/access/key-ring.js';
import { type FileState, watchKeyFile } from '../../src/access/watch-key-file.js';
import { eventually } from '../support/eventually.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const NEVER_MS = 3_600_000;

const entry = (name: string, role = 'BACKEND', rest: object = {}) => ({
  name,
  role,
  sha256: createHash('sha256').update(name).digest('hex'),
  ...rest,
});
const keyOf = (name: string) => ({ ...entry(name), role: 'BACKEND' as const });

/** A ring with the key `fixed`, and in its file `first`. */
function start() {
  const path = join(temporaryDirectory(), 'keys.json');
  writeFileSync(path, JSON.stringify([entry('first')]));
  const said: { level: string; fields: object; message: string }[] = [];
  const log = (level: string) => (fields: object, message: string) => void said.push({ level, fields, message });
  const ring = new KeyRing({
    fixed: [keyOf('fixed')],
    file: { path, keys: [keyOf('first')] },
    log: { info: log('info'), error: log('error') },
  });
  onTestFinished(() => ring[Symbol.dispose]());
  const changes: KeyChange[] = [];
  ring.onChange = (change) => void changes.push(change);
  return {
    ring,
    path,
    said,
    changes,
    names: () => [...ring.keys].map(({ name }) => name),
    write: (...list: object[]) => writeFileSync(path, JSON.stringify(list)),
  };
}

describe('the keys of a file', () => {
  it('are followed, beside those of API_KEYS, and a change is logged with names and roles alone', async () => {
    const { write, names, said } = start();
    expect(names()).toEqual(['fixed', 'first']);

    write(entry('first', 'CRM'), entry('second', 'OPS'));
    await eventually(() => said.length > 0);
    write(entry('second', 'OPS'));
    await eventually(() => said.length > 1);

    expect(names()).toEqual(['fixed', 'second']);
    expect(said).toEqual([
      {
        level: 'info',
        message: 'the API keys have changed',
        fields: {
          added: [{ name: 'second', role: 'OPS' }],
          removed: [],
          changed: [{ name: 'first', role: 'CRM', changes: ['role was BACKEND'] }],
        },
      },
      {
        level: 'info',
        message: 'the API keys have changed',
        fields: { added: [], removed: [{ name: 'first', role: 'CRM' }], changed: [] },
      },
    ]);
  });

  it('are told of with each change in a line: whose key was exchanged, and nothing of the key itself', async () => {
    const { write, changes } = start();
    const shop = ['https://shop.example.com'];
    write(entry('first', 'BACKEND', { expiresAt: '2090-01-01T00:00:00Z' }), entry('a "quoted", name', 'GUEST'));
    await eventually(() => changes.length > 0);
    write({ ...entry('first', 'OPS'), sha256: entry('another').sha256 }, entry('crm', 'CRM', { origins: shop }));
    await eventually(() => changes.length > 1);
    write(entry('first', 'OPS'), entry('crm', 'CRM'));
    await eventually(() => changes.length > 2);

    expect(changes).toEqual([
      {
        status: 'SUCCESS',
        reason:
          'added: "a \\"quoted\\", name" (GUEST); changed: "first" (BACKEND, expires 2090-01-01T00:00:00.000Z, was never)',
      },
      {
        status: 'SUCCESS',
        reason:
          'added: "crm" (CRM); removed: "a \\"quoted\\", name" (GUEST); ' +
          'changed: "first" (OPS, exchanged, role was BACKEND, expires never, was 2090-01-01T00:00:00.000Z)',
      },
      { status: 'SUCCESS', reason: 'changed: "first" (OPS, exchanged), "crm" (CRM, other origins)' },
    ]);
  });

  it('are told of once while the file is not valid, and again when it is broken anew', async () => {
    const { write, path, said, changes } = start();
    for (const [index, text] of ['[', '[{', '{}'].entries()) {
      writeFileSync(path, text);
      await eventually(() => said.length > index);
    }
    write(entry('first'), entry('second'));
    await eventually(() => said.length > 3);
    rmSync(path);
    await eventually(() => said.length > 4);

    const broken = { status: 'REJECTED', reason: 'API_KEYS_FILE is not valid: the keys stay as they were' };
    expect(changes).toEqual([broken, { status: 'SUCCESS', reason: 'added: "second" (BACKEND)' }, broken]);
  });

  it('stay as they are while the file is broken, of which all is logged and no value', async () => {
    const { write, names, said, path } = start();
    write(
      entry('new'),
      entry('other', 'canary-role', { sha256: 'canary-hash' }),
      entry('third', 'OPS', { expires: 'x' }),
    );
    await eventually(() => said.length > 0);

    expect(names()).toEqual(['fixed', 'first']);
    expect(said[0]).toEqual({
      level: 'error',
      message: 'API_KEYS_FILE is not valid: the API keys stay as they were',
      fields: {
        problems: [
          expect.stringMatching(/^at 1\.role: /),
          'at 1.sha256: must be 64 hexadecimal digits',
          expect.stringMatching(/^at 2: .*"expires"/),
        ],
      },
    });
    expect(JSON.stringify(said)).not.toContain('canary');

    writeFileSync(path, '[{"name":');
    await eventually(() => said.length > 1);
    rmSync(path);
    await eventually(() => said.length > 2);
    write(entry('fixed'), entry('twice'), entry('first'));
    await eventually(() => said.length > 3);
    write(entry('first'), { ...entry('fixed'), name: 'other' });
    await eventually(() => said.length > 4);
    write(entry('first'), { ...entry('first'), name: 'alias' });
    await eventually(() => said.length > 5);
    expect(said.slice(1).map(({ fields }) => (fields as { problems: unknown }).problems)).toEqual([
      ['must be a JSON list'],
      ['cannot be read (ENOENT)'],
      ['at 0.name: is the name of a key in API_KEYS'],
      ['at 1.sha256: is the key of another name in API_KEYS'],
      ['at 1.sha256: is the key of another name'],
    ]);
    expect(names()).toEqual(['fixed', 'first']);

    write(entry('first'), entry('mended'));
    await eventually(() => said.length > 6);
    expect(names()).toEqual(['fixed', 'first', 'mended']);
  });

  it('may all be taken back: then nobody but API_KEYS has one, and the server does not become open', async () => {
    const path = join(temporaryDirectory(), 'keys.json');
    writeFileSync(path, JSON.stringify([entry('first')]));
    const changes: object[] = [];
    const log = { info: (fields: object) => void changes.push(fields), error: () => undefined };
    using ring = new KeyRing({ fixed: [], file: { path, keys: [keyOf('first')] }, log });
    writeFileSync(path, '[]');
    await eventually(() => changes.length > 0);

    expect([[...ring.keys], ring.isOpen]).toEqual([[], false]);
    expect(new KeyRing({ fixed: [], file: null, log }).isOpen).toBe(true);
  });

  it('tell whose pages may ask', async () => {
    const { ring, write, said } = start();
    const shop = 'https://shop.example.com';
    expect(ring.knowsOrigin(shop)).toBe(false);
    write(entry('widget', 'GUEST', { origins: [shop] }));
    await eventually(() => said.length > 0);

    expect([shop, `${shop}.evil.com`, 'null', ''].map((origin) => ring.knowsOrigin(origin))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('a file that is watched', () => {
  function watched(path: string, pollMs?: number) {
    const heard: FileState[] = [];
    const watch = watchKeyFile(path, (state) => heard.push(state), pollMs);
    onTestFinished(() => watch[Symbol.dispose]());
    const hears = (text: string) => eventually(() => heard.some((state) => 'text' in state && state.text === text));
    return { heard, hears, watch };
  }

  it('is read again when another one takes its place, as editors do it', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'keys.json');
    writeFileSync(path, 'one');
    const { hears } = watched(path, NEVER_MS);
    await hears('one');
    writeFileSync(join(directory, 'new'), 'two');
    renameSync(join(directory, 'new'), path);
    await hears('two');
  });

  it('is read again when a link on the way to it is another one, as mounts of secrets do it', async () => {
    const directory = temporaryDirectory();
    for (const version of ['one', 'two']) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'keys.json'), version);
    }
    symlinkSync('one', join(directory, '..data'));
    symlinkSync('..data/keys.json', join(directory, 'keys.json'));
    const { hears } = watched(join(directory, 'keys.json'), NEVER_MS);
    await hears('one');
    symlinkSync('two', join(directory, '..new'));
    renameSync(join(directory, '..new'), join(directory, '..data'));
    await hears('two');
  });

  it('is read again when it is a link, and what it leads to is written elsewhere', async () => {
    const directory = temporaryDirectory();
    const target = join(temporaryDirectory(), 'keys.json');
    writeFileSync(target, 'one');
    symlinkSync(target, join(directory, 'keys.json'));
    const { hears } = watched(join(directory, 'keys.json'));
    await hears('one');
    writeFileSync(target, 'two');
    await hears('two');
  });

  it('is found by looking now and then where nothing tells of it, and is told of once', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'later', 'keys.json');
    const { heard, hears, watch } = watched(path, 5); // there is nothing to watch yet
    await eventually(() => heard.length > 0);
    mkdirSync(join(directory, 'later'));
    writeFileSync(path, 'one');
    await hears('one');
    await new Promise((resolve) => setTimeout(resolve, 50)); // nothing to wait for: it is not to happen
    expect(heard.filter((state) => 'text' in state && state.text === 'one')).toHaveLength(1);

    watch[Symbol.dispose]();
    writeFileSync(path, 'two');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard.at(-1)).toEqual({ text: 'one' });
  });
});
