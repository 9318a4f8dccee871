import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesUnder, removeAllBut } from '../../scripts/lib/files.mjs';
import { runSteps, type Step } from '../../scripts/lib/incremental.mjs';

let root: string;
const at = (...path: string[]) => join(root, ...path);
const write = (path: string, content: string) => {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), content);
  return at(path);
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'incremental-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A step that copies one file in capitals. */
function shout(name: string, more: Partial<Step> = {}): Step {
  return {
    name,
    inputs: () => [at(`${name}.txt`)],
    run: async () => [write(`out/${name}.txt`, readFileSync(at(`${name}.txt`), 'utf8').toUpperCase())],
    ...more,
  };
}

/** Runs the steps, and says which of them ran. */
async function ran(steps: Step[], options: { force?: boolean } = {}): Promise<string[]> {
  const names: string[] = [];
  const spied = new Map<Step, Step>();
  for (const step of steps) {
    const needs = step.needs && spied.get(step.needs);
    const run: Step['run'] = (signal) => {
      names.push(step.name);
      return step.run(signal);
    };
    spied.set(step, { ...step, ...(needs && { needs }), run });
  }
  await runSteps([...spied.values()], { root, state: at('state'), report: () => {}, ...options });
  return names;
}

describe('a build', () => {
  it('runs what it never ran, and nothing the second time', async () => {
    write('a.txt', 'a');

    expect(await ran([shout('a')])).toEqual(['a']);
    expect(await ran([shout('a')])).toEqual([]);
    expect(readFileSync(at('out/a.txt'), 'utf8')).toBe('A');
  });

  it('runs only the step whose input has another content', async () => {
    write('a.txt', 'a');
    write('b.txt', 'b');
    await ran([shout('a'), shout('b')]);
    write('b.txt', 'c');

    expect(await ran([shout('a'), shout('b')])).toEqual(['b']);
  });

  it('does not care when a file was written, as after a checkout', async () => {
    utimesSync(write('a.txt', 'a'), 1, 1);
    await ran([shout('a')]);
    utimesSync(write('a.txt', 'a'), 2, 2);

    expect(await ran([shout('a')])).toEqual([]);
  });

  it('runs a step whose input came or went, or whose version changed', async () => {
    write('in/a.txt', 'a');
    const step = shout('all', { inputs: () => filesUnder(at('in')), run: async () => [] });
    await ran([step]);
    write('in/b.txt', '');
    expect(await ran([step])).toEqual(['all']);
    rmSync(at('in/b.txt'));
    expect(await ran([step])).toEqual(['all']);
    expect(await ran([{ ...step, version: () => '2' }])).toEqual(['all']);
  });

  it.each([
    ['deleted', () => rmSync(at('out/a.txt'))],
    ['cut short', () => writeFileSync(at('out/a.txt'), '')],
  ])('runs a step whose output was %s', async (_what, damage) => {
    write('a.txt', 'a');
    await ran([shout('a')]);
    damage();

    expect(await ran([shout('a')])).toEqual(['a']);
  });

  it('runs everything when it cannot read what it left, or is forced to', async () => {
    write('a.txt', 'a');
    await ran([shout('a')]);
    write('state/stamp.json', '{');

    expect(await ran([shout('a')])).toEqual(['a']);
    expect(await ran([shout('a')], { force: true })).toEqual(['a']);
  });

  it('waits for the step that another one needs', async () => {
    const order: string[] = [];
    const slow = shout('slow', {
      inputs: () => [],
      run: async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        order.push('slow');
        return [];
      },
    });
    const quick = { ...slow, name: 'quick', run: async () => [order.push('quick')].slice(1) as never[] };
    await runSteps([slow, { ...quick, needs: slow }], { root, state: at('state'), report: () => {} });

    expect(order).toEqual(['slow', 'quick']);
  });

  it('fails with the step that failed, keeps what the others did, and tries that step again', async () => {
    write('a.txt', 'a');
    write('b.txt', 'b');
    const broken = shout('b', { run: () => Promise.reject(new Error('no b today')) });

    await expect(ran([shout('a'), broken])).rejects.toThrow('no b today');
    expect(await ran([shout('a'), shout('b')])).toEqual(['b']);
  });

  it('builds again what was edited while it was built', async () => {
    write('a.txt', 'a');
    const edited = shout('a', {
      run: async () => {
        write('a.txt', 'edited');
        return [];
      },
    });
    await ran([edited]);

    expect(await ran([shout('a')])).toEqual(['a']);
  });
});

describe('removeAllBut', () => {
  it('removes what deleted sources left, with the folders that become empty, and spares what it is told to', () => {
    const kept = write('dist/kept.js', '');
    write('dist/old/deep/gone.js', '');
    write('dist/playground/page.html', '');
    removeAllBut([kept], at('dist'), [at('dist/playground')]);

    expect(filesUnder(root)).toEqual([at('dist/kept.js'), at('dist/playground/page.html')]);
    expect(() => readFileSync(at('dist/old'))).toThrow('ENOENT');
  });
});
