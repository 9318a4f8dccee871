import { describe, expect, it } from 'vitest';
import { Teardown } from '../src/teardown.js';

describe('a teardown', () => {
  it('closes in reverse order, each step after the one before is done', async () => {
    const closed: string[] = [];
    const slowly = (name: string, turns: number) => ({
      async [Symbol.asyncDispose]() {
        for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        closed.push(name);
      },
    });
    const teardown = new Teardown();
    teardown.use(slowly('first', 1));
    teardown.defer(() => closed.push('second'));
    teardown.use(slowly('third', 3));

    await teardown[Symbol.asyncDispose]();

    expect(closed).toEqual(['third', 'second', 'first']);
  });

  it('gives back what it is to close', () => {
    const resource = { name: 'x', async [Symbol.asyncDispose]() {} };

    expect(new Teardown().use(resource)).toBe(resource);
  });

  it('takes each step once, however often it is asked', async () => {
    let times = 0;
    const teardown = new Teardown();
    teardown.defer(() => {
      times += 1;
    });

    await Promise.all([teardown[Symbol.asyncDispose](), teardown[Symbol.asyncDispose]()]);
    await teardown[Symbol.asyncDispose]();

    expect(times).toBe(1);
  });

  it('takes every step even when some fail, and then throws the first failure', async () => {
    const closed: string[] = [];
    const teardown = new Teardown();
    teardown.defer(() => closed.push('last'));
    teardown.defer(() => {
      throw new Error('sync');
    });
    teardown.defer(() => Promise.reject(new Error('async')));
    teardown.defer(() => closed.push('first'));

    await expect(teardown[Symbol.asyncDispose]()).rejects.toThrow('async');
    expect(closed).toEqual(['first', 'last']);
  });
});
