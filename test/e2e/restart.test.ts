import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

const BOOKS = /* GraphQL */ `
  {
    sessions(first: 100) { nodes { id sessionId guestId status crmSync createdAt expiresAt } }
    audits(first: 100) { nodes { sequence requestId kind hash } }
    events(first: 100) { nodes { cursor type requestId } }
    metrics { totalRequests successfulRequests rejectedRequests crm { delivered pending } }
    verifyAuditTrail { ok checked firstBrokenSequence reason head }
  }
`;

const booksOf = async (network: Network) => (await network.graphql(BOOKS)).data;

/** A database that several servers use, one after the other. */
function sharedDatabase(): { databaseUrl: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'restart-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'shared.db');
  return { databaseUrl: `file:${path}`, path };
}

const sequencesIn = (path: string, table: 'SessionEvent' | 'AuditEntry'): number[] => {
  const database = new SqliteConnection(path, { readOnly: true });
  try {
    return database.all<{ n: number }>(`SELECT "sequence" AS n FROM "${table}" ORDER BY "sequence"`).map(({ n }) => n);
  } finally {
    database.close();
  }
};
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

it('a second server sees what the first has written, and goes on without a gap', async () => {
  const { databaseUrl, path } = sharedDatabase();
  const first = await startNetwork({ databaseUrl });
  for (let i = 0; i < 3; i++) await open(first);
  await open(first, { ...inputFor(), guestId: 'nobody' });
  await eventually(async () => (await booksOf(first)).metrics.crm.delivered === 3);
  const before = await booksOf(first);
  expect(before.verifyAuditTrail).toMatchObject({ ok: true, checked: 8 });
  await first[Symbol.asyncDispose]();

  const second = await startNetwork({ databaseUrl });
  const { audits, verifyAuditTrail: _, ...rest } = await booksOf(second);
  expect({ ...rest, audits: audits.nodes.slice(1) }).toEqual({
    sessions: before.sessions,
    events: before.events,
    metrics: before.metrics,
    audits: before.audits.nodes,
  });
  expect(audits.nodes[0]).toMatchObject({ kind: 'SERVER_STARTED', sequence: 9 });
  const { session } = await open(second);
  await eventually(async () => (await booksOf(second)).metrics.crm.delivered === 4);
  const after = await booksOf(second);
  expect(after.sessions.nodes.map(({ id }: { id: string }) => id)).toEqual([
    session.id,
    ...before.sessions.nodes.map(({ id }: { id: string }) => id),
  ]);
  expect(after.events.nodes.slice(0, before.events.nodes.length)).toEqual(before.events.nodes);
  expect(after.metrics).toMatchObject({ totalRequests: 5, successfulRequests: 4, rejectedRequests: 1 });
  expect(after.verifyAuditTrail).toMatchObject({ ok: true, checked: 11 });
  expect(sequencesIn(path, 'AuditEntry')).toEqual(upTo(11));
  expect(sequencesIn(path, 'SessionEvent')).toEqual(upTo(13));
});

it('a subscriber goes on at the second server where it was with the first', async () => {
  const { databaseUrl } = sharedDatabase();
  const first = await startNetwork({ databaseUrl });
  const { eventCursor, requestId } = await open(first);
  await eventually(async () => (await booksOf(first)).metrics.crm.delivered === 1);
  await first[Symbol.asyncDispose]();

  const second = await startNetwork({ databaseUrl });
  const heard: { type: string; requestId: string }[] = [];
  second
    .socket()
    .subscribe<{ sessionEvents: { type: string; requestId: string } }>(
      { query: `subscription { sessionEvents(after: "${eventCursor}") { type requestId } }` },
      { next: ({ data }) => data && heard.push(data.sessionEvents), error: () => undefined, complete: () => undefined },
    );
  await eventually(() => heard.length === 1);
  const next = await open(second);
  await eventually(() => heard.length === 4);
  expect(heard.map(({ type, requestId }) => [type, requestId])).toEqual([
    ['SESSION_CRM_SYNCED', requestId],
    ['SESSION_REQUESTED', next.requestId],
    ['SESSION_INITIATED', next.requestId],
    ['SESSION_CRM_SYNCED', next.requestId],
  ]);
});

it('the webhooks that the first server could not deliver are sent by the second', async () => {
  const { databaseUrl } = sharedDatabase();
  const first = await startNetwork({ databaseUrl, env: { CRM_RETRY_SCHEDULE: '0,0,0,0,0,0,0,0,0,0' } });
  await first.crm.refuseConnections();
  const opened = [await open(first), await open(first), await open(first)];
  await first[Symbol.asyncDispose]();
  expect(first.crm.received).toEqual([]);

  const second = await startNetwork({ databaseUrl });
  await eventually(async () => (await booksOf(second)).metrics.crm.delivered === 3);
  const sessionIdOf = (body: unknown) => (body as { payload: { sessionId: string } }).payload.sessionId;
  expect(second.crm.received.map(({ body }) => sessionIdOf(body)).sort()).toEqual(
    opened.map(({ session }) => session.sessionId).sort(),
  );
  const books = await booksOf(second);
  expect(books.sessions.nodes.map(({ crmSync }: { crmSync: string }) => crmSync)).toEqual(Array(3).fill('DELIVERED'));
  expect(books.verifyAuditTrail).toMatchObject({ ok: true, checked: 8 });
});

it('so are those that a server was at work on when it died', async () => {
  const { databaseUrl, path } = sharedDatabase();
  const first = await startNetwork({ databaseUrl, env: { CRM_RETRY_SCHEDULE: '3600' } });
  await first.crm.refuseConnections();
  await open(first);
  await first[Symbol.asyncDispose]();
  const database = new SqliteConnection(path);
  const inAMinute = Date.now() + 60_000;
  database.run(`UPDATE "WebhookDelivery" SET "leaseToken" = 'of the dead', "nextAttemptAt" = ?`, inAMinute);
  database.close();

  const second = await startNetwork({ databaseUrl });
  await eventually(() => second.crm.received.length === 1);
});

it('a guest’s places stay taken, though CXone has forgotten them', async () => {
  const { databaseUrl } = sharedDatabase();
  const env = { MAX_CONCURRENT_SESSIONS: '1' };
  const first = await startNetwork({ databaseUrl, env });
  const input = inputFor();
  await open(first, input);
  await first[Symbol.asyncDispose]();

  const second = await startNetwork({ databaseUrl, env });
  const { session, userErrors } = await open(second, input);
  expect([session, userErrors[0].code, userErrors[0].stage]).toEqual([null, 'CAPACITY_EXCEEDED', 'RESERVE']);
  expect((await open(second)).userErrors).toEqual([]);
});

it('a session whose time ran out between two servers is expired by the second', async () => {
  const { databaseUrl, path } = sharedDatabase();
  const first = await startNetwork({ databaseUrl });
  const { session } = await open(first);
  await first[Symbol.asyncDispose]();
  const database = new SqliteConnection(path);
  database.run('UPDATE "GuestSession" SET "expiresAt" = ?', Date.now() - 1);
  database.close();

  const second = await startNetwork({ databaseUrl });
  await eventually(async () => (await booksOf(second)).sessions.nodes[0].status === 'EXPIRED');
  const { events } = await booksOf(second);
  expect(events.nodes.at(-1)).toMatchObject({ type: 'SESSION_EXPIRED', requestId: session.id });
});
