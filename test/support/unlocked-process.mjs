// The pipeline as a process of its own, on a database that other processes write to at the same time. The server refuses that:
// it holds a lock on its file. What the books promise between processes is below that lock, and is shown here without it.
//
// Started with the settings of the server in the environment. Reads one request for createGuestSession from each line of
// standard input (`{ number, request }`), begins it at once, and answers in lines of standard output.
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { loadSettings } from '../../dist/config.js';
import { connectCxone } from '../../dist/cxone/connect.js';
import { SimulatedScorer } from '../../dist/fraud/simulated-scorer.js';
import { PrismaClient } from '../../dist/generated/prisma/client.js';
import { createGuestSession } from '../../dist/guest-session/create-guest-session.js';
import { RequestIdEcho } from '../../dist/guest-session/request-id-echo.js';
import { SingleFlight } from '../../dist/guest-session/single-flight.js';
import { createHttpClient } from '../../dist/outbound/http-client.js';
import { wasNothingSent } from '../../dist/outbound/undici-adapter.js';
import { SqliteAttemptLedger } from '../../dist/store/attempt-ledger.js';
import { GuestVault } from '../../dist/store/guest-vault.js';
import { SqliteIntentLedger } from '../../dist/store/intent-ledger.js';
import { PrismaSqliteReader } from '../../dist/store/prisma-sqlite-adapter.js';
import { SqliteSessionLedger } from '../../dist/store/session-ledger.js';
import { SessionReader } from '../../dist/store/session-reader.js';
import { SqliteConnection } from '../../dist/store/sqlite-connection.js';
import { ThreadedLedger } from '../../dist/store/threaded-ledger.js';
import { TokenCipher } from '../../dist/store/token-cipher.js';

const { config, secrets } = loadSettings();
const path = config.databaseUrl.replace(/^file:/, '');
const { cxone: tenant, createDeadlineMs, maxConcurrentSessions } = config;

const reader = new SqliteConnection(path, { readOnly: true });
const prisma = new PrismaClient({ adapter: new PrismaSqliteReader(path) });
const masterKeys = [secrets.encryptionKey];
const vault = GuestVault.open(reader, masterKeys);
const ledger = await ThreadedLedger.start({ path, masterKeys, webhookEvents: [] });
const sessions = new SessionReader({ prisma, vault });
const cipher = new TokenCipher(secrets.encryptionKey);
const http = createHttpClient();
const attempts = new SqliteAttemptLedger(ledger, { reader, vault }, cipher, {
  tellsCrm: false,
  maxConcurrentSessions,
  fingerprintKey: secrets.encryptionKey,
});
const ports = {
  scorer: new SimulatedScorer(),
  cxone: connectCxone(
    { axios: http.axios, wasNothingSent },
    { ...tenant, clientSecret: secrets.cxoneClientSecret, fetchDeadlineMs: createDeadlineMs },
    { info: complain, warn: complain },
  ),
  echo: new RequestIdEcho(),
  settling: new SingleFlight(),
  intents: new SqliteIntentLedger(ledger, sessions, cipher, {
    instanceId: randomUUID(),
    isAlone: false,
    blindKey: (key) => vault.blind('idempotency key', key),
    ttlMs: config.idempotencyTtlHours * 3_600_000,
    unwritten: () => attempts.unwritten,
    inputKeys: [secrets.encryptionKey],
  }),
  ledger: attempts,
  sessions: new SqliteSessionLedger(ledger, reader, sessions, cipher),
  log: { warn: complain, error: complain },
  rules: {
    fraudThreshold: config.fraud.threshold,
    maxConcurrentSessions,
    createDeadlineMs,
    defaultQueueId: tenant.queueId,
    endsUpstream: tenant.endSession,
    listLagMs: tenant.listLagMs,
  },
};

function complain(fields, message) {
  process.stderr.write(`${message} ${fields.err?.stack ?? ''}\n`);
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function open({ number, request }) {
  const { requestId, outcome, session, replayed, eventSequence } = await createGuestSession(
    request,
    { name: 'tester', role: 'BACKEND', sourceAddress: null },
    ports,
  );
  const { sessionId = null, clientToken = null } = outcome.created ?? {};
  const { code = null, retryable = null, retryAfterSeconds = null } = outcome.error ?? {};
  const status = session?.status ?? null;
  say({
    number,
    requestId,
    replayed,
    eventSequence,
    status,
    sessionId,
    clientToken,
    code,
    retryable,
    retryAfterSeconds,
  });
}

const lines = createInterface({ input: process.stdin });
const underWay = new Set();
lines.on('line', (line) => {
  const work = open(JSON.parse(line)).catch((error) => complain({ err: error }, 'a bug of ours'));
  underWay.add(work);
  void work.finally(() => underWay.delete(work));
});
lines.on('close', async () => {
  await Promise.all(underWay);
  await ledger[Symbol.asyncDispose]();
  await prisma.$disconnect();
  await http[Symbol.asyncDispose]();
  reader.close();
});
say({ isReady: true });
