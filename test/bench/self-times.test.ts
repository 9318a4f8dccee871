import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { selfTimes } from '../../bench/lib/self-times.mjs';

const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 });
const file = (path: string) => pathToFileURL(path).href;

/** One sample every 10 µs from 1000 on, in the nodes that are given. */
const profileOf = (samples: number[]) => ({
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3, 6] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('close', file('dist/store/attempt-ledger.js')), children: [4] },
    { id: 4, callFrame: frame('bind', file('node_modules/@scope/driver/lib/index.js')), children: [5] },
    { id: 5, callFrame: frame('run') },
    { id: 6, callFrame: frame('emit', 'node:internal/streams/readable') },
  ],
  startTime: 990,
  samples,
  timeDeltas: samples.map(() => 10),
});
const everything = { from: 0, to: Number.POSITIVE_INFINITY };

describe('the self times of a profile', () => {
  it('are grouped by npm package, by Node, and by our folders; C++ counts under its caller', () => {
    const { packages } = selfTimes(profileOf([3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 2]), everything);
    expect(packages).toEqual([
      ['node:streams', 40],
      ['@scope/driver → native', 30],
      ['@scope/driver', 20],
      ['ours: store', 10],
    ]);
  });

  it('name a function with its file and line', () => {
    const { functions } = selfTimes(profileOf([3, 3, 5, 2]), everything);
    expect(functions).toEqual([
      ['close  dist/store/attempt-ledger.js:10', 20],
      ['run  native, from bind  @scope/driver/lib/index.js:10', 10],
    ]);
  });

  it('leave out what is idle, and what lies outside the span', () => {
    const { busyUs, totalUs } = selfTimes(profileOf([3, 3, 2, 2, 3, 3, 3]), { from: 1010, to: 1050 });
    expect({ busyUs, totalUs }).toEqual({ busyUs: 20, totalUs: 40 });
  });
});
