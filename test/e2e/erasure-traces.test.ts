import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { booksOf } from '../guest-session/books.js';
import { FakeClock } from '../store/deliveries.js';
import { eraseGuest, tracesIn } from '../support/erasure.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

const HOUR_MS = 3_600_000;
const OTHERS = 120;
const AT_A_TIME = 20;

const END = /* GraphQL */ `
  mutation End($input: EndGuestSessionInput!) { endGuestSession(input: $input) { userErrors { code } } }
`;
const TRAIL = '{ verifyAuditTrail { ok checked reason } }';
const SESSION = 'query ($id: ID!) { session(id: $id) { guestId erased crmId sessionId status } }';
const AUDITS = /* GraphQL */ `
  query ($requestId: String!) { audits(filter: { requestId: $requestId }) { nodes { guestId crmId sessionId reason erased kind actor } } }
`;

/** Many guests with a session each, so that the pages of all tables split and move. */
async function crowd(network: Network): Promise<void> {
  for (let done = 0; done < OTHERS; done += AT_A_TIME) {
    await Promise.all(Array.from({ length: AT_A_TIME }, () => open(network)));
  }
}

/** All that can happen to a guest has happened to this one. */
async function liveALot(network: Network, clock: FakeClock) {
  const guestId = `guest-${randomUUID()}`;
  const crmId = `account-of-${guestId}`;
  const idempotencyKey = `intent of ${guestId}`;
  const reason = `${guestId} wants to be forgotten`;
  const input = { ...inputFor(guestId), crmId };
  const sessions: { id: string; sessionId: string }[] = [];
  const tokens: string[] = [];
  const openOne = async (more: object = {}) => {
    const { session, clientToken } = await open(network, { ...input, ...more });
    sessions.push(session);
    tokens.push(clientToken);
    return session;
  };
  const count = (status: string) => {
    const db = new SqliteConnection(network.app.engine.databasePath, { readOnly: true });
    try {
      const sql = `SELECT count(*) AS "n" FROM "WebhookDelivery" d JOIN "GuestSession" s ON s."id" = d."requestId"
        WHERE d."status" = ? AND s."guestId" = (SELECT "guestId" FROM "GuestSession" WHERE "id" = ?)`;
      return db.get<{ n: number }>(sql, status, sessions[0]?.id ?? '')?.n ?? 0;
    } finally {
      db.close();
    }
  };

  const delivered = await openOne({ idempotencyKey });
  await network.graphql(END, { input: { id: delivered.id, reason } });
  await eventually(() => count('DELIVERED') === 2);
  await open(network, { ...input, ipMetadata: { isProxy: true }, idempotencyKey: `refused ${idempotencyKey}` });
  network.cxone.scenarios.add({
    on: 'create',
    fault: { kind: 'status', status: 400, body: `no ${guestId}` },
    guestId,
    times: 1,
  });
  await open(network, input);
  await crowd(network);

  network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 }, guestId });
  const dead = await openOne();
  await network.graphql(END, { input: { sessionId: dead.sessionId, reason } });
  await eventually(async () => {
    clock.advance(2 * HOUR_MS);
    return count('DEAD') === 2;
  });
  const expiring = await openOne();
  await eventually(
    async () => (await network.graphql(SESSION, { id: expiring.id })).data.session.status === 'EXPIRED',
    10_000,
  );
  await openOne({ idempotencyKey: `live ${idempotencyKey}` });
  await eventually(() => count('PENDING') > 0);
  return { guestId, crmId, idempotencyKey, reason, sessions, tokens, input };
}

/** What the file has of the guest's key. */
function keyOf(path: string, requestId: string): string {
  const db = new SqliteConnection(path, { readOnly: true });
  try {
    const sql = `SELECT "wrapped" FROM "GuestKey" WHERE 'gk_' || "id" = (SELECT "guestId" FROM "GuestSession" WHERE "id" = ?)`;
    return db.get<{ wrapped: string }>(sql, requestId)?.wrapped ?? '';
  } finally {
    db.close();
  }
}

describe('what a guest leaves behind that is erased', () => {
  it('is in no byte of the database, its log included, while the server runs and after it', {
    timeout: 90_000,
  }, async () => {
    const clock = new FakeClock();
    const network = await startNetwork({
      env: { CRM_WEBHOOK_EVENTS: 'session.initiated,session.ended', CRM_RETRY_SCHEDULE: '3600' },
      cxone: { sessionTtlSeconds: 4 },
      now: clock.now,
    });
    const path = network.app.engine.databasePath;
    const { guestId, crmId, idempotencyKey, reason, sessions, tokens, input } = await liveALot(network, clock);
    const clear = {
      guestId,
      uuid: guestId.slice('guest-'.length),
      crmId,
      idempotencyKey,
      reason,
      fingerprint: input.deviceFingerprint,
      ...Object.fromEntries(sessions.map(({ sessionId }, number) => [`session id ${number}`, sessionId])),
      ...Object.fromEntries(tokens.map((token, number) => [`token ${number}`, token])),
    };
    const key = { key: keyOf(path, sessions[0]!.id) };
    expect(key.key).not.toBe('');
    expect(tracesIn(path, clear), 'all is sealed').toEqual([]);
    expect(tracesIn(path, key), 'the search finds what is there').not.toEqual([]);
    const before = await booksOf(network, guestId);
    expect(before.sessions.map(({ status }) => status).sort()).toEqual([
      'ACTIVE',
      'ENDED',
      'ENDED',
      'EXPIRED',
      'FAILED',
    ]);

    const payload = await eraseGuest(network, guestId);

    expect(payload).toMatchObject({ erased: true, endedSessions: 1, entriesInTheClear: 0, userErrors: [] });
    expect(tracesIn(path, { ...clear, ...key })).toEqual([]);
    expect(network.cxone.sessions(guestId)).toEqual([]);
    expect(await booksOf(network, guestId)).toEqual({ sessions: [], audits: [], events: [] });
    for (const { id } of sessions) {
      const { data } = await network.graphql(SESSION, { id });
      expect(data.session).toMatchObject({ guestId: 'erased', erased: true, crmId: null, sessionId: null });
      const { audits } = (await network.graphql(AUDITS, { requestId: id })).data;
      for (const entry of audits.nodes) {
        expect(entry).toMatchObject({ guestId: null, crmId: null, sessionId: null });
        // What becomes of a webhook afterwards is written down of nobody.
        if (entry.kind !== 'CRM_SYNC') expect(entry).toMatchObject({ reason: null, erased: true });
      }
    }
    const { audits } = (await network.graphql(AUDITS, { requestId: payload.requestId })).data;
    expect(audits.nodes).toMatchObject([{ kind: 'GUEST_ERASED', actor: 'local', guestId: null, erased: true }]);
    expect((await network.graphql(TRAIL)).data.verifyAuditTrail).toMatchObject({ ok: true });

    // What was still to be told is told, and says nothing of the guest.
    const taken = network.crm.received.length;
    await eventually(() => {
      clock.advance(2 * HOUR_MS);
      return network.crm.received.length > taken;
    });
    const told = network.crm.received.slice(taken).map(({ rawBody }) => rawBody);
    for (const body of told)
      expect(JSON.parse(body).payload).toMatchObject({ guestId: null, sessionId: null, crmId: null });

    // The same guest, and the same intent, are new.
    const again = await open(network, { ...input, idempotencyKey });
    expect(again).toMatchObject({ replayed: false, userErrors: [], session: { guestId, status: 'ACTIVE' } });
    expect((await booksOf(network, guestId)).sessions).toHaveLength(1);
    await eraseGuest(network, guestId);

    expect(tracesIn(path, { ...clear, ...key })).toEqual([]);
    await network.app[Symbol.asyncDispose]();
    expect(tracesIn(path, { ...clear, ...key, 'new session id': again.session.sessionId })).toEqual([]);
    expect(network.logLines.filter((line) => line.includes('-wal'))).toEqual([]);
  });
});
