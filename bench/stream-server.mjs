// One of the two servers of `npm run bench:stream`. Both are fed in the same way: events that were committed to a real log.
import 'reflect-metadata';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { loadSettings } from '../dist/config.js';
import { attachSubscriptions } from '../dist/graphql/subscriptions.js';
import { SessionEventStream } from '../dist/lifecycle/session-event-stream.js';
import { EventReader } from '../dist/store/event-reader.js';
import { GuestVault } from '../dist/store/guest-vault.js';
import { LedgerWriter } from '../dist/store/ledger-writer.js';
import { MinuteCounter } from '../dist/store/minute-counter.js';
import { openDatabase } from '../dist/store/open-database.js';
import { SessionReader } from '../dist/store/session-reader.js';
import { SqliteConnection } from '../dist/store/sqlite-connection.js';
import { serveParent } from './lib/helper-child.mjs';

const [kind, directory] = process.argv.slice(2);
const LOCAL = { name: 'local', role: 'OPS', sourceAddress: null };
const MASTER_KEYS = [randomBytes(32)];

const database = await openDatabase(`file:${join(directory, `${kind}.db`)}`, () => MASTER_KEYS);
const db = new SqliteConnection(database.path);
const writer = new LedgerWriter(db, GuestVault.open(db, MASTER_KEYS), new MinuteCounter(), []);
const http = createServer();
writer.onCommit(await attach());
http.listen(0, '127.0.0.1');
await once(http, 'listening');

const loopDelay = monitorEventLoopDelay({ resolution: 1 });

/** Gives who is to hear of commits. */
async function attach() {
  if (kind === 'stock') {
    const { attachStock } = await import('./lib/stock-subscription.mjs');
    const publish = attachStock(http);
    return ({ events }) => publish(events);
  }
  const { buildGraphqlSchema } = await import('../dist/graphql/schema.js');
  const events = new EventReader(database);
  const stream = new SessionEventStream(events, writer.eventSequence);
  attachSubscriptions(http, {
    path: '/graphql',
    schema: buildGraphqlSchema(),
    limits: loadSettings({}).config.limits,
    socketLimits: loadSettings({ MAX_SOCKETS: '100000', MAX_SOCKETS_PER_ADDRESS: '100000' }).config.transport.sockets,
    services: { stream, events, sessions: new SessionReader(database) },
    maxBufferedEvents: 1_000,
    authenticate: async () => LOCAL,
    countRequest: async () => null,
    countStranger: async () => undefined,
    waitOfStrangers: async () => null,
    arrivalOf: () => ({
      sourceAddress: null,
      client: null,
      origin: undefined,
      isSameOrigin: true,
      connection: { isProxy: false, country: null },
    }),
    onForbidden: () => undefined,
    hold: () => () => undefined,
    admitsOrigin: () => false,
    onTurnedAway: () => undefined,
    answersTo: () => true,
    log: console,
  });
  return (committed) => stream.publish(committed.events);
}

/** Writes one commit. @param {number} count of events in it; gives the sequence of the last */
const commit = (count) =>
  writer.submit((transaction) => {
    for (let i = 0; i < count; i += 1) {
      const sequence = transaction.heads.eventSequence + 1;
      transaction.appendEvent({
        id: randomUUID(),
        type: 'SESSION_INITIATED',
        occurredAt: new Date(),
        // The clients count by it.
        requestId: String(sequence).padStart(12, '0'),
        guestId: randomUUID(),
        crmId: 'crm_acct_44920',
        sessionId: `cxs_${randomUUID()}`,
        channel: 'WEBCHAT',
        status: 'ACTIVE',
        reason: null,
        expiresAt: new Date(Date.now() + 3_600_000),
      });
    }
    return transaction.heads.eventSequence;
  });

/** Resident memory after the garbage is collected, in bytes. */
async function memory() {
  for (let i = 0; i < 3; i += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage().rss;
}

serveParent(
  {
    commit,
    memory,
    watchLoop: () => {
      loopDelay.enable();
      loopDelay.reset();
    },
    loopDelayMs: () => ({ p99: loopDelay.percentile(99) / 1e6, max: loopDelay.max / 1e6 }),
  },
  { port: http.address().port },
);
