// node scripts/run.mjs scripts/count-syncs.mjs [--sessions N] [--clients N]
//
// Opens sessions on a server of its own and counts, from outside, what they cost: commits as they are in SQLite's write-ahead
// log, syncs as strace sees them. Linux, with strace. Ends with 1 where there were fewer syncs than commits.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SERVER = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const TIMEOUT_MS = 20_000;
/** Longer than anything that happens after a session is open: a webhook, and its result. */
const QUIET_MS = 1_000;
const OPEN = `mutation ($input: CreateGuestSessionInput!) {
  createGuestSession(input: $input) { session { id } userErrors { code } }
}`;

const directory = mkdtempSync(join(tmpdir(), 'count-syncs-'));
const database = join(directory, 'count.db');
const programs = [];
process.on('exit', () => {
  for (const { child } of programs) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

function start(command, args, env) {
  const child = spawn(command, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const program = { child, output: '', hasEnded: false };
  const say = (text) => {
    program.output += text;
  };
  child.stdout.on('data', say);
  child.stderr.on('data', say);
  child.on('error', (error) => say(error.message));
  child.on('close', () => {
    program.hasEnded = true;
  });
  programs.push(program);
  return program;
}

/** Waits until a program says something. */
async function said(program, pattern) {
  const giveUpAt = performance.now() + TIMEOUT_MS;
  for (;;) {
    const match = program.output.match(pattern);
    if (match) return match;
    if (program.hasEnded || performance.now() > giveUpAt) {
      throw new Error(`${program.child.spawnargs.join(' ')}: ${program.output || 'says nothing'}`);
    }
    await sleep(20);
  }
}

/**
 * The commits that the log holds: frames that say how long the file is after them
 * (https://www.sqlite.org/fileformat2.html#walformat). The salt is another one after each round through the log.
 */
function readWal() {
  const wal = readFileSync(`${database}-wal`);
  const salt = wal.subarray(16, 24);
  const frameLength = 24 + wal.readUInt32BE(8);
  let commits = 0;
  let frames = 0;
  for (let at = 32; at + frameLength <= wal.length; at += frameLength) {
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break;
    frames += 1;
    if (wal.readUInt32BE(at + 4) > 0) commits += 1;
  }
  return { commits, frames, salt: salt.toString('hex') };
}

/** What the log holds when nothing has been added for a while. */
async function quietWal() {
  for (let last = readWal(); ; ) {
    await sleep(QUIET_MS);
    const next = readWal();
    if (next.frames === last.frames) return next;
    last = next;
  }
}

async function openSession(url) {
  const input = { guestId: randomUUID(), deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j', crmId: 'crm_acct_44920' };
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: OPEN, variables: { input } }),
  });
  const { data, errors } = await answer.json();
  if (!data?.createGuestSession.session) throw new Error(JSON.stringify(errors ?? data));
}

async function openSessions(url, { sessions, clients }) {
  let left = sessions;
  const client = async () => {
    while (left-- > 0) await openSession(url);
  };
  await Promise.all(Array.from({ length: clients }, client));
}

async function main({ sessions, clients }) {
  const server = start(process.execPath, [SERVER], { PORT: '0', DATABASE_URL: `file:${database}` });
  const [, url] = await said(server, /(http:\S+)\/graphql\n/);
  await openSessions(url, { sessions: 1, clients: 1 });
  const before = await quietWal();
  const strace = start('strace', ['-c', '-f', '-e', 'trace=fsync,fdatasync', '-p', `${server.child.pid}`]);
  await said(strace, /attached/);

  await openSessions(url, { sessions, clients });

  const after = await quietWal();
  const ended = once(strace.child, 'close');
  strace.child.kill('SIGINT'); // it then lets go of the server and prints its table
  await ended;
  if (after.salt !== before.salt) throw new Error('the log began a new round meanwhile: ask for fewer sessions');

  const table = strace.output.slice(strace.output.indexOf('% time'));
  const calls = [...table.matchAll(/^(?:\s*\S+){3}\s+(\d+)\s+(?:\d+\s+)?(?:fsync|fdatasync)$/gm)];
  const syncs = calls.reduce((sum, [, count]) => sum + Number(count), 0);
  const commits = after.commits - before.commits;
  process.stdout.write(`${table}
sessions ${sessions}, clients ${clients}
commits  ${commits} (${(commits / sessions).toFixed(2)} for each session, ${((after.frames - before.frames) / commits).toFixed(1)} pages each)
syncs    ${syncs} (${(syncs / commits).toFixed(2)} for each commit)
`);
  return syncs >= commits;
}

const { values } = parseArgs({
  options: { sessions: { type: 'string', default: '60' }, clients: { type: 'string', default: '10' } },
});
try {
  const isDurable = await main({ sessions: Number(values.sessions), clients: Number(values.clients) });
  process.exit(isDurable ? 0 : 1);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
