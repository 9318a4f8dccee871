import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { startSharedNetwork } from '../support/network.js';
import { Site } from '../support/server-process.js';
import {
  Books,
  GuestModel,
  MODEL_ENV,
  PUNCTUAL_ENV,
  type Step,
  type StoryOptions,
  settle,
  story,
} from '../support/session-model.js';

/** For longer, or again: `MODEL_RUNS=50 MODEL_SEED=… npx vitest run test/e2e/one-session-model.test.ts`. */
const RUNS = Number(process.env.MODEL_RUNS ?? 1);
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** A counterexample is made smaller for so long, and a passing test ends after it. */
const TIME_LIMIT_MS = 20_000 + RUNS * 10_000;
const OPTIONS = { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: TIME_LIMIT_MS };
const TIMEOUT_MS = TIME_LIMIT_MS + 30_000;

type Story = readonly Step[];

/** What befalls many guests at the same time; without fast-check's liking for few, since there are few runs. */
const stories = (options: StoryOptions = {}) =>
  fc.noBias(fc.array(story(options), { minLength: 1, maxLength: 32, size: 'max' }));

describe('whatever happens, and in whatever order, an intent has one session', () => {
  it.concurrent.each<[string, CxoneSandboxOptions, StoryOptions]>([
    ['tells whose a session is', {}, {}],
    ['tells the token as well', { echoToken: true }, {}],
    // What arrives late would be over before anybody could look for it.
    ['gives sessions a second', { sessionTtlSeconds: 1 }, { isPunctual: true }],
    // It could be told neither which of two sessions is whose nor which one came late.
    ['does not tell whose a session is', { echoAttributes: false }, { isPunctual: true, intents: 1 }],
  ])(
    'where CXone %s',
    async (_what, cxone, options) => {
      await fc.assert(
        fc.asyncProperty(stories(options), async (all) => {
          expect(await playInProcess(all, cxone, options.isPunctual ? PUNCTUAL_ENV : MODEL_ENV)).toEqual([]);
        }),
        OPTIONS,
      );
    },
    TIMEOUT_MS,
  );
});

describe('though the server is killed in the midst of it, an intent has one session', () => {
  /** How long each server lives but the last. */
  const lives = fc.array(fc.integer({ min: 50, max: 900 }), { minLength: 1, maxLength: 2 });
  const tenant = fc.record({ echoToken: fc.boolean(), sessionTtlSeconds: fc.constantFrom(8, 3600) });

  it(
    'where a process dies and the next goes on with its file',
    async () => {
      await fc.assert(
        fc.asyncProperty(stories(), lives, tenant, async (all, livesMs, cxone) => {
          expect(await playWithDeaths(all, livesMs, cxone)).toEqual([]);
        }),
        OPTIONS,
      );
    },
    TIMEOUT_MS,
  );
});

async function playInProcess(
  all: readonly Story[],
  cxone: CxoneSandboxOptions,
  env: Record<string, string>,
): Promise<string[]> {
  const network = await startSharedNetwork({ env, cxone });
  try {
    const { graphql, app } = network;
    using books = new Books(app.engine.databasePath);
    const world = { cxone: network.cxone, graphql, books, isExact: cxone.echoAttributes ?? true };
    const guests = all.map(() => new GuestModel(world));
    // By a session of ours that lives it is heard whether CXone tells whose sessions are.
    await new GuestModel(world).live([{ do: 'open', intent: 0, waits: true }]);
    await Promise.all(guests.map((guest, i) => guest.live(all[i] ?? [])));
    return await settle(world, guests);
  } finally {
    await network[Symbol.asyncDispose]();
  }
}

async function playWithDeaths(
  all: readonly Story[],
  livesMs: readonly number[],
  cxone: CxoneSandboxOptions,
): Promise<string[]> {
  const site = await Site.prepare({ env: MODEL_ENV, cxone });
  let server = await site.start();
  using books = new Books(site.databasePath);
  const world = {
    cxone: site.cxone,
    books,
    graphql: (query: string, variables?: object) => site.graphql(query, variables),
    isExact: false,
  };
  const guests = all.map(() => new GuestModel(world));
  const living = Promise.all(guests.map((guest, i) => guest.live(all[i] ?? [])));
  try {
    for (const lifeMs of livesMs) {
      await sleep(lifeMs);
      await server.end('SIGKILL');
      server = await site.start();
    }
    await living;
    return await settle(world, guests);
  } finally {
    await server.end('SIGKILL');
    await living.catch(() => undefined);
  }
}
