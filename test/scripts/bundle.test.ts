import { readFileSync } from 'node:fs';
import { builtinModules, SourceMap } from 'node:module';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../dist/${path}`, import.meta.url), 'utf8');

/** What a built module loads before it runs, or on demand, without Node's own. */
const importsOf = (code: string) =>
  [
    ...code.matchAll(
      /^(?:import|export)\b[^'"\n]*["']([^"']+)["'];$|\bimport\(["']([^"']+)["']\)|= require\("([^"]+)"\);$/gm,
    ),
  ]
    .map(([, atOnce, onDemand, required]) => atOnce ?? onDemand ?? required ?? '')
    .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name));

describe.each(['main.js', 'store/ledger-thread.cjs'])('the built %s', (path) => {
  it('loads no package from its own folder but SQLite', () => {
    // class-validator is not there: type-graphql loads it where it is asked to validate.
    const packages = importsOf(read(path)).filter((name) => !/^\.\/chunk-|^class-validator$/.test(name));

    expect([...new Set(packages)]).toEqual(['@photostructure/sqlite']);
  });

  it('has a source map that leads to our sources and to those of packages', () => {
    const map = new SourceMap(JSON.parse(read(`${path}.map`)));
    const lines = read(path).split('\n');
    const originOf = (text: string) => {
      const line = lines.findIndex((candidate) => candidate.includes(text));
      return map.findEntry(line, lines[line]?.indexOf(text) ?? 0);
    };

    expect(originOf('var SqliteConnection = class')).toMatchObject({
      originalSource: expect.stringMatching(/^(\.\.\/)+src\/store\/sqlite-connection\.ts$/),
    });
    expect(originOf('function v7(')).toMatchObject({
      originalSource: expect.stringMatching(/^(\.\.\/)+node_modules\/uuid\/.+\.js$/),
    });
  });
});
