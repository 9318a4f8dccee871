// `npm run bench:stream`: how many events a second reach thousands of subscribers, next to a stock subscription server, and
// what subscribers cost that do not read. Only ever asks 127.0.0.1.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Helper } from './lib/helper.mjs';
import { watchOthers } from './lib/machine.mjs';
import { median, ratios } from './lib/statistics.mjs';
import { QUERY, StreamSide } from './lib/stream-side.mjs';

const ENOUGH_MS = 240_000;
const STALLED = 100;
const LIVE = 20;
const STALL_COMMIT = 50;
const STALL_WINDOW = 500;
/** Files that a process has open besides its sockets. */
const OTHER_FILES = 200;

const print = (text) => process.stdout.write(`${text}\n`);
const number = (value) => Math.round(value).toLocaleString('en');
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Undone in reverse order when this process ends, however it ends. */
const cleanups = [];
process.on('exit', () => {
  for (const cleanup of cleanups.reverse()) cleanup();
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(128 + constants.signals[signal]));
setTimeout(() => {
  process.stderr.write('the bench takes far longer than planned, and ends here\n');
  process.exit(1);
}, ENOUGH_MS).unref();

const directory = mkdtempSync(join(tmpdir(), 'cxone-bench-'));
cleanups.push(() => rmSync(directory, { recursive: true, force: true }));

async function startSide(name, kind) {
  const server = await Helper.start('stream-server.mjs', [kind, directory], ['--expose-gc']);
  cleanups.push(() => server.kill());
  const clients = await Helper.start('stream-clients.mjs', [String(server.greeting.port)]);
  cleanups.push(() => clients.kill());
  return new StreamSide(name, server, clients);
}

/** Node raises its own limit of open files to the hard one. @throws Error where that is not enough */
function checkOpenFiles(sockets) {
  const hard = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  const needed = sockets + OTHER_FILES;
  if (hard === 'unlimited' || Number(hard) >= needed) return;
  throw new Error(
    `${number(sockets)} sockets need ${needed} open files a process, and the hard limit is ${hard}.\n` +
      `Raise it (ulimit -Hn ${needed}, as root), or ask for fewer: npm run bench:stream -- --sockets 1000`,
  );
}

async function compare(sides, sockets, { rounds, seconds }) {
  const rates = sides.map(() => /** @type {number[]} */ ([]));
  const delays = sides.map(() => /** @type {number[]} */ ([]));
  const shares = sides.map(() => /** @type {string[]} */ ([]));
  for (const side of sides) {
    await side.connect(sockets);
    await side.run(1); // warms up
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, side] of sides.entries()) {
      await side.server.ask('watchLoop');
      const cpu = [await side.server.cpuMs(), await side.clients.cpuMs()];
      const began = performance.now();
      rates[index].push(await side.run(seconds));
      const ms = performance.now() - began;
      delays[index].push((await side.server.ask('loopDelayMs')).p99);
      const busy = [(await side.server.cpuMs()) - cpu[0], (await side.clients.cpuMs()) - cpu[1]];
      shares[index].push(busy.map((each) => `${Math.round((100 * each) / ms)} %`).join(' / '));
    }
  }
  for (const [index, side] of sides.entries()) {
    await side.disconnect(); // every socket has had every event once, or the bench fails
    const row = [number(sockets), side.name, number(median(rates[index])), median(delays[index]).toFixed(1)];
    print(`| ${[...row, shares[index].at(-1)].join(' | ')} |`);
  }
  const { median: middle, min, max } = ratios(rates[0], rates[1]);
  return `${number(sockets)} sockets: ${middle.toFixed(1)} times the deliveries of the stock server (${min.toFixed(1)} to ${max.toFixed(1)})`;
}

/** By how many bytes the server grows while many events pass. */
async function growth(side, events) {
  const before = await side.server.ask('memory');
  for (let written = 0; written < events; written += STALL_COMMIT) {
    await side.commit(STALL_COMMIT, STALL_WINDOW, LIVE);
  }
  await side.taken(side.lastSequence, LIVE);
  return (await side.server.ask('memory')) - before;
}

/** What sockets cost that do not read while many events pass, and whether they can come back. */
async function stall(events) {
  const side = await startSide('stalled', 'ours-stalled');
  await side.connect(LIVE);
  // First without them: a log that grows, and subscribers who read it, cost something as well.
  const alone = await growth(side, events);
  await side.connect(STALLED);
  await side.clients.ask('stall', STALLED);
  const stalled = await growth(side, events);
  print(
    `\nMemory of the server while ${number(events)} events pass to ${LIVE} subscribers (RSS after GC): ` +
      `${megabytes(alone)} more; beside ${STALLED} that read nothing: ${megabytes(stalled)} more`,
  );
  const began = performance.now();
  const codes = await side.clients.ask('comeBack', { count: STALLED, query: QUERY, patienceMs: 20_000 });
  await side.taken(side.lastSequence, STALLED + LIVE);
  await side.check();
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  print(`They were closed with ${codes}, came back with their cursors, and had every event once ${seconds} s later.`);
}

async function main({ sockets, rounds, seconds, events }) {
  checkOpenFiles(Math.max(...sockets));
  const sides = [await startSide('(a) this server', 'ours'), await startSide('(b) stock', 'stock')];
  const shareOfOthers = await watchOthers(sides.flatMap(({ server, clients }) => [server, clients]));
  print(
    `median of ${rounds} rounds of ${seconds} s, by turns; events are committed to a real log one by one, 8 under way\n`,
  );
  print('| Sockets | Server | Deliveries/s | Event loop delay p99, ms | CPU server / clients |');
  print('|---|---|---|---|---|');
  const verdicts = [];
  for (const count of sockets) verdicts.push(await compare(sides, count, { rounds, seconds }));
  print(`\n${verdicts.join('\n')}`);
  const share = await shareOfOthers();
  for (const { server, clients } of sides) {
    server.kill();
    clients.kill();
  }
  if (events > 0) await stall(events);
  if (share !== null) print(`Other programs took ${Math.round(share * 100)} % of the machine during the comparison.`);
}

const { values } = parseArgs({
  options: {
    sockets: { type: 'string', multiple: true, default: ['1000', '5000'] },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    // That pass beside subscribers who do not read; 0 leaves that part out.
    events: { type: 'string', default: '50000' },
  },
});
try {
  const [rounds, seconds, events] = [values.rounds, values.seconds, values.events].map(Number);
  await main({ sockets: values.sockets.map(Number), rounds, seconds, events });
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
