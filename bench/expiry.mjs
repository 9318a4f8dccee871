// `npm run bench:expiry`: how late the sweep marks sessions whose time is over, among 100,000 that live.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ExpirySweep } from '../dist/lifecycle/expiry-sweep.js';
import { sessionExpiry } from '../dist/store/expiry.js';
import { openDatabase } from '../dist/store/open-database.js';
import { SqliteConnection } from '../dist/store/sqlite-connection.js';
import { ThreadedLedger } from '../dist/store/threaded-ledger.js';
import { watchOthers } from './lib/machine.mjs';
import { percentile } from './lib/statistics.mjs';

/** As in src/app.ts. */
const EXPIRY_SWEEP_MS = 250;
const SPREAD_MS = 10_000;
/** Time to write the expiries down before the first is due. */
const LEAD_MS = 1_500;
/** By then something hangs. */
const PATIENCE_MS = 60_000;

const print = (text) => process.stdout.write(`${text}\n`);

/** Undone when this process ends, however it ends. */
const directory = mkdtempSync(join(tmpdir(), 'cxone-bench-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(128 + constants.signals[signal]));

/**
 * Live sessions of an hour, each with its two events, its audit entry and an idempotency key that holds a token: what a server
 * has after a busy while.
 */
function fill(path, sessions) {
  const db = new SqliteConnection(path);
  db.exec(`
    BEGIN;
    CREATE TEMP TABLE "n" AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${sessions})
      SELECT i, lower(hex(randomblob(16))) AS "id", lower(hex(randomblob(16))) AS "guestId" FROM n;
    INSERT INTO "GuestSession" ("id", "callerName", "guestId", "crmId", "channel", "priority", "queueId", "languagePreference",
        "fingerprintHmac", "status", "createdAt", "placeHeldUntil", "sessionId", "expiresAt", "idempotencyKey", "durationMs")
      SELECT "id", 'bench', "guestId", 'crm-' || i, 'WEBCHAT', 'NORMAL', 'queue', 'en-US', hex(randomblob(32)), 'ACTIVE',
        unixepoch() * 1000, unixepoch() * 1000 + 3600000, 'cxs_' || "id", unixepoch() * 1000 + 3600000, 'key-' || "id", 12
        FROM "n";
    INSERT INTO "IdempotencyKey" ("callerName", "key", "inputHmac", "state", "requestId", "leaseOwner", "leaseUntil",
        "expiresAt", "clientToken")
      SELECT 'bench', 'key-' || "id", hex(randomblob(20)), 'SUCCEEDED', "id", 'bench', 0, unixepoch() * 1000 + 86400000,
        hex(randomblob(60)) FROM "n";
    INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId", "guestId", "sessionId", "channel", "status")
      SELECT 2 * i - 1, hex(randomblob(16)), 'SESSION_REQUESTED', 0, "id", "guestId", NULL, 'WEBCHAT', 'PENDING' FROM "n"
      UNION ALL
      SELECT 2 * i, hex(randomblob(16)), 'SESSION_INITIATED', 0, "id", "guestId", 'cxs_' || "id", 'WEBCHAT', 'ACTIVE' FROM "n";
    INSERT INTO "AuditEntry" ("sequence", "id", "timestamp", "requestId", "kind", "status", "guestId", "sessionId", "actor",
        "previousHash", "hash")
      SELECT i, hex(randomblob(16)), 0, "id", 'SESSION_INITIATION', 'SUCCESS', "guestId", 'cxs_' || "id", 'bench',
        hex(randomblob(32)), hex(randomblob(32)) FROM "n";
    DROP TABLE "n";
    COMMIT`);
  db.close();
}

/** Lets some of the live sessions expire, each at a time of its own. @param {(nth: number) => Date} at */
function schedule(path, count, at) {
  const db = new SqliteConnection(path);
  db.begin();
  const live = db.all(`SELECT "id" FROM "GuestSession" WHERE "status" = 'ACTIVE' ORDER BY random() LIMIT ?`, count);
  for (const [nth, { id }] of live.entries()) {
    db.run('UPDATE "GuestSession" SET "expiresAt" = ?, "placeHeldUntil" = ? WHERE "id" = ?', at(nth), at(nth), id);
  }
  db.commit();
  db.close();
}

/** Hears of every session that is marked: how long after its time, in milliseconds. */
function listen(ledger) {
  const lateMs = [];
  ledger.onCommit(({ events }) => {
    const now = Date.now();
    for (const { type, expiresAt } of events) if (type === 'SESSION_EXPIRED') lateMs.push(now - expiresAt.getTime());
  });
  return lateMs;
}

async function measure(lateMs, count) {
  const startedAt = performance.now();
  while (lateMs.length < count) {
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error(`${lateMs.length} of ${count} were marked`);
    await sleep(50);
  }
  return lateMs.splice(0);
}

function row(what, lateMs) {
  const figures = [percentile(lateMs, 0.5), percentile(lateMs, 0.99), Math.max(...lateMs)];
  const late = lateMs.filter((ms) => ms > 1_000).length;
  return `${what.padEnd(44)}${figures.map((ms) => `${ms} ms`.padStart(10)).join('')}${String(late).padStart(12)}`;
}

async function main({ sessions, spread, atOnce }) {
  const database = await openDatabase(`file:${join(directory, 'bench.db')}`, () => [randomBytes(32)]);
  const { path, masterKeys } = database;
  fill(path, sessions);
  const ledger = await ThreadedLedger.start({ path, masterKeys, webhookEvents: [] });
  const lateMs = listen(ledger);
  const sweep = new ExpirySweep(sessionExpiry(ledger, database.reader), EXPIRY_SWEEP_MS, console);
  const shareOfOthers = await watchOthers([]);

  print(`${sessions.toLocaleString('en')} live sessions; late by         p50       p99       max   above 1 s`);
  const begin = Date.now() + LEAD_MS;
  schedule(path, spread, (nth) => new Date(begin + Math.floor((nth / spread) * SPREAD_MS)));
  print(row(`${spread} that expire one after the other in 10 s`, await measure(lateMs, spread)));

  const moment = new Date(Date.now() + LEAD_MS);
  schedule(path, atOnce, () => moment);
  print(row(`${atOnce} that expire at the same moment`, await measure(lateMs, atOnce)));

  const share = await shareOfOthers();
  if (share !== null) print(`other programs took ${Math.round(share * 100)} % of the machine meanwhile`);
  await sweep[Symbol.asyncDispose]();
  await ledger[Symbol.asyncDispose]();
  await database.close();
}

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '100000' },
    spread: { type: 'string', default: '2000' },
    'at-once': { type: 'string', default: '5000' },
  },
});
await main({
  sessions: Number(values.sessions),
  spread: Number(values.spread),
  atOnce: Number(values['at-once']),
});
