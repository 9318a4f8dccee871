import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BoundedRate, type BoundedRateOptions } from '../../src/access/bounded-rate.js';
import { setWallClock } from '../cxone/clocks.js';

function start(options: Partial<BoundedRateOptions> = {}): BoundedRate {
  const rate = new BoundedRate({ limit: 2, windowSeconds: 60, mostApart: 100, ...options });
  onTestFinished(() => rate[Symbol.dispose]());
  return rate;
}

/** Time stands still until it is moved. */
function stopClocks() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  return { advanceMs: (ms: number) => vi.advanceTimersByTime(ms) };
}

/** As long as a window is at most, which tests that take their time are not to depend on. */
const WAIT = expect.toSatisfy((seconds) => Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);

/** What so many in a row come to. */
async function times(rate: BoundedRate, count: number, name: string): Promise<(number | null)[]> {
  const waits: (number | null)[] = [];
  for (let i = 0; i < count; i += 1) waits.push(await rate.count(name));
  return waits;
}

describe('a rate', () => {
  it('lets each go on as often as is allowed, and tells then in how many whole seconds it may again', async () => {
    const { advanceMs } = stopClocks();
    const rate = start();

    expect(await times(rate, 4, 'a')).toEqual([null, null, 60, 60]);
    advanceMs(500);
    expect(await times(rate, 3, 'b')).toEqual([null, null, 60]);
    expect(await times(rate, 1, 'a')).toEqual([60]);
    advanceMs(59_400);
    expect(await times(rate, 1, 'a')).toEqual([1]);
  });

  it('tells without counting whether another would be too many', async () => {
    const rate = start({ mostApart: 2, together: (name) => name.slice(0, 1) });
    for (let i = 0; i < 5; i += 1) expect(await rate.wait('a1')).toBeNull();
    expect(await times(rate, 2, 'a1')).toEqual([null, null]);
    expect([await rate.wait('a1'), await rate.wait('a2')]).toEqual([WAIT, null]);
    await rate.count('b1');
    await times(rate, 2, 'a2'); // with those of its group from now on
    expect([await rate.wait('a3'), await rate.wait('b2'), await rate.wait('b1')]).toEqual([WAIT, null, null]);
  });

  it('lets one go on again when its window is over, though it has never ceased to ask', async () => {
    const { advanceMs } = stopClocks();
    const rate = start();
    for (let second = 0; second < 60; second += 1) {
      expect(await rate.count('a')).toBe(second < 2 ? null : 60 - second);
      advanceMs(1_000);
    }

    expect(await times(rate, 3, 'a')).toEqual([null, null, 60]);
  });

  it('never says to wait for longer than a window, also where the wall clock was set back', async () => {
    const rate = start();
    await times(rate, 2, 'a');
    setWallClock(-24);

    expect(await times(rate, 1, 'a')).toEqual([60]);
  });

  it('does not count what is given back, nor what it has refused', async () => {
    const rate = start();
    const taken = await rate.take('a');
    expect(await times(rate, 20, 'a')).toEqual([null, ...Array(19).fill(WAIT)]);
    await (await rate.take('a')).giveBack(); // was refused: there is nothing to give back
    expect(await times(rate, 1, 'a')).toEqual([WAIT]);

    await taken.giveBack();
    expect(await times(rate, 2, 'a')).toEqual([null, WAIT]);
  });

  it('takes nothing back of a window that is over', async () => {
    const { advanceMs } = stopClocks();
    const rate = start();
    const taken = await rate.take('a');
    advanceMs(60_000);
    await taken.giveBack();

    expect(await times(rate, 3, 'a')).toEqual([null, null, 60]);
  });

  it('holds no process up with its timers, and has forgotten all when it is disposed of', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = timers();
    const rate = start({ mostApart: 1 });
    for (const name of ['a', 'b']) expect(await times(rate, 3, name)).toEqual([null, null, WAIT]);
    expect(timers()).toBe(before);

    rate[Symbol.dispose]();
    for (const name of ['a', 'b']) expect(await times(rate, 3, name)).toEqual([null, null, WAIT]);
  });
});

describe('when there are more than are counted apart', () => {
  const groupOf = (name: string) => name.split('.', 1)[0] ?? '';

  it('who was there before is counted as before, and newcomers together with those of their group', async () => {
    const rate = start({ mostApart: 2, together: groupOf });
    await times(rate, 1, 'x.1');
    await times(rate, 2, 'x.2');

    expect(await times(rate, 1, 'x.3')).toEqual([null]);
    expect(await times(rate, 2, 'x.4')).toEqual([null, WAIT]);
    expect(await times(rate, 1, 'y.1')).toEqual([null]);
    expect(await times(rate, 2, 'x.1')).toEqual([null, WAIT]);
    expect(await times(rate, 1, 'x.2')).toEqual([WAIT]);
  });

  it('newcomers are counted with all others where also the groups are too many', async () => {
    const rate = start({ mostApart: 1, together: groupOf });
    for (const name of ['x.1', 'y.1']) await rate.count(name);

    expect(await times(rate, 1, 'z.1')).toEqual([null]);
    expect(await times(rate, 2, 'v.1')).toEqual([null, WAIT]);
    expect(await times(rate, 2, 'y.2')).toEqual([null, WAIT]);
  });

  it('they are counted apart again when the windows of others are over', async () => {
    const { advanceMs } = stopClocks();
    const rate = start({ mostApart: 2 });
    await rate.count('a');
    advanceMs(30_000);
    await rate.count('b');
    expect(await times(rate, 3, 'c')).toEqual([null, null, 60]);
    expect(await times(rate, 1, 'd')).toEqual([60]);

    advanceMs(30_000);
    expect(await times(rate, 3, 'd')).toEqual([null, null, 60]);
    expect(await times(rate, 1, 'c')).toEqual([30]);
    advanceMs(30_000);
    expect(await times(rate, 2, 'c')).toEqual([null, null]);
    expect(await times(rate, 1, 'd')).toEqual([30]);
  });

  it('fifty thousand names take no more memory than those few do', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const usedBytes = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const rate = start({ mostApart: 100, together: groupOf });
    const before = usedBytes();
    for (let i = 0; i < 50_000; i += 1) await rate.count(`${i % 1_000}.${i}`);

    // Counted apart they would take 25 MB.
    expect(usedBytes() - before).toBeLessThan(8_000_000);
    expect(await times(rate, 2, '0.0')).toEqual([null, WAIT]);
  });
});
