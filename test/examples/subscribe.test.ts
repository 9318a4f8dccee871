import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';
import { postGraphql } from '../support/network.js';
import { end, run } from '../support/program.js';

const SERVER = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const EXAMPLE = fileURLToPath(new URL('../../examples/subscribe.mjs', import.meta.url));
const PATIENCE_MS = 10_000;

/** The built server, on a database that outlives it. */
async function startServer(databaseUrl: string, env: Record<string, string> = {}) {
  const server = run(SERVER, [], { PORT: '0', DATABASE_URL: databaseUrl, ...env });
  const url = await eventually(() => {
    if (server.child.exitCode !== null) throw new Error(`the server ended: ${server.err}`);
    return server.out.match(/(http:\S+)\/graphql\n/)?.[1];
  }, PATIENCE_MS);
  return { ...server, url };
}

function newDatabaseUrl(): string {
  const directory = mkdtempSync(join(tmpdir(), 'subscribe-example-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return `file:${join(directory, 'sessions.db')}`;
}

const OPEN = `mutation ($guestId: String!) {
  createGuestSession(input: { guestId: $guestId, deviceFingerprint: "fp_9a8b7c6d5e4f3g2h1i0j" }) {
    requestId eventCursor session { sessionId }
  }
}`;

async function open(url: string) {
  const { data, errors } = await postGraphql(url, OPEN, { guestId: randomUUID() });
  if (!data) throw new Error(JSON.stringify(errors));
  return data.createGuestSession as { requestId: string; eventCursor: string; session: { sessionId: string } };
}

const ALL_OF_A_SESSION = ['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNCED'];

describe('examples/subscribe.mjs', () => {
  it('prints what happens after its cursor, each event once, also across a restart of the server', async () => {
    const databaseUrl = newDatabaseUrl();
    const server = await startServer(databaseUrl);
    const before = await open(server.url);
    const example = run(EXAMPLE, ['--url', server.url, '--after', before.eventCursor]);
    const printed = () =>
      example.out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { type: string; requestId: string; cursor: string });
    const typesOf = (requestId: string) =>
      printed()
        .filter((event) => event.requestId === requestId)
        .map(({ type }) => type);

    const first = await open(server.url);
    await eventually(() => typesOf(first.requestId).length === 3, PATIENCE_MS);
    await end(server, 'SIGTERM');
    const restarted = await startServer(databaseUrl, { PORT: new URL(server.url).port });
    const second = await open(restarted.url);
    await eventually(() => typesOf(second.requestId).length === 3, PATIENCE_MS);

    expect(typesOf(before.requestId)).toEqual(['SESSION_CRM_SYNCED']);
    expect(typesOf(first.requestId)).toEqual(ALL_OF_A_SESSION);
    expect(typesOf(second.requestId)).toEqual(ALL_OF_A_SESSION);
    expect(new Set(printed().map(({ cursor }) => cursor)).size).toBe(printed().length);
    expect(example.err).toContain('no connection: trying again\n');
  });

  it('ends with what the server says when the cursor is not one', async () => {
    const server = await startServer(newDatabaseUrl());
    const example = run(EXAMPLE, ['--url', server.url, '--after', 'nonsense']);

    const [exitCode] = await once(example.child, 'close');

    expect(exitCode).toBe(1);
    expect(example.err).toContain('BAD_USER_INPUT: ');
  });

  it('asks for a key where the server wants one', async () => {
    const keys = [{ name: 'crm', role: 'CRM', sha256: '0'.repeat(64) }];
    const server = await startServer(newDatabaseUrl(), { API_KEYS: JSON.stringify(keys) });
    const example = run(EXAMPLE, ['--url', server.url]);

    const [exitCode] = await once(example.child, 'close');

    expect(exitCode).toBe(1);
    expect(example.err).toBe('the server wants a valid key in API_KEY\n');
  });
});
