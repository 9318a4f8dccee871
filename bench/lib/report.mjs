import { cpus, loadavg } from 'node:os';

/** @typedef {Awaited<ReturnType<typeof import('./comparison.mjs').compare>>} Comparison */

const fixed = (value, digits) => (value === null || Number.isNaN(value) ? '–' : value.toFixed(digits));
const range = ({ median, min, max }) => `${fixed(median, 2)} (${fixed(min, 2)}–${fixed(max, 2)})`;
const clientsOf = (count) => (count === 1 ? ' 1 client: ' : `${count} clients:`);

/** What the numbers depend on, besides the code. */
export function heading({ rounds, seconds }) {
  const load = loadavg()[0];
  return [
    `Node ${process.version}, ${cpus().length} cores, load ${fixed(load, 1)} before the start; ${rounds} rounds of ${seconds} s each, by turns`,
    '(a) three axios calls with its default settings, in a process of its own; nothing is kept',
    '(b) this server, asked through GraphQL over HTTP; SQLite, audit trail, events and outbox on',
    ...(load > 0.5
      ? ['The machine is not idle: trust the ratios more than the rates, and neither to the last digit.']
      : []),
    '',
  ].join('\n');
}

/**
 * @param {string} title
 * @param {Comparison[]} comparisons
 */
export function table(title, comparisons) {
  const rows = [['clients', 'flow', 'sessions/s', 'p50 ms', 'p99 ms', 'max ms', 'CPU ms', 'around']];
  for (const { clients, a, b, slowestOf } of comparisons) {
    rows.push([String(clients), 'a  bare axios', ...cells(a, slowestOf.a)]);
    rows.push(['', 'b  this server', ...cells(b, slowestOf.b)]);
    rows.push([
      '',
      '   until the CRM has all',
      fixed(b.drainedRate, 0),
      `+ ${fixed(b.drainMs, 0)} ms after the last answer`,
    ]);
  }
  return [title, ...rows.map(line), ''].join('\n');
}

const cells = (flow, slowestMs) => [
  fixed(flow.rate, 0),
  fixed(flow.p50Ms, 2),
  fixed(flow.p99Ms, 2),
  fixed(slowestMs, 1),
  fixed(flow.cpuPerSessionMs, 2),
  fixed(flow.aroundPerSessionMs, 2),
];

function line([clients, flow, rate, ...rest]) {
  const start = `${clients.padStart(7)}  ${flow.padEnd(25)} ${rate.padStart(10)}`;
  const [remark] = rest;
  return rest.length === 1 ? `${start}  ${remark}` : start + rest.map((cell) => cell.padStart(9)).join('');
}

export const LEGEND = `CPU ms: CPU time per session of the process that runs the flow, the delivery of its webhook included.
around: CPU time per session of the stand-in and of the load client, on the same cores.
Rates, percentiles and CPU are medians over the rounds; "max" is the slowest of all answers.
`;

/**
 * Rates against the aims.
 *
 * @param {Comparison[]} comparisons
 */
export function rateVerdicts(comparisons) {
  const lines = comparisons.map(({ clients, aim, rate, drainedRate }) => {
    const withDrain = `with the drain ${range(drainedRate)} ${verdict(drainedRate.median >= aim)}`;
    return `  ${clientsOf(clients)} ${range(rate)}, aim ≥ ${aim.toFixed(1)}: ${verdict(rate.median >= aim)}; ${withDrain}`;
  });
  return ['b ÷ a, sessions per second: median (min–max over the rounds)', ...lines, ''].join('\n');
}

/**
 * Latencies against the aims.
 *
 * @param {Comparison[]} comparisons
 */
export function latencyVerdicts(comparisons) {
  const lines = comparisons.map(
    ({ clients, aim, p50 }) =>
      `  ${clientsOf(clients)} ${range(p50)}, aim ≤ ${aim.toFixed(2)}: ${verdict(p50.median <= aim)}`,
  );
  return ['b ÷ a, p50 of the latency: median (min–max over the rounds)', ...lines, ''].join('\n');
}

const verdict = (isMet) => (isMet ? 'met' : 'MISSED');
