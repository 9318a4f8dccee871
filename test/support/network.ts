import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from 'graphql-ws';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type App, createApp } from '../../src/app.js';
import { loadSettings } from '../../src/config.js';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { CxoneSandbox, type CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { ENCRYPTION_KEY } from './opened-connection.js';

export interface NetworkOptions {
  /** Settings on top of those that point at the sandbox. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cxone?: CxoneSandboxOptions;
  /** A database to go on with; by default a new one that goes with the test. */
  readonly databaseUrl?: string;
  /** The clock that webhooks are due by. */
  readonly now?: () => Date;
}

export interface GraphqlAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes, and say what they expect of them
  readonly data: any;
  readonly errors?: { message: string; path?: (string | number)[]; extensions: { code: string; requestId?: string } }[];
}

/** A CXone, a CRM and our server between them, all on real sockets. */
export interface Network extends AsyncDisposable {
  readonly cxone: CxoneSandbox;
  readonly crm: CrmSandbox;
  readonly app: App;
  readonly databaseUrl: string;
  /** Every line that the server has logged, as JSON. */
  readonly logLines: readonly string[];
  graphql(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphqlAnswer>;
  /** A graphql-ws client; disposed of with the network. */
  socket(connectionParams?: Record<string, unknown>): Client;
}

/** Starts a network that is gone when the test is over, whether or not the test disposes of it. */
export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const network = await startSharedNetwork(options);
  onTestFinished(() => network[Symbol.asyncDispose]());
  return network;
}

/** Starts a network for several tests: whoever has started it disposes of it. */
export async function startSharedNetwork(options: NetworkOptions = {}): Promise<Network> {
  const directory = options.databaseUrl ? null : await mkdtemp(join(tmpdir(), 'guest-sessions-'));
  const databaseUrl = options.databaseUrl ?? `file:${join(directory ?? '', 'test.db')}`;
  const cxone = await CxoneSandbox.start(options.cxone);
  const crm = await CrmSandbox.start();
  const logLines: string[] = [];
  const settings = loadSettings({
    PORT: '0',
    DATABASE_URL: databaseUrl,
    ...settingsFor(cxone, crm),
    ENCRYPTION_KEY,
    LOG_LEVEL: 'trace',
    ...options.env,
  });
  const log = pino({ level: 'trace' }, { write: (line: string) => void logLines.push(line) });
  const app = await createApp(settings, { log, ...(options.now && { now: options.now }) });
  const clients: Client[] = [];

  let closing: Promise<void> | undefined;
  const close = async () => {
    for (const client of clients) await client.dispose();
    await app[Symbol.asyncDispose]();
    await cxone[Symbol.asyncDispose]();
    await crm[Symbol.asyncDispose]();
    if (directory) await rm(directory, { recursive: true, force: true });
  };
  return {
    cxone,
    crm,
    app,
    databaseUrl,
    logLines,
    graphql: (query, variables, headers) => postGraphql(app.url, query, variables, headers),
    socket: (connectionParams) => {
      const url = `${app.url.replace('http', 'ws')}/graphql`;
      const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams });
      clients.push(client);
      return client;
    },
    [Symbol.asyncDispose]: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** What points a server at a tenant and a CRM, with waits that a test has time for. */
export const settingsFor = (cxone: CxoneSandbox, crm: CrmSandbox) => ({
  CXONE_BASE_URL: cxone.url,
  CXONE_CLIENT_ID: cxone.clientId,
  CXONE_CLIENT_SECRET: cxone.clientSecret,
  CXONE_QUEUE_ID: 'queue-test',
  CXONE_RETRY_BASE_MS: '10',
  CRM_WEBHOOK_URL: crm.url,
});

/** 32 bytes, the same for every server of a run, so that one can go on with another's database. */

export async function postGraphql(
  url: string,
  query: string,
  variables?: object,
  headers: Record<string, string> = {},
): Promise<GraphqlAnswer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return { status: response.status, ...((await response.json()) as Omit<GraphqlAnswer, 'status'>) };
}

export const OPEN = /* GraphQL */ `
  mutation Open($input: CreateGuestSessionInput!) {
    createGuestSession(input: $input) {
      requestId
      clientToken
      eventCursor
      replayed
      session { id requestId sessionId guestId crmId status createdAt expiresAt attempts crmSync fraudScore durationMs failureCode channel }
      userErrors { code message field stage retryable retryAfterSeconds }
    }
  }
`;

/** The seed example of the domain: its fraud score is 60. */
export const SEED_INPUT = {
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
  crmId: 'crm_acct_44920',
  ipMetadata: { isProxy: false, country: 'US' },
} as const;

/** The seed example for a guest of its own. */
export const inputFor = (guestId: string = randomUUID()) => ({ ...SEED_INPUT, guestId });

/** Opens a session and gives the payload. */
export async function open(network: Pick<Network, 'graphql'>, input: object = inputFor()) {
  const { data, errors } = await network.graphql(OPEN, { input });
  if (!data) throw new Error(`createGuestSession gave no data: ${JSON.stringify(errors)}`);
  return data.createGuestSession;
}
