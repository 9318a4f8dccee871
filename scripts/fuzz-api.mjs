// npm run fuzz:api -- [--seed N] [--requests N] [--messages N] [--seconds N] [--most-ms N]
//
// Looks for the request that blocks the event loop longest, and sends what is malformed; ends with 1 where the server is hurt.
import { parseArgs } from 'node:util';
import { barrage } from './fuzz/barrage.mjs';
import { findWorst } from './fuzz/find-worst.mjs';
import { populate } from './fuzz/populate.mjs';
import { Random } from './fuzz/random.mjs';
import { tableOfAnswers, tableOfWorst, writeFinding } from './fuzz/report.mjs';
import { RequestSender } from './fuzz/send-requests.mjs';
import { ServerUnderTest } from './fuzz/server-under-test.mjs';

const USAGE = `npm run fuzz:api -- [--seed N] [--requests N] [--messages N] [--seconds N] [--sessions N] [--most-ms N]

  --seed N       repeats a run; by default another one each time
  --requests N   hostile requests, one by one (2000)
  --messages N   malformed messages, 16 at once (10000)
  --seconds N    ends each of the two after so long, however many are left (240)
  --sessions N   that there are for lists to show (120)
  --most-ms N    how long a request may block the event loop (50)
`;
/** What the server may take above what it took when it was warm. */
const MOST_GROWTH_MB = 200;

/** Wrong usage. */
class Refused extends Error {}

const print = (text) => process.stdout.write(`${text}\n`);

/** @param {string[]} args @throws Refused that says what is wrong with them */
function parseOptions(args) {
  const defaults = { requests: 2_000, messages: 10_000, seconds: 240, sessions: 120, 'most-ms': 50 };
  const names = ['seed', ...Object.keys(defaults)];
  const { values } = parseArgs({ args, options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
  const read = (name, fallback) => {
    const number = values[name] === undefined ? fallback : Number(values[name]);
    if (!Number.isInteger(number) || number < 0) throw new Refused(`--${name} must be a whole number`);
    return number;
  };
  const [requests, messages, seconds, sessions, mostMs] = Object.entries(defaults).map((each) => read(...each));
  return { seed: read('seed', Math.floor(Math.random() * 2 ** 32)), requests, messages, seconds, sessions, mostMs };
}

/** A time limit that begins now. */
function limit(seconds) {
  const until = performance.now() + seconds * 1_000;
  return () => performance.now() > until;
}

/** @returns {Promise<string[]>} what is wrong */
async function fuzz({ seed, requests, messages, seconds, sessions, mostMs }) {
  const random = new Random(seed);
  const [forRequests, forMessages] = [new Random(random.seed()), new Random(random.seed())];
  const server = await ServerUnderTest.start();
  const sender = new RequestSender(server.url);
  const problems = [];
  try {
    const ids = await populate(server, sessions);
    await server.read();
    print(`fuzz:api, seed ${seed}\n`);

    const search = { server, sender, ids, requests, mostMs };
    const { sent, worst, bugs } = await findWorst({ ...search, random: forRequests, isOver: limit(seconds) });
    print(
      `Of ${sent} hostile requests, those of each kind that block the event loop longest:\n\n${tableOfWorst(worst)}\n`,
    );
    for (const [index, { ms, request }] of worst.filter((each) => each.ms > mostMs).entries()) {
      problems.push(`a request blocks for ${ms.toFixed(0)} ms: ${writeFinding(`slow-${seed}-${index + 1}`, request)}`);
    }
    for (const [index, { request, status }] of bugs.slice(0, 3).entries()) {
      problems.push(`fails on our side (${status}): ${writeFinding(`bug-${seed}-${index + 1}`, request)}`);
    }

    const { rssMb } = await server.read();
    const bout = await barrage({ server, random: forMessages, messages, isOver: limit(seconds) });
    print(`${bout.sent} malformed messages; what came back, and how often:\n\n${tableOfAnswers(bout.answers)}\n`);
    for (const { kind, why, seed: own, bytes } of bout.faults.slice(0, 3)) {
      problems.push(`${kind}: ${why}: ${writeFinding(`message-${own}`, bytes)}`);
    }
    const growth = bout.mostRssMb - rssMb;
    print(`Memory: ${rssMb.toFixed(0)} MB before the messages, at most ${bout.mostRssMb.toFixed(0)} MB meanwhile.`);
    if (growth > MOST_GROWTH_MB) problems.push(`the server has grown by ${growth.toFixed(0)} MB`);

    problems.push(...(await afterwards(server)));
  } finally {
    sender.close();
  }
  const code = await server.stop();
  if (code !== 0) problems.push(`the server has ended with ${code}`);
  return [
    ...problems,
    ...server
      .errors()
      .slice(0, 3)
      .map((line) => `logged: ${line.slice(0, 2_000)}`),
  ];
}

/** Whether an ordinary client finds everything as it should be. */
async function afterwards(server) {
  if (!server.isRunning) return ['the server has ended'];
  const problems = [];
  await populate(server, 1).catch((error) => problems.push(error.message));
  const { data } = await server.graphql('OPS', '{ verifyAuditTrail { ok checked reason } }');
  const { ok, checked, reason } = data.verifyAuditTrail;
  print(`Afterwards a session is opened, and the audit trail ${ok ? 'verifies' : 'is BROKEN'}: ${checked} entries.`);
  if (!ok) problems.push(`the audit trail is broken: ${reason}`);
  return problems;
}

try {
  const problems = await fuzz(parseOptions(process.argv.slice(2)));
  for (const problem of problems) print(`FAILED: ${problem}`);
  process.exit(problems.length > 0 ? 1 : 0);
} catch (error) {
  const isUsage = error instanceof Refused || error.code?.startsWith('ERR_PARSE_ARGS');
  process.stderr.write(isUsage ? `${error.message}\n\n${USAGE}` : `${error.stack}\n`);
  process.exit(isUsage ? 64 : 1);
}
