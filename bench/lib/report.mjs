import { availableParallelism } from 'node:os';

/** @typedef {Awaited<ReturnType<typeof import('./comparison.mjs').compare>>} Comparison */

const fixed = (value, digits) => (value === null || Number.isNaN(value) ? '–' : value.toFixed(digits));
const range = ({ median, min, max }) => `${fixed(median, 2)} (${fixed(min, 2)}–${fixed(max, 2)})`;
const clientsOf = (count) => (count === 1 ? ' 1 client: ' : `${count} clients:`);

/** What the numbers depend on, besides the code. */
export function heading({ rounds, seconds, only }) {
  const flows = [
    '(a) three axios calls with its default settings, in a process of its own; nothing is kept',
    '(b) this server, asked through GraphQL over HTTP; SQLite, audit trail, events and outbox on',
  ];
  return [
    `Node ${process.version}, ${availableParallelism()} cores; ${rounds} rounds of ${seconds} s each, by turns`,
    ...(only === 'audit' ? [] : flows),
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

/** @param {number | null} share of the machine's CPU time that other programs took while we measured */
export function noise(share) {
  if (share === null) return '';
  const told = `Other programs took ${(share * 100).toFixed(0)} % of the machine's CPU time meanwhile`;
  return share < 0.05
    ? `${told}.\n`
    : `${told}: NOISY. They cost (b), which needs two cores and the disk, more than (a).\n`;
}

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

/**
 * What the audit trail costs, against the aim.
 *
 * @param {Comparison} comparison of a server without (a) with one that has it (b)
 */
export function auditVerdict({ clients, a, b, rate, aim }) {
  const rates = `${fixed(b.rate, 0)} ÷ ${fixed(a.rate, 0)} sessions/s, CPU ms ${fixed(b.cpuPerSessionMs, 2)} and ${fixed(a.cpuPerSessionMs, 2)}`;
  return [
    'This server with the audit trail ÷ the same without, by turns: median (min–max over the rounds)',
    `  ${clientsOf(clients)} ${range(rate)}, aim ≥ ${aim.toFixed(1)}: ${verdict(rate.median >= aim)}; ${rates}`,
    '',
  ].join('\n');
}

const verdict = (isMet) => (isMet ? 'met' : 'MISSED');
