import { describe, expect, it, onTestFinished } from 'vitest';
import { type CountedRefusal, type Refusal, Refusals } from '../../src/access/refusals.js';
import type { ActorRole } from '../../src/guest-session/actor.js';
import { eventually } from '../support/eventually.js';

const MINUTE_MS = 60_000;

/** Refusals by a clock of the test's own, and what is written of them; `fails` makes the writing fail. */
function start() {
  const books = {
    nowMs: 0,
    fails: false,
    written: [] as CountedRefusal[],
    tries: 0,
    logged: [] as string[],
    /** How often a caller was turned away that is in the books. */
    total: () => books.written.reduce((sum, { attempts }) => sum + attempts, 0),
  };
  const refusals = new Refusals({
    write: async (counted) => {
      books.tries += 1;
      if (books.fails) throw new Error('nothing can be written');
      books.written.push(...counted);
    },
    log: { error: (_fields, message) => books.logged.push(message) },
    now: () => books.nowMs,
    lookMs: 1,
  });
  onTestFinished(() => refusals[Symbol.asyncDispose]());
  return { refusals, books };
}

const refusal = (sourceAddress: string | null = '203.0.113.0/24#000000000001', reason = 'unknown key'): Refusal => ({
  actor: { name: 'anonymous', role: null, sourceAddress },
  reason,
});

describe('whoever is turned away', () => {
  it('is written down at once', () => {
    const { refusals, books } = start();
    refusals.record(refusal());

    expect(books.written).toEqual([{ ...refusal(), attempts: 1 }]);
  });

  it('is counted for a minute, and then written as one entry', async () => {
    const { refusals, books } = start();
    for (let attempt = 0; attempt < 1_000; attempt++) refusals.record(refusal());
    books.nowMs = MINUTE_MS - 1;
    await new Promise((resolve) => setTimeout(resolve, 20)); // nothing to wait for: it is not to happen
    expect(books.written).toHaveLength(1);

    books.nowMs = MINUTE_MS;
    await eventually(() => books.written.length > 1);
    expect(books.written).toEqual([
      { ...refusal(), attempts: 1 },
      { ...refusal(), attempts: 999 },
    ]);
  });

  it('is written at once again when a quiet minute is over', async () => {
    const { refusals, books } = start();
    refusals.record(refusal());
    books.nowMs = MINUTE_MS;
    await new Promise((resolve) => setTimeout(resolve, 20)); // nobody is told that it was quiet
    refusals.record(refusal());

    expect(books.written[1]).toEqual({ ...refusal(), attempts: 1 });
  });

  it.each([
    ['address', refusal('198.51.100.0/24#000000000002')],
    ['reason', refusal(undefined, 'no key')],
    ['name', { ...refusal(), actor: { ...refusal().actor, name: 'portal' } }],
    ['role', { ...refusal(), actor: { ...refusal().actor, role: 'CRM' as const } }],
  ])('is not taken for one of another %s', (_what, other) => {
    const { refusals, books } = start();
    refusals.record(refusal());
    refusals.record(other);

    expect(books.written).toEqual([
      { ...refusal(), attempts: 1 },
      { ...other, attempts: 1 },
    ]);
  });

  it('is counted with all others when there are more than a hundred, so that whoever has many addresses fills neither the memory nor the trail', async () => {
    const { refusals, books } = start();
    const others = {
      actor: { name: 'anonymous', role: null, sourceAddress: null },
      reason: expect.stringMatching(/^others: /),
    };
    for (let caller = 0; caller < 10_050; caller++) refusals.record(refusal(`10.0.0.0/24#${caller}`));
    expect(books.written).toHaveLength(101);
    expect(books.written.at(-1)).toEqual({ ...others, attempts: 1 });

    books.nowMs = MINUTE_MS;
    await eventually(() => books.written.length > 101);
    expect(books.written.slice(101)).toEqual([{ ...others, attempts: 9_949 }]);
  });

  describe('while there are more than a hundred', () => {
    const named = (
      name: string,
      role: ActorRole,
      reason = 'the role may not',
      sourceAddress: string | null = 'here',
    ) => ({
      actor: { name, role, sourceAddress },
      reason,
    });
    const sourceAddress = null;

    it('is written with its name and reason where it has a name, however many nameless ones there are', async () => {
      const { refusals, books } = start();
      for (let caller = 0; caller < 150; caller++) refusals.record(refusal(`10.0.0.0/24#${caller}`));
      refusals.record(named('crm', 'CRM'));

      expect(books.written.at(-1)).toEqual({ ...named('crm', 'CRM'), attempts: 1 });
    });

    it('and all of its role are too many, is written without its address', async () => {
      const { refusals, books } = start();
      for (let i = 0; i < 100; i++) refusals.record(named('crm', 'CRM', 'the role may not', `10.0.0.0/24#${i}`));
      for (const from of ['there', 'elsewhere']) refusals.record(named('crm', 'CRM', 'the role may not', from));
      refusals.record(named('portal', 'CRM'));
      expect(books.written.slice(100)).toEqual([
        { ...named('crm', 'CRM', 'the role may not', sourceAddress), attempts: 1 },
        { ...named('portal', 'CRM', 'the role may not', sourceAddress), attempts: 1 },
      ]);

      books.nowMs = MINUTE_MS;
      await eventually(() => books.total() === 103);
      expect(books.written.slice(102)).toEqual([
        { ...named('crm', 'CRM', 'the role may not', sourceAddress), attempts: 1 },
      ]);
    });

    it('is written though a role that anybody may have has filled all of its own room', () => {
      const { refusals, books } = start();
      for (let guest = 0; guest < 1_000; guest++) refusals.record(named(`jwt:${guest}`, 'GUEST'));
      expect(books.written).toHaveLength(201);
      expect(books.written.at(-1)).toMatchObject({
        actor: { name: 'anonymous' },
        reason: expect.stringMatching(/^others: /),
      });

      refusals.record(named('crm', 'CRM'));
      expect(books.written.at(-1)).toEqual({ ...named('crm', 'CRM'), attempts: 1 });
    });

    it('has room again when their minute is over', async () => {
      const { refusals, books } = start();
      for (let caller = 0; caller < 100; caller++) refusals.record(refusal(`10.0.0.0/24#${caller}`));
      books.nowMs = MINUTE_MS;
      const another = refusal('10.0.0.0/24#another');
      await eventually(() => {
        refusals.record(another);
        return books.written.some(({ actor }) => actor.sourceAddress === another.actor.sourceAddress);
      });
    });
  });

  it('is written at the shutdown as far as it was only counted', async () => {
    const { refusals, books } = start();
    for (let attempt = 0; attempt < 3; attempt++) refusals.record(refusal());
    await refusals[Symbol.asyncDispose]();

    expect(books.written.map(({ attempts }) => attempts)).toEqual([1, 2]);
  });

  it('is counted on while nothing can be written, which is logged once, and nobody has to wait or hears of it', async () => {
    const { refusals, books } = start();
    books.fails = true;
    for (let attempt = 0; attempt < 10; attempt++) refusals.record(refusal());
    refusals.record(refusal(undefined, 'no key'));
    await eventually(() => books.logged.length > 0);
    books.nowMs = MINUTE_MS;
    await eventually(() => books.tries > 2);
    expect([books.written, books.logged]).toEqual([[], [expect.stringContaining('could not be written')]]);

    books.fails = false;
    books.nowMs = 3 * MINUTE_MS;
    await eventually(() => books.total() === 11);
    expect(books.written.map(({ attempts, reason }) => [attempts, reason])).toEqual([
      [10, 'unknown key'],
      [1, 'no key'],
    ]);
  });
});
