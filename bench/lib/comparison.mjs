import { median, percentile, ratios } from './statistics.mjs';

/** @typedef {import('./flows.mjs').Flow} Flow */
/** @typedef {import('./flows.mjs').Round} Round */

/** @typedef {{ clients: number, delayMs: number, aim: number }} Setting */

/**
 * What we compare, and what we want of it: b/a of the rates, or of the latency where CXone is slow. The many clients come
 * first: it takes V8 thousands of sessions to compile all that is hot, and a server in use is as warm as that.
 */
const FAST = [
  { clients: 50, delayMs: 0, aim: 1.3 },
  { clients: 1, delayMs: 0, aim: 1 },
];
const SLOW = [
  { clients: 50, delayMs: 50, aim: 1.25 },
  { clients: 1, delayMs: 50, aim: 1.25 },
];

/**
 * @param {import('./options.mjs').Options['only']} only
 * @returns {Setting[]}
 */
export function settingsFor(only) {
  if (only === 'audit') return [];
  if (only === null) return [...FAST, ...SLOW];
  return only === 'slow' ? SLOW : FAST.filter(({ clients }) => String(clients) === only);
}

const WARM_UP_MS = 4_000;
/** The code is warm by then; this is for the connections. */
const SETTING_WARM_UP_MS = 300;

/** @param {{ a: Flow, b: Flow }} flows */
export async function warmUp({ a, b }) {
  for (const flow of [a, b]) await flow({ clients: 50, durationMs: WARM_UP_MS });
}

/**
 * Runs both flows by turns, so that both have their share of what else the machine does.
 *
 * @param {{ a: Flow, b: Flow }} flows
 * @param {Setting} setting
 * @param {{ rounds: number, seconds: number }} options
 */
export async function compare({ a, b }, { clients, delayMs, aim }, { rounds, seconds }) {
  for (const flow of [a, b]) await flow({ clients, durationMs: SETTING_WARM_UP_MS });
  /** @type {Round[]} */
  const ofA = [];
  /** @type {Round[]} */
  const ofB = [];
  for (let i = 0; i < rounds; i++) {
    ofA.push(await a({ clients, durationMs: seconds * 1000 }));
    ofB.push(await b({ clients, durationMs: seconds * 1000 }));
  }
  const compared = (/** @type {keyof Round} */ what) => ratios(pluck(ofB, what), pluck(ofA, what));
  return {
    clients,
    delayMs,
    aim,
    a: summary(ofA),
    b: summary(ofB),
    rate: compared('rate'),
    drainedRate: compared('drainedRate'),
    p50: compared('p50Ms'),
    slowestOf: { a: slowest(ofA), b: slowest(ofB) },
  };
}

/** @param {Round[]} rounds */
function summary(rounds) {
  const middle = (/** @type {keyof Round} */ what) => median(pluck(rounds, what));
  const cpuIsKnown = rounds.every(({ cpuPerSessionMs }) => cpuPerSessionMs !== null);
  return {
    rate: middle('rate'),
    drainedRate: middle('drainedRate'),
    drainMs: middle('drainMs'),
    p50Ms: middle('p50Ms'),
    p99Ms: middle('p99Ms'),
    cpuPerSessionMs: cpuIsKnown ? middle('cpuPerSessionMs') : null,
    aroundPerSessionMs: middle('aroundPerSessionMs'),
  };
}

const pluck = (rounds, what) => rounds.map((round) => round[what]);
const slowest = (rounds) => Math.max(...rounds.map(({ latenciesMs }) => percentile(latenciesMs, 1)));
