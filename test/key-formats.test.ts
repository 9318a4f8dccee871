import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkKeys, RESERVED_NAMES } from '../src/key-formats.js';

const keyNamed = (name: string) => JSON.stringify([{ name, role: 'GUEST', sha256: '0'.repeat(64) }]);
const problemsWith = (name: string) => checkKeys(keyNamed(name), []).problems;

describe('the name of a key', () => {
  it.each([...RESERVED_NAMES, 'Local', ' server '])('may not be %j, which the audit trail has for another', (name) => {
    expect(problemsWith(name)).toEqual([
      'at 0.name: must not be local, anonymous or library, nor the name of a part of the server',
    ]);
  });

  it.each(['server 2', 'my-reconciler', 'localhost', 'guest'])('may be %j', (name) => {
    expect(problemsWith(name)).toEqual([]);
  });

  it('may not be that of any part of the server that there is', () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const parts = files.flatMap((file) =>
      [...readFileSync(`src/${file}`, 'utf8').matchAll(/systemActor\('([^']+)'/g)].map(([, name]) => name),
    );
    expect(new Set(parts).size).toBeGreaterThan(5);
    expect([...RESERVED_NAMES]).toEqual(expect.arrayContaining(parts));
  });
});
