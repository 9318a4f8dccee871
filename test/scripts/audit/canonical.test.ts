import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { canonicalForm, GENESIS_HASH, link } from '../../../scripts/audit/canonical.mjs';

const page = readFileSync(new URL('../../../docs/audit.md', import.meta.url), 'utf8');
const vector = page.split('## A test vector')[1]?.split('\n## ')[0] ?? '';
const texts = vector.split('\n').filter((line) => line.startsWith('{"actor"'));
const hashes = vector.split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));

/** As the database has it. */
const toColumn = (name: string, value: unknown): unknown => {
  if (name === 'timestamp') return Date.parse(value as string);
  return typeof value === 'boolean' ? Number(value) : value;
};

const entryOf = (text: string): Record<string, unknown> => JSON.parse(text);
const members = [...new Set(texts.flatMap((text) => Object.keys(entryOf(text))))];
/** Of the table that has entries of both versions. */
const form = canonicalForm(members.reverse())!;
/** The values of a row: NULL in the columns that its version does not have. */
const rowOf = (text: string, changed: Record<string, unknown> = {}) => {
  const entry: Record<string, unknown> = { version: 1, ...entryOf(text), ...changed };
  return form.names.map((name) => toColumn(name, entry[name] ?? null));
};
const write = (text: string, changed?: Record<string, unknown>) => form.write(rowOf(text, changed));

describe('the canonical form of the verifier', () => {
  it('is that of the test vector of docs/audit.md, with its hashes', () => {
    expect(texts.map((text) => write(text))).toEqual(texts);
    let head = GENESIS_HASH;
    for (const [i, text] of texts.entries()) {
      head = link(head, text);
      expect(head).toBe(hashes[i]);
    }
    expect(hashes).toHaveLength(5);
  });

  it('is the same in a table from before version 2', () => {
    const old = canonicalForm(Object.keys(entryOf(texts[0]!)))!;
    const entry = entryOf(texts[0]!);
    expect(old.write(old.names.map((name) => toColumn(name, entry[name])))).toBe(texts[0]);
  });

  it('has times as toISOString gives them, also before 1970 and at the ends of time', () => {
    const times = [0, 999, 1_000, -1, -1_000, -1_001, 1_795_000_000_123, -62_198_755_200_001, 8.64e15, -8.64e15];
    for (const ms of times) {
      const timestamp = new Date(ms).toISOString();
      expect(write(texts[0]!, { timestamp })).toContain(`"timestamp":"${timestamp}"`);
    }
  });

  it.each<[name: string, value: unknown, version?: number]>([
    ['actor', null],
    ['actor', 5],
    ['attempts', 1.5],
    ['attempts', '1'],
    ['crmSynced', 2],
    ['durationMs', Number.POSITIVE_INFINITY],
    ['durationMs', -0],
    ['sequence', null],
    ['timestamp', 8.64e15 + 1],
    ['guestId', new Uint8Array(1)],
    ['personal', ''],
    ['actorRole', 'OPS'],
    ['sourceAddress', ''],
    ['version', 0],
    ['version', 3],
    ['version', '1'],
    ['version', null],
    ['sessionId', '', 2],
    ['personal', new Uint8Array(1), 2],
    ['actorRole', 1, 2],
  ])('refuses a %s of %s', (name, value, version = 1) => {
    const row = rowOf(version === 1 ? texts[0]! : texts[2]!);
    const values = form.names.map((member, i) => (member === name ? value : row[i]));
    expect(() => form.write(values)).toThrow(`${name} has a value that no entry can have`);
  });

  it('is not known for other members', () => {
    expect(canonicalForm([...form.names, 'mood'])).toBeUndefined();
    expect(canonicalForm(form.names.slice(1))).toBeUndefined();
  });
});
