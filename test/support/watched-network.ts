import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Canaries } from './canaries.js';
import { eventually } from './eventually.js';
import { type GraphqlAnswer, type Network, type NetworkOptions, startSharedNetwork } from './network.js';

/** A network whose every secret is a canary, and that keeps whatever it tells anybody. */
export interface WatchedNetwork extends Network {
  /** Fails if a canary is anywhere but where it belongs. Asks for all that can be asked for first. */
  expectNoLeak(): Promise<void>;
}

/** All that the API tells of anything. */
const EVERYTHING = /* GraphQL */ `
  {
    sessions(first: 100) { nodes {
      id requestId sessionId guestId crmId channel status failureCode fraudScore crmSync
    } }
    audits(first: 100) { nodes {
      requestId kind status reason errorCode sessionId guestId crmId actor actorRole sourceAddress hash previousHash
    } }
    events(first: 100) { nodes { cursor type requestId guestId crmId sessionId channel status reason } }
    webhookDeliveries(first: 20) { nodes { id requestId status lastError body tries { statusCode error } } }
    webhookEndpoint { status disabledReason }
    metrics { totalRequests outcomes { status errorCode count } }
    verifyAuditTrail { ok reason head checkpoints lastCheckpoint }
  }
`;
const FOLLOW = /* GraphQL */ `
  subscription { sessionEvents { cursor type requestId guestId crmId sessionId channel status reason } }
`;

/** Starts one; whoever has started it disposes of it. */
export async function startWatchedNetwork(options: NetworkOptions = {}): Promise<WatchedNetwork> {
  const canaries = new Canaries();
  const directory = await mkdtemp(join(tmpdir(), 'watched-'));
  const network = await startSharedNetwork({
    databaseUrl: `file:${join(directory, 'test.db')}`,
    ...options,
    cxone: { ...canaries.cxone, ...options.cxone },
    env: { ...canaries.env, AUDIT_CHECKPOINT_FILE: join(directory, 'checkpoints.jsonl'), ...options.env },
  });
  const { app, crm, cxone, logLines } = network;
  const answers: string[] = [];
  const socketMessages: string[] = [];
  const socket = network.socket(canaries.headers);
  socket.subscribe(
    { query: FOLLOW },
    {
      next: (message) => void socketMessages.push(JSON.stringify(message)),
      error: (error) => void socketMessages.push(JSON.stringify(error)),
      complete: () => undefined,
    },
  );

  /** Asks, and keeps what is answered, but for a guest's token in its field: there it belongs, and there alone. */
  async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
    const response = await fetch(app.url + path, init);
    const { status, headers } = response;
    const text = await response.text();
    const token = /"clientToken":("(?:[^"\\]|\\.)*")/.exec(text)?.[1] ?? 'null';
    answers.push(`${status} ${JSON.stringify([...headers])} ${text.replace(token, 'null')}`);
    return { status, text };
  }

  async function graphql(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphqlAnswer> {
    const { status, text } = await ask('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...canaries.headers, ...headers },
      body: JSON.stringify({ query, variables: planted(variables, canaries) }),
    });
    return { status, ...(JSON.parse(text) as Omit<GraphqlAnswer, 'status'>) };
  }

  async function filesOf(): Promise<[place: string, bytes: Buffer][]> {
    const names = await readdir(directory);
    return Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))] as [string, Buffer]));
  }

  async function expectNoLeak(): Promise<void> {
    await eventually(() => socketMessages.length > 0 && crm.received.length > 0);
    const { errors } = await graphql(EVERYTHING);
    expect(errors).toBeUndefined();
    for (const path of ['/health/ready', '/health/live', '/.well-known/audit-key.json']) await ask(path);
    const live = await filesOf();
    await app[Symbol.asyncDispose](); // the write-ahead log is moved into the file, and the end of the trail is signed
    const places: [place: string, written: string | Buffer][] = [
      ['the log', logLines.join('')],
      ['an answer over HTTP', answers.join('\n')],
      ['an event over a socket', socketMessages.join('\n')],
      ['a webhook', JSON.stringify(crm.received)],
      ...live.map(([name, bytes]): [string, Buffer] => [`the file ${name} of the running server`, bytes]),
      ...(await filesOf()),
    ];
    // What is searched is there, and the canaries were in use.
    const written = new Map(places.map(([place, text]) => [place, text.length]));
    for (const place of ['the log', 'an answer over HTTP', 'an event over a socket', 'test.db', 'checkpoints.jsonl'])
      expect(written.get(place), place).toBeGreaterThan(0);
    expect(cxone.history().every(({ token }) => token.includes(canaries.mark))).toBe(true);
    expect(places.flatMap(([place, text]) => canaries.find(place, text)).join('\n')).toBe('');
  }

  return {
    ...network,
    graphql,
    expectNoLeak,
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What a caller sends, with its own secrets in it. */
function planted(variables: object | undefined, canaries: Canaries): object | undefined {
  const { input } = (variables ?? {}) as { input?: Record<string, unknown> };
  if (typeof input?.deviceFingerprint !== 'string') return variables;
  const { idempotencyKey } = input;
  const key = typeof idempotencyKey === 'string' && { idempotencyKey: canaries.idempotencyKey(idempotencyKey) };
  return { ...variables, input: { ...input, deviceFingerprint: canaries.fingerprint, ...key } };
}
