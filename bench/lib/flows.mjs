import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './statistics.mjs';

/** @typedef {import('./closed-loop.mjs').LoadResult} LoadResult */

/**
 * One flow under load for one round.
 *
 * @typedef {object} Round
 * @property {number} rate sessions per second, until the last answer
 * @property {number} drainedRate the same, until the CRM had every webhook
 * @property {number} drainMs from the last answer until then
 * @property {number} p50Ms
 * @property {number} p99Ms
 * @property {Float64Array} latenciesMs
 * @property {number | null} cpuPerSessionMs of the process that runs the flow
 * @property {number} aroundPerSessionMs CPU of the stand-in and of the load client, which share the machine with it
 */

/** @typedef {(load: { clients: number, durationMs: number }) => Promise<Round>} Flow */

const DRAINED_WITHIN_MS = 15_000;
const DRAIN_POLL_MS = 5;
/** After a webhook was answered the server still writes that down. */
const SETTLE_MS = 150;

/**
 * @param {import('./helper.mjs').Helper} naive
 * @param {import('./helper.mjs').Helper} standIn
 * @returns {Flow}
 */
export const naiveFlow = (naive, standIn) => async (load) => {
  const upstream = await watch(standIn);
  const result = checked(await naive.ask('run', load), '(a)');
  await upstream.expect(result.sessions, '(a)');
  return round(result, {
    drainMs: 0, // every webhook was waited for
    flowCpuMs: result.cpuMs,
    aroundCpuMs: await upstream.cpuMs(),
  });
};

/**
 * @param {import('./helper.mjs').Helper} loadClient
 * @param {import('./built-server.mjs').BuiltServer} server
 * @param {import('./helper.mjs').Helper} standIn
 * @returns {Flow}
 */
export const serverFlow = (loadClient, server, standIn) => async (load) => {
  const upstream = await watch(standIn);
  const cpuBefore = server.cpuMs();
  const result = checked(await loadClient.ask('run', load), '(b)');
  const drainMs = await drain(upstream, result.sessions);
  await upstream.expect(result.sessions, '(b)');
  await sleep(SETTLE_MS);
  const cpuAfter = server.cpuMs();
  return round(result, {
    drainMs,
    // The drain included: the CRM is told by the same process.
    flowCpuMs: cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore,
    aroundCpuMs: (await upstream.cpuMs()) + result.cpuMs,
  });
};

/** @param {Awaited<ReturnType<typeof watch>>} upstream */
async function drain(upstream, sessions) {
  const startedAt = performance.now();
  for (;;) {
    const { webhook } = await upstream.counts();
    const drainMs = performance.now() - startedAt;
    if (webhook >= sessions) return drainMs;
    if (drainMs > DRAINED_WITHIN_MS) {
      throw new Error(
        `(b): ${sessions - webhook} of ${sessions} webhooks have not come ${DRAINED_WITHIN_MS / 1000} s later`,
      );
    }
    await sleep(DRAIN_POLL_MS);
  }
}

/** What the stand-in sees from now on. */
async function watch(standIn) {
  const before = await standIn.ask('counts');
  const cpuBefore = await standIn.cpuMs();
  const counts = async () => {
    const now = await standIn.ask('counts');
    return Object.fromEntries(Object.keys(now).map((call) => [call, now[call] - before[call]]));
  };
  return {
    counts,
    cpuMs: async () => (await standIn.cpuMs()) - cpuBefore,
    /** A flow that left a call out, or made one twice, must not win. */
    expect: async (sessions, name) => {
      const { list, create, webhook } = await counts();
      if (list === sessions && create === sessions && webhook === sessions) return;
      const seen = `${list} capacity checks, ${create} creations, ${webhook} webhooks`;
      throw new Error(`${name}: ${sessions} sessions were answered, but the stand-in saw ${seen}`);
    },
  };
}

/**
 * @param {LoadResult} result
 * @param {string} name
 */
function checked(result, name) {
  if (result.failures === 0 && result.sessions > 0) return result;
  throw new Error(
    `${name}: ${result.failures} failures, ${result.sessions} sessions; the first: ${result.firstFailure}`,
  );
}

/** @returns {Round} */
function round(result, { drainMs, flowCpuMs, aroundCpuMs }) {
  const { sessions, elapsedMs, latenciesMs } = result;
  return {
    rate: (sessions * 1000) / elapsedMs,
    drainedRate: (sessions * 1000) / (elapsedMs + drainMs),
    drainMs,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    latenciesMs,
    cpuPerSessionMs: flowCpuMs === null ? null : flowCpuMs / sessions,
    aroundPerSessionMs: aroundCpuMs / sessions,
  };
}
