// `npm run bench`: how fast this server opens sessions, next to the three bare calls it replaces, and what its audit trail costs.
// Only ever asks 127.0.0.1. Ends with 1 where the audit trail costs more than a tenth of the rate.
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureAudit } from './lib/audit-cost.mjs';
import { BuiltServer } from './lib/built-server.mjs';
import { compare, settingsFor, warmUp } from './lib/comparison.mjs';
import { naiveFlow, serverFlow } from './lib/flows.mjs';
import { Helper } from './lib/helper.mjs';
import { watchOthers } from './lib/machine.mjs';
import { parseOptions, USAGE } from './lib/options.mjs';
import { profileServer } from './lib/profile.mjs';
import { heading, LEGEND, latencyVerdicts, noise, rateVerdicts, table } from './lib/report.mjs';

const print = (text) => process.stdout.write(`${text}\n`);

/** Undone in reverse order when this process ends, however it ends. */
const cleanups = [];
process.on('exit', () => {
  for (const cleanup of cleanups.reverse()) cleanup();
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(128 + constants.signals[signal]));

/**
 * @param {import('./lib/options.mjs').Options} options
 * @returns {Promise<boolean>} whether the audit trail is as cheap as it has to be
 */
async function main(options) {
  const settings = settingsFor(options.only);
  const measuresAudit = options.only === null || options.only === 'audit';
  limitTime(options, settings.length + (measuresAudit ? 1 : 0));

  const directory = mkdtempSync(join(tmpdir(), 'cxone-bench-'));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  const standIn = await start('stand-in.mjs');

  if (options.profile) {
    const clients = options.only === '1' ? 1 : 50;
    const seconds = options.seconds * options.rounds;
    print(await profileServer({ directory, standIn, start, cleanups, clients, seconds }));
    return true;
  }

  print(heading(options));
  if (settings.length > 0) await compareFlows({ directory, standIn, settings, options });
  if (!measuresAudit) return true;
  const { text, isMet } = await measureAudit({ directory, standIn, start, cleanups, options });
  print(text);
  return isMet;
}

async function compareFlows({ directory, standIn, settings, options }) {
  const upstream = standIn.greeting.origin;
  const server = await BuiltServer.start({ directory, upstream });
  cleanups.push(() => server.kill());
  const naive = await start('naive-flow.mjs', [upstream]);
  const loadClient = await start('load-client.mjs', [server.origin]);
  const flows = { a: naiveFlow(naive, standIn), b: serverFlow(loadClient, server, standIn) };

  try {
    await warmUp(flows);
    const shareOfOthers = await watchOthers([standIn, naive, loadClient, server]);
    /** @type {import('./lib/report.mjs').Comparison[]} */
    const compared = [];
    for (const setting of settings) {
      await standIn.ask('delay', setting.delayMs);
      compared.push(await compare(flows, setting, options));
    }
    report(compared);
    print(noise(await shareOfOthers()));
  } catch (error) {
    print(`the server's log:\n${server.log || '(empty)'}\n`);
    throw error;
  }
  await server.stop();
}

/** @param {import('./lib/report.mjs').Comparison[]} compared */
function report(compared) {
  const byClients = compared.toSorted((one, other) => one.clients - other.clients);
  const fast = byClients.filter(({ delayMs }) => delayMs === 0);
  const slow = byClients.filter(({ delayMs }) => delayMs > 0);
  if (fast.length > 0) {
    print(table('CXone answers at once', fast));
    print(rateVerdicts(fast));
  }
  if (slow.length > 0) {
    print(table(`CXone answers after ${slow[0].delayMs} ms, the CRM at once`, slow));
    print(latencyVerdicts(slow));
  }
  print(LEGEND);
}

async function start(file, args = []) {
  const helper = await Helper.start(file, args);
  cleanups.push(() => helper.kill());
  return helper;
}

/** By then something hangs. */
function limitTime({ rounds, seconds }, settings) {
  const plannedSeconds = 2 * rounds * seconds * settings;
  setTimeout(
    () => {
      process.stderr.write('the bench takes far longer than planned, and ends here\n');
      process.exit(1);
    },
    (plannedSeconds + 60) * 1000,
  ).unref();
}

/** @returns {import('./lib/options.mjs').Options} */
function optionsOrExit() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return process.exit(64);
  }
}

const options = optionsOrExit();
try {
  const isCheap = await main(options);
  process.exit(isCheap ? 0 : 1);
} catch (error) {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
