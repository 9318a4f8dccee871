import { cpuMs } from './helper-child.mjs';

/**
 * What one stretch of load came to.
 *
 * @typedef {object} LoadResult
 * @property {number} sessions those that succeeded
 * @property {number} elapsedMs until the last answer
 * @property {Float64Array} latenciesMs of those that succeeded, in no order
 * @property {number} cpuMs of the process that made the load
 * @property {number} failures
 * @property {string | null} firstFailure
 */

/** Something is broken for good then, and going on would only heat the room. */
const MAX_FAILURES = 20;

/**
 * Lets `clients` callers open one session after another, each waiting for its answer before it asks again.
 *
 * @param {{ clients: number, durationMs: number }} load
 * @param {() => Promise<void>} openSession rejects unless a session was opened
 * @returns {Promise<LoadResult>}
 */
export async function closedLoop({ clients, durationMs }, openSession) {
  /** @type {number[]} */
  const latencies = [];
  /** @type {string[]} */
  const failures = [];
  const cpuBefore = cpuMs();
  const startedAt = performance.now();
  const until = startedAt + durationMs;

  async function client() {
    let begunAt = performance.now();
    while (begunAt < until && failures.length < MAX_FAILURES) {
      try {
        await openSession();
        const endedAt = performance.now();
        latencies.push(endedAt - begunAt);
        begunAt = endedAt;
      } catch (error) {
        failures.push(String(error?.message ?? error));
        begunAt = performance.now();
      }
    }
  }

  await Promise.all(Array.from({ length: clients }, client));
  return {
    sessions: latencies.length,
    elapsedMs: performance.now() - startedAt,
    latenciesMs: Float64Array.from(latencies),
    cpuMs: cpuMs() - cpuBefore,
    failures: failures.length,
    firstFailure: failures[0] ?? null,
  };
}
