import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { type App, createApp } from './app.js';
import { loadSettings } from './config.js';

const EVENTS = 'subscription ($guestId: String!) { sessionEvents(guestId: $guestId) { type sessionId reason } }';
const OPEN = `mutation ($input: CreateGuestSessionInput!) {
  createGuestSession(input: $input) { requestId clientToken session { sessionId status expiresAt fraudScore } userErrors { code message } }
}`;
const LOOK_BACK = `query ($id: String!) {
  audits(filter: { requestId: $id }) { nodes { sequence kind status } }
  metrics { totalRequests successRate averageLatencyMs }
  verifyAuditTrail { ok checked }
}`;
/** The seed example, for a guest that has no sessions yet. */
const SEED = {
  guestId: `guest-${randomUUID()}`,
  deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
  crmId: 'crm_acct_44920',
};
const EVENTS_OF_A_SESSION = 3;
const PATIENCE_MS = 5_000;

const { values } = parseArgs({ options: { url: { type: 'string' }, key: { type: 'string' } } });
const authorization: Record<string, string> = values.key === undefined ? {} : { authorization: `Bearer ${values.key}` };
process.stdout.on('error', () => process.exit()); // nobody reads on: `npm run demo | head`
try {
  if (values.url !== undefined) await show(values.url.replace(/\/+$/, ''), `The server at ${values.url}`);
  else await showOwnServer();
} catch (error) {
  console.error(`The demo failed: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function showOwnServer(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'guest-sessions-demo-'));
  let app: App | undefined;
  try {
    const settings = { PORT: '0', DATABASE_URL: `file:${join(directory, 'demo.db')}`, LOG_LEVEL: 'warn' };
    app = await createApp(loadSettings(settings));
    await show(app.url, `A server of its own, on the embedded sandbox: ${app.url}`);
  } finally {
    await app?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  }
}

async function show(url: string, what: string): Promise<void> {
  say('1', what);
  await fetch(`${url}/health/live`).catch(() => {
    throw new Error(`no server answers at ${url}`);
  });

  let seen = 0;
  const client = createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: authorization,
    retryAttempts: 0,
  });
  const connected = new Promise<void>((resolve, reject) => {
    client.on('connected', () => resolve());
    client.on('closed', () => reject(new Error('the socket was closed: does the server ask for a key (--key)?')));
  });
  client.subscribe<{ sessionEvents: Record<string, string | null> }>(
    { query: EVENTS, variables: { guestId: SEED.guestId } },
    {
      next: ({ data }) => {
        const event = data?.sessionEvents;
        seen += 1;
        say('  ←', `${event?.type}  ${event?.sessionId ?? event?.reason ?? ''}`);
      },
      error: () => undefined, // told by the close
      complete: () => undefined,
    },
  );
  await connected;
  await sleep(100); // the subscription itself follows the connection, and is not answered
  say('2', 'Subscribed to sessionEvents over graphql-ws; what it tells is marked ←');

  say('3', `createGuestSession for ${SEED.guestId}`);
  const opened = (await graphql(url, OPEN, { input: SEED })).createGuestSession!;
  say(
    '  ',
    JSON.stringify({ ...opened, clientToken: opened.clientToken && `${opened.clientToken.slice(0, 8)}… (given once)` }),
  );
  for (const end = Date.now() + PATIENCE_MS; opened.session && seen < EVENTS_OF_A_SESSION && Date.now() < end; )
    await sleep(20);

  say('4', 'The same with a proxy in front: a fraud score of 80 is above the threshold of 75');
  const refused = (await graphql(url, OPEN, { input: { ...SEED, ipMetadata: { isProxy: true } } })).createGuestSession!;
  say('  ', JSON.stringify(refused.userErrors));

  const { audits, metrics, verifyAuditTrail } = await graphql(url, LOOK_BACK, { id: opened.requestId });
  say('5', `The audit trail has ${audits?.nodes.map(({ kind, status }) => `${kind} ${status}`).join(', ')}`);
  say('  ', `verifyAuditTrail: ${JSON.stringify(verifyAuditTrail)}`);
  say('6', `Metrics of the last 24 hours: ${JSON.stringify(metrics)}`);
  await client.dispose();
}

function say(step: string, text: string): void {
  console.log(`${step.padEnd(3)} ${text}`);
}

async function graphql(url: string, query: string, variables: object) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: Record<string, never> | null; errors?: unknown };
  if (!data) throw new Error(`The server answered ${response.status}: ${JSON.stringify(errors)}`);
  return data as Record<string, DemoAnswer>;
}

/** As much of the answers as the demo looks at. */
interface DemoAnswer {
  readonly requestId: string;
  readonly clientToken: string | null;
  readonly session: object | null;
  readonly userErrors: object[];
  readonly nodes: { readonly kind: string; readonly status: string }[];
}
