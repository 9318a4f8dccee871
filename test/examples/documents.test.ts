import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/errors.js';
import { type AuditEntry, GENESIS_HASH, hashEntry } from '../../src/store/audit-chain.js';
import { GuestKey } from '../../src/store/guest-key.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** The text below a heading of README.md, up to the next one of its level. */
const section = (heading: string): string => read('README.md').split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';

/** The lines of the test vector of the audit trail. */
const auditVector = (): string[] =>
  (read('docs/audit.md').split('## A test vector')[1]?.split('\n## ')[0] ?? '').split('\n');

/** What stands in the first column of a table, where it is code. */
const firstColumn = (text: string): string[] => [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name!);

describe('README.md', () => {
  it('has every setting that config.ts reads, and no other', () => {
    const sources = read('src/config.ts') + read('src/access-settings.ts') + read('src/transport-settings.ts');
    const settings = [...sources.matchAll(/^ {2}([A-Z][A-Z_]+): /gm)].map(([, name]) => name!);

    expect(settings.length).toBeGreaterThan(20);
    expect(firstColumn(section('Settings')).sort()).toEqual(settings.sort());
  });

  it('says of every error code what to do', () => {
    const [userErrors] = section('Errors, and what to do about them').split('"Later" and "yes"');

    expect(firstColumn(userErrors ?? '').sort()).toEqual(Object.keys(ErrorCode).sort());
  });

  it('tries again, in its sample, after each error of which it says to send the same again', () => {
    const [, errors = ''] = section('Errors, and what to do about them').split('"Later" and "yes"');
    const [, again = ''] = /const AGAIN = new Set\(\[([^\]]*)\]\)/.exec(read('README.md')) ?? [];
    const codes = firstColumn(errors.replace(/^(?!.*\bthe same again).*$/gim, ''));

    expect(codes.length).toBeGreaterThan(2);
    expect(codes.filter((code) => !again.includes(`'${code}'`))).toEqual([]);
  });

  it('names every npm script that exists, and none that does not', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...read('README.md').matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name!);

    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
    expect(Object.keys(scripts).filter((name) => !['start', 'test', ...named].includes(name))).toEqual([]);
  });
});

describe('SECURITY.md', () => {
  const rows = (read('SECURITY.md').split('\n## Threat model\n')[1]?.split('\n## ')[0] ?? '')
    .split('\n')
    .filter((line) => /^\|(?! Who \||-)/.test(line))
    .map((line) => line.slice(1, -1).split('|'))
    .map((cells) => cells.map((cell) => cell.trim()));

  it('says of every threat who it comes from, what stops it and which tests show that', () => {
    expect(rows.length).toBeGreaterThan(20);
    // Whoever is left out is the one of the row above.
    for (const [, wanted, stopped, shownBy, ...more] of rows) {
      expect([wanted, stopped, more], wanted).toEqual([expect.stringMatching(/./), expect.stringMatching(/./), []]);
      const paths = [...(shownBy ?? '').matchAll(/`(test\/[\w./-]+\.test\.ts)`/g)].map(([, path]) => path!);
      expect(paths.length, wanted).toBeGreaterThan(0);
      expect(shownBy).toBe(paths.map((path) => `\`${path}\``).join(', '));
    }
  });
});

describe('docs/', () => {
  const documents = [
    'README.md',
    'CHANGELOG.md',
    'SECURITY.md',
    ...['docs', 'docs/adr'].flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => `${folder}/${name}`),
    ),
  ];

  it.each(documents)('leads to files that exist from %s', (document) => {
    const links = [...read(document).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path]) => path!);

    expect(links.filter((path) => !existsSync(join(ROOT, dirname(document), path)))).toEqual([]);
  });

  it('names files and tests that exist', () => {
    const paths = documents.flatMap((document) =>
      [...read(document).matchAll(/`((?:src|test)\/[\w./-]+)`/g)].map(([, path]) => path!),
    );

    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('has a test vector of the audit chain that this program and plain SHA-256 agree with', () => {
    const lines = auditVector();
    const entries = lines.filter((line) => line.startsWith('{"actor"'));
    const hashes = lines.filter((line) => /^[0-9a-f]{64}$/.test(line));
    const chain = (link: (previousHash: string, entry: string) => string) => {
      let previousHash = GENESIS_HASH;
      return entries.map((entry) => {
        previousHash = link(previousHash, entry);
        return previousHash;
      });
    };

    expect(entries).toHaveLength(5);
    expect(
      chain((previous, entry) =>
        createHash('sha256')
          .update(previous + entry)
          .digest('hex'),
      ),
    ).toEqual(hashes);
    const ours = (previous: string, line: string) => {
      const entry = JSON.parse(line) as AuditEntry & { timestamp: string };
      return hashEntry(previous, { ...entry, version: entry.version ?? 1, timestamp: new Date(entry.timestamp) });
    };
    expect(chain(ours)).toEqual(hashes);
  });

  it('has a test vector of what is sealed in an entry that this program opens', () => {
    const lines = auditVector();
    const sealed = lines.filter((line) => line.includes('"personal":"')).map((line) => JSON.parse(line) as AuditEntry);
    const told = lines.filter((line) => line.startsWith('{"guestId"'));
    const key = new GuestKey('gk_17', Buffer.from(Array.from({ length: 32 }, (_, i) => i)));

    expect(sealed.map(({ id, personal }) => key.unseal(personal!, `audit:${id}`))).toEqual(told);
    expect(told).toHaveLength(1);
  });
});
