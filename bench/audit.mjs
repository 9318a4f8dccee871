// npm run bench:audit -- [--entries N] [--rounds N]
//
// How fast `npm run audit:verify` follows a trail that the server's writer has written, in a process of its own, next to bare
// SHA-256 chaining of the same bytes. CPU time of one core counts: others may be at work on this machine. Ends with 1 where it
// makes neither 100,000 entries/s nor half of the bare rate.
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GuestVault } from '../dist/store/guest-vault.js';
import { LedgerWriter } from '../dist/store/ledger-writer.js';
import { MinuteCounter } from '../dist/store/minute-counter.js';
import { openDatabase } from '../dist/store/open-database.js';
import { SqliteConnection } from '../dist/store/sqlite-connection.js';
import { GENESIS_HASH, link } from '../scripts/audit/canonical.mjs';
import { DatabaseTrail } from '../scripts/audit/database-trail.mjs';
import { bareEnvironment } from './lib/helper.mjs';
import { median } from './lib/statistics.mjs';

const ENOUGH_PER_SECOND = 100_000;
const ENOUGH_OF_BARE = 0.5;
const BATCH = 5_000;
/** Each is asked for again and again: to make a key for each entry would take most of the time, and shows nothing of the trail. */
const GUESTS = 1_000;

const at = (file) => fileURLToPath(new URL(file, import.meta.url));
const print = (line) => process.stdout.write(`${line}\n`);

/** Undone when this process ends, however it ends. */
const directory = mkdtempSync(join(tmpdir(), 'cxone-bench-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(128 + constants.signals[signal]));

const guests = Array.from({ length: GUESTS }, () => `guest-${randomUUID()}`);

/** What a session that was opened leaves. */
const someAudit = () => ({
  requestId: randomUUID(),
  kind: 'SESSION_INITIATION',
  status: 'SUCCESS',
  reason: null,
  errorCode: null,
  guestId: guests[Math.floor(Math.random() * GUESTS)],
  crmId: `crm-${randomUUID()}`,
  sessionId: `cxs_${randomUUID()}`,
  actor: { name: 'bench', role: 'BACKEND', sourceAddress: '203.0.113.0/24' },
  durationMs: Math.random() * 100,
  fraudScore: 12,
  attempts: 1,
  capacityCheck: 'CHECKED',
  crmSynced: null,
});

async function fill(path, entries) {
  const keys = [randomBytes(32)];
  const database = await openDatabase(`file:${path}`, () => keys);
  const db = new SqliteConnection(path);
  const writer = new LedgerWriter(db, GuestVault.open(db, keys), new MinuteCounter(), []);
  for (let left = entries; left > 0; left -= BATCH) {
    await writer.submit((transaction) => {
      for (let n = 0; n < Math.min(BATCH, left); n++) transaction.appendAudit(someAudit());
    });
  }
  await writer[Symbol.asyncDispose]();
  db.close();
  await database.close();
}

/** The verifier from its start to its end, that of Node included. */
async function verify(path) {
  const args = ['--import', at('audit-peak.mjs'), at('../scripts/audit-verify.mjs'), '--database', path];
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    env: bareEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  const [[code], usage] = await Promise.all([once(child, 'exit'), text(child.stdio[3])]);
  if (code !== 0) throw new Error(`the verifier ended with ${code}`);
  return { wallMs: performance.now() - startedAt, ...JSON.parse(usage) };
}

/** CPU time of the hashes alone, over the same bytes. */
function chainBare(path) {
  const trail = new DatabaseTrail(path);
  let head = GENESIS_HASH;
  let cpuUs = 0;
  const chain = (texts) => {
    const before = process.cpuUsage();
    for (const text of texts) head = link(head, text);
    const { user, system } = process.cpuUsage(before);
    cpuUs += user + system;
  };
  let batch = [];
  for (const { text } of trail.items()) {
    // As bytes that lie there, and not as the pieces that it was made of.
    batch.push(Buffer.from(text).toString());
    if (batch.length < BATCH) continue;
    chain(batch);
    batch = [];
  }
  chain(batch);
  trail.close();
  return cpuUs / 1000;
}

async function main({ entries, rounds }) {
  const path = join(directory, 'bench.db');
  await fill(path, entries);
  const verified = [];
  const bareMs = [];
  for (let round = 0; round < rounds; round++) {
    verified.push(await verify(path));
    bareMs.push(chainBare(path));
  }
  const perSecond = (ms) => Math.round((entries / ms) * 1000);
  const rate = perSecond(median(verified.map(({ cpuMs }) => cpuMs)));
  const bare = perSecond(median(bareMs));
  const wall = perSecond(median(verified.map(({ wallMs }) => wallMs)));
  const peakMb = Math.max(...verified.map(({ peakKb }) => peakKb)) / 1024;
  const show = (number) => number.toLocaleString('en').padStart(12);
  print(`${entries.toLocaleString('en')} entries, ${rounds} rounds, medians
verified on one core, Node's start included ${show(rate)} entries/s (${wall.toLocaleString('en')} by the clock)
bare SHA-256 chaining of the same bytes     ${show(bare)} entries/s
verified / bare                             ${(rate / bare).toFixed(2).padStart(12)}
peak memory of the verifier                 ${`${peakMb.toFixed(0)} MB`.padStart(12)}`);
  return rate >= ENOUGH_PER_SECOND || rate >= bare * ENOUGH_OF_BARE;
}

const { values } = parseArgs({
  options: { entries: { type: 'string', default: '200000' }, rounds: { type: 'string', default: '3' } },
});
const isFast = await main({ entries: Number(values.entries), rounds: Number(values.rounds) });
if (!isFast) print(`too slow: neither ${ENOUGH_PER_SECOND} entries/s nor ${ENOUGH_OF_BARE} of the bare rate`);
process.exitCode = isFast ? 0 : 1;
