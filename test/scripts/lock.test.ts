import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const library = new URL('../../scripts/lib/lock.mjs', import.meta.url).href;
let directory: string;
let script: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lock-'));
  script = join(directory, 'holder.mjs');
  // Notes when it comes in and when it leaves; with "die" it is killed in between.
  writeFileSync(
    script,
    `import { appendFileSync } from 'node:fs';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { withLock } from ${JSON.stringify(library)};
    const [how, maxWaitMs] = process.argv.slice(2);
    const note = (what) => appendFileSync('log', what + ' ' + process.pid + '\\n');
    await withLock('state/lock', async () => {
      note('in');
      if (how === 'die') process.kill(process.pid, 'SIGKILL');
      await sleep(40);
      note('out');
    }, { maxWaitMs: Number(maxWaitMs ?? 10000) });`,
  );
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const hold = async (...args: string[]) => {
  const child = spawn(process.execPath, [script, ...args], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const [code] = await once(child, 'close');
  return { code: code as number | null, complaint };
};

const log = () => readFileSync(join(directory, 'log'), 'utf8').trim().split('\n');

/** Fails unless everyone who came in left before the next one came. */
function expectOneAtATime(entries: string[], count: number): void {
  expect(entries).toHaveLength(2 * count);
  for (let index = 0; index < entries.length; index += 2) {
    expect(entries[index + 1]).toBe(entries[index]!.replace('in', 'out'));
  }
}

describe('the lock of a build', () => {
  it('lets one process in at a time, and leaves nothing behind', async () => {
    const ends = await Promise.all(Array.from({ length: 6 }, () => hold()));

    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
    expectOneAtATime(log(), 6);
    expect(readdirSync(join(directory, 'state'))).toEqual([]);
  });

  it('is taken from a process that died with it, by one of those that wait', async () => {
    expect((await hold('die')).code).toBeNull();
    await Promise.all(Array.from({ length: 4 }, () => hold()));

    expectOneAtATime(log().slice(1), 4);
    expect(readdirSync(join(directory, 'state'))).toEqual([]);
  });

  it('is taken from a holder elsewhere that has been silent for half a minute', async () => {
    heldElsewhere(31_000);

    expect((await hold()).code).toBe(0);
  });

  it('is waited for only so long, and the complaint names its holder', async () => {
    heldElsewhere(0);
    const { code, complaint } = await hold('', '200');

    expect(code).toBe(1);
    expect(complaint).toContain('process 1 on elsewhere.test has been building for too long');
  });

  function heldElsewhere(silentForMs: number): void {
    const lock = join(directory, 'state/lock');
    mkdirSync(lock, { recursive: true });
    writeFileSync(join(lock, 'owner.json'), JSON.stringify({ pid: 1, host: 'elsewhere.test' }));
    const touched = (Date.now() - silentForMs) / 1000;
    utimesSync(lock, touched, touched);
  }
});
