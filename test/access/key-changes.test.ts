import { describe, expect, it } from 'vitest';
import { KeyChanges } from '../../src/access/key-changes.js';
import { eventually } from '../support/eventually.js';

/** Changes, and what became of them in a trail that takes as many as it is let. */
function start(retryMs = 5) {
  const trail = { written: [] as string[], takes: Number.POSITIVE_INFINITY, tries: 0 };
  const logged: { fields: object; message: string }[] = [];
  const changes = new KeyChanges({
    write: async ({ reason }) => {
      trail.tries += 1;
      if (trail.written.length >= trail.takes) throw new Error('the disk is full');
      trail.written.push(reason);
    },
    log: { error: (fields, message) => void logged.push({ fields, message }) },
    retryMs,
  });
  const record = (...reasons: string[]) => {
    for (const reason of reasons) changes.record({ status: 'SUCCESS', reason });
  };
  return { changes, trail, logged, record };
}

describe('changes of the keys', () => {
  it('are written one by one, in their order', async () => {
    const { changes, trail, record, logged } = start();
    record('one', 'two');
    await eventually(() => trail.written.length === 2);
    record('three');
    await changes[Symbol.asyncDispose]();

    expect([trail.written, logged]).toEqual([['one', 'two', 'three'], []]);
  });

  it('are kept while nothing can be written, which is logged once, and told later with their time', async () => {
    const { changes, trail, record, logged } = start();
    trail.takes = 1;
    record('one', 'two');
    await eventually(() => trail.tries > 3);
    record('three');
    trail.takes = Number.POSITIVE_INFINITY;
    await eventually(() => trail.written.length === 3);
    record('four');
    await changes[Symbol.asyncDispose]();

    const at = '; at \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$';
    const late = (reason: string) => expect.stringMatching(new RegExp(`^${reason}${at}`));
    expect(trail.written).toEqual(['one', late('two'), late('three'), 'four']);
    expect(logged.map(({ message }) => message)).toEqual([
      'a change of the API keys could not be written down: it is tried again',
    ]);
  });

  it('are tried a last time at the end', async () => {
    const { changes, trail, record } = start(3_600_000);
    trail.takes = 0;
    record('one');
    await eventually(() => trail.tries > 0);
    trail.takes = 1;
    await changes[Symbol.asyncDispose]();

    expect(trail.written).toEqual([expect.stringMatching(/^one; at /)]);
  });

  it('are in the log where the trail never takes them', async () => {
    const { changes, trail, record, logged } = start();
    trail.takes = 0;
    record('one');
    await changes[Symbol.asyncDispose]();

    expect(logged.at(-1)).toEqual({
      message: 'changes of the API keys are not in the audit trail',
      fields: { changes: [{ status: 'SUCCESS', reason: 'one', at: expect.any(Date) }] },
    });
  });
});
