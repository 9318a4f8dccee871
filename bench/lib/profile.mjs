import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuiltServer } from './built-server.mjs';
import { serverFlow } from './flows.mjs';
import { selfTimes } from './self-times.mjs';
import { unbundle } from './unbundle.mjs';

const WARM_UP_MS = 5_000;
const SHOWN = 15;
const RECORDER = new URL('record-profile.mjs', import.meta.url).href;

/**
 * Puts the server under load with V8's sampling profiler on, and says where its CPU time went.
 *
 * @param {object} bench
 * @param {string} bench.directory
 * @param {import('./helper.mjs').Helper} bench.standIn
 * @param {(file: string, args: string[]) => Promise<import('./helper.mjs').Helper>} bench.start
 * @param {(() => void)[]} bench.cleanups
 * @param {number} bench.clients
 * @param {number} bench.seconds
 */
export async function profileServer({ directory, standIn, start, cleanups, clients, seconds }) {
  const profiles = join(directory, 'profiles');
  mkdirSync(profiles);
  const server = await BuiltServer.start({
    directory,
    upstream: standIn.greeting.origin,
    extra: { NODE_OPTIONS: `--import=${RECORDER}`, BENCH_PROFILES: profiles },
  });
  cleanups.push(() => server.kill());
  const loadClient = await start('load-client.mjs', [server.origin]);
  const flow = serverFlow(loadClient, server, standIn);

  await flow({ clients: 50, durationMs: WARM_UP_MS });
  const from = monotonicMicroseconds();
  const { rate, drainMs, cpuPerSessionMs } = await flow({ clients, durationMs: seconds * 1000 });
  const to = monotonicMicroseconds();
  await server.stop(); // it writes the profiles as it ends

  const files = readdirSync(profiles).sort((a, b) => threadOf(a) - threadOf(b));
  if (files.length === 0) throw new Error('the server left no profile: did a signal end it?');
  const sessions = rate * seconds;
  const threads = files.map((file) => {
    const times = selfTimes(unbundle(JSON.parse(readFileSync(join(profiles, file), 'utf8'))), { from, to });
    return describe(threadOf(file) === 0 ? 'The main thread' : `Thread ${threadOf(file)}`, times, sessions);
  });
  rmSync(profiles, { recursive: true });
  return [
    `${clients} client(s), ${rate.toFixed(0)} sessions/s while profiled, ${cpuPerSessionMs?.toFixed(2) ?? '–'} ms CPU per session (all threads)`,
    `The CRM had all webhooks ${drainMs.toFixed(0)} ms after the last answer, which is part of the profile.`,
    'Shares are of the time that the thread was busy, waits for the disk included; µs are per session.',
    '"native" is what calls into C++ took.',
    '',
    ...threads,
  ].join('\n');
}

/** The main thread is 0. */
const threadOf = (file) => Number.parseInt(file, 10);

/** The clock that V8 stamps its samples with. */
const monotonicMicroseconds = () => Number(process.hrtime.bigint() / 1000n);

/**
 * @param {string} name
 * @param {ReturnType<typeof selfTimes>} times
 * @param {number} sessions
 */
function describe(name, { packages, functions, busyUs, totalUs }, sessions) {
  const row = ([place, us]) => {
    const share = ((us / busyUs) * 100).toFixed(1).padStart(5);
    return `${share} % ${(us / sessions).toFixed(1).padStart(7)} µs  ${place}`;
  };
  return [
    `${name}: busy ${((busyUs / totalUs) * 100).toFixed(0)} % of the time, ${(busyUs / sessions).toFixed(0)} µs per session`,
    '',
    `Self time by package, the first ${SHOWN}`,
    ...packages.slice(0, SHOWN).map(row),
    '',
    `Self time by function, the first ${SHOWN}`,
    ...functions.slice(0, SHOWN).map(row),
    '',
  ].join('\n');
}
