import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../../src/sandbox/faults.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { API_KEYS, bearer } from '../http/server.js';
import { eraseGuest } from '../support/erasure.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, type NetworkOptions, OPEN, open, startNetwork } from '../support/network.js';

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '300', CREATE_DEADLINE_MS: '1500', CXONE_BREAKER_FAILURES: '1000' };

const start = ({ env, ...options }: NetworkOptions = {}) => startNetwork({ ...options, env: { ...ENV, ...env } });

const liveAt = (network: Network, guestId: string) => network.cxone.sessions(guestId).map(({ sessionId }) => sessionId);

/** What the file says, on a connection of its own. */
function rows<Row>(network: Network, sql: string): Row[] {
  const db = new SqliteConnection(network.app.engine.databasePath, { readOnly: true });
  try {
    return db.all<Row>(sql);
  } finally {
    db.close();
  }
}

const erasuresIn = (network: Network) =>
  rows(network, `SELECT 1 FROM "AuditEntry" WHERE "kind" = 'GUEST_ERASED' AND "status" = 'SUCCESS'`).length;

describe('erasing a guest', () => {
  it('ends its live sessions at CXone and here, in the name of the caller', async () => {
    const network = await start();
    const guestId = `guest-${randomUUID()}`;
    for (let i = 0; i < 3; i += 1) await open(network, inputFor(guestId));
    const other = await open(network);

    const payload = await eraseGuest(network, guestId.toUpperCase());

    expect(payload).toEqual({
      erased: true,
      requestId: expect.any(String),
      endedSessions: 3,
      entriesInTheClear: 0,
      userErrors: [],
    });
    expect(liveAt(network, guestId)).toEqual([]);
    const { audits, verification } = await auditTrail(network);
    expect(audits[0]).toMatchObject({ kind: 'GUEST_ERASED', requestId: payload.requestId, guestId: null });
    expect(audits.filter(({ kind }) => kind === 'SESSION_ENDED')).toHaveLength(3);
    expect(verification).toMatchObject({ ok: true });
    expect(network.cxone.sessions(other.session.guestId)).toHaveLength(1);
  });

  it('a second time changes nothing and is no error, nor is it for a guest that nobody has heard of', async () => {
    const network = await start();
    const { session } = await open(network);
    await eraseGuest(network, session.guestId);
    const nothing = { erased: false, endedSessions: 0, entriesInTheClear: 0, userErrors: [] };

    expect(await eraseGuest(network, session.guestId)).toMatchObject(nothing);
    expect(await eraseGuest(network, randomUUID())).toMatchObject(nothing);
    expect(erasuresIn(network)).toBe(1);
  });

  it('refuses what is no id of a guest', async () => {
    const network = await start();
    for (const guestId of ['', 'erased', 'gk_1', `${randomUUID()}\0`]) {
      const { erased, userErrors } = await eraseGuest(network, guestId);
      expect([erased, userErrors]).toMatchObject([
        false,
        [{ code: 'INVALID_INPUT', field: ['guestId'], stage: 'VALIDATE', retryable: false }],
      ]);
    }
  });

  it('is for operations alone', async () => {
    const network = await start({ env: { API_KEYS } });
    const input = inputFor();
    await network.graphql(OPEN, { input }, bearer('BACKEND'));
    const query = 'mutation ($guestId: String!) { eraseGuest(guestId: $guestId) { erased } }';
    for (const role of ['GUEST', 'BACKEND', 'CRM'] as const) {
      const { errors } = await network.graphql(query, input, bearer(role));
      expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    }
    expect(liveAt(network, input.guestId)).toHaveLength(1);
    expect(await eraseGuest(network, input.guestId, bearer('OPS'))).toMatchObject({ erased: true });
  });

  it.each([
    { what: 'cannot end sessions', options: { cxone: { canEndSessions: false } } },
    { what: 'is not asked to', options: { env: { CXONE_END_SESSION: 'off' } } },
  ])('ends sessions here alone where CXone $what', async ({ options }) => {
    const network = await start(options);
    const { session } = await open(network);

    expect(await eraseGuest(network, session.guestId)).toMatchObject({ erased: true, endedSessions: 1 });
    expect(await booksOf(network, session.guestId)).toMatchObject({ sessions: [] });
  });
});

describe('a guest that cannot be erased yet', () => {
  it.each<{ fault: Fault; code: string }>([
    { fault: { kind: 'status', status: 503 }, code: 'CXONE_UNAVAILABLE' },
    { fault: { kind: 'outage' }, code: 'CXONE_UNAVAILABLE' },
    { fault: { kind: 'hang' }, code: 'CXONE_UNAVAILABLE' },
    { fault: { kind: 'rate-limit', retryAfter: '60' }, code: 'RATE_LIMITED' },
  ])(
    'is as it was while CXone does not end a session of it ($fault.kind), and is erased when it does',
    async ({ fault, code }) => {
      const network = await start();
      const { guestId } = inputFor();
      const stays = await open(network, inputFor(guestId));
      network.cxone.scenarios.add({ on: 'end', fault, guestId });

      const refused = await eraseGuest(network, guestId);

      expect(refused).toMatchObject({
        erased: false,
        endedSessions: 0,
        userErrors: [{ code, stage: 'ERASE', retryable: true, field: null }],
      });
      expect(await booksOf(network, guestId)).toMatchObject({
        sessions: [{ sessionId: stays.session.sessionId, status: 'ACTIVE' }],
      });
      expect(rows(network, `SELECT 1 FROM "GuestKey" WHERE "wrapped" IS NULL`)).toEqual([]);
      expect(erasuresIn(network)).toBe(0);
      const { audits } = await booksOf(network, guestId);
      expect(audits[0]).toMatchObject({ kind: 'GUEST_ERASED', status: 'FAILED', errorCode: code, guestId });
      expect(audits[0]).toMatchObject({ requestId: refused.requestId, reason: expect.any(String) });

      network.cxone.scenarios.clear();
      expect(await eraseGuest(network, guestId)).toMatchObject({ erased: true, endedSessions: 1 });
      expect(liveAt(network, guestId)).toEqual([]);
    },
  );

  it('is told to wait while a session of it is being opened', async () => {
    const network = await start();
    const input = inputFor();
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 200 }, guestId: input.guestId });
    const opening = open(network, input);
    await eventually(() => rows(network, `SELECT 1 FROM "GuestSession" WHERE "status" = 'PENDING'`).length > 0);

    expect(await eraseGuest(network, input.guestId)).toMatchObject({
      erased: false,
      userErrors: [{ code: 'OUTCOME_UNKNOWN', stage: 'ERASE', retryable: true, retryAfterSeconds: 1 }],
    });
    expect(await opening).toMatchObject({ userErrors: [], session: { guestId: input.guestId } });
    expect(await eraseGuest(network, input.guestId)).toMatchObject({ erased: true, endedSessions: 1 });
  });

  it('waits until what became of a lost answer is known: what it has opened is ended, and looked for a while longer', async () => {
    const network = await start();
    const input = inputFor();
    const { guestId } = input;
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', guestId });
    network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 503 }, skip: 1, guestId });
    expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }]);
    expect(liveAt(network, guestId)).toHaveLength(1);
    const unknown = { code: 'OUTCOME_UNKNOWN', stage: 'ERASE', retryable: true, retryAfterSeconds: expect.any(Number) };

    expect(await eraseGuest(network, guestId)).toMatchObject({
      erased: false,
      endedSessions: 0,
      userErrors: [unknown],
    });

    network.cxone.scenarios.clear();
    expect(await eraseGuest(network, guestId)).toMatchObject({
      erased: false,
      endedSessions: 1,
      userErrors: [unknown],
    });
    expect(liveAt(network, guestId)).toEqual([]);
    const { sessions } = await booksOf(network, guestId);
    expect(sessions).toMatchObject([{ status: 'ENDED' }]);
  });
});

describe('erasing a guest that goes on', () => {
  const WORKERS = 3;
  const REQUESTS = 30;

  it('never leaves a live session that belongs to nobody, however the two meet', { timeout: 60_000 }, async () => {
    const network = await start();
    const { guestId } = inputFor();
    let isOver = false;
    let erased = 0;
    const opening = Array.from({ length: WORKERS }, async () => {
      for (let request = 0; request < REQUESTS; request += 1) {
        // The workers share their intents, so that answers are repeated while the guest is erased.
        const { session, userErrors } = await open(network, { ...inputFor(guestId), idempotencyKey: `${request}` });
        if (session) {
          expect(userErrors).toEqual([]);
          // The next one then comes just when the guest is being forgotten.
          await eventually(() => !liveAt(network, guestId).includes(session.sessionId));
        } else expect(userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED' }]);
      }
    });
    const erasing = Array.from({ length: 2 }, async () => {
      while (!isOver) if ((await eraseGuest(network, guestId)).erased) erased += 1;
    });
    await Promise.all(opening).finally(() => {
      isOver = true;
    });
    await Promise.all(erasing);

    expect(erased).toBeGreaterThan(0);
    const left = rows(
      network,
      `SELECT "id" FROM "GuestSession" WHERE "personal" IS NULL AND "status" NOT IN ('ENDED', 'FAILED')`,
    );
    expect(left).toEqual([]);
    const { sessions } = await booksOf(network, guestId);
    const active = sessions.filter(({ status }) => status === 'ACTIVE').map(({ sessionId }) => sessionId);
    expect(liveAt(network, guestId).sort()).toEqual(active.sort());
    if ((await eraseGuest(network, guestId)).erased) erased += 1;
    expect(liveAt(network, guestId)).toEqual([]);
    expect(rows(network, 'SELECT 1 FROM "GuestKey" WHERE "wrapped" IS NOT NULL OR "guestHmac" IS NOT NULL')).toEqual(
      [],
    );
    expect(erasuresIn(network)).toBe(erased);
    expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
  });
});

const EVENTS = /* GraphQL */ `
  subscription { sessionEvents(after: "ZXZlbnQ6MA") { type guestId crmId sessionId } }
`;

describe('the event stream after an erasure', () => {
  /** The log from its beginning, up to so many events. */
  async function replay(network: Network, count: number) {
    const seen: unknown[] = [];
    for await (const { data } of network.socket().iterate<{ sessionEvents: object }>({ query: EVENTS })) {
      seen.push(data?.sessionEvents);
      if (seen.length === count) break;
    }
    return seen;
  }

  it('tells nobody any more who it was, though it keeps events in memory and what they look like', async () => {
    const network = await start({ env: { CRM_WEBHOOK_EVENTS: 'session.initiated' } });
    network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 } });
    const { session } = await open(network);
    const watching = network.socket().iterate<{ sessionEvents: object }>({ query: EVENTS });
    expect((await watching.next()).value.data.sessionEvents).toMatchObject({ guestId: session.guestId });
    await eraseGuest(network, session.guestId);
    const again = await open(network, inputFor(session.guestId));

    const [requested, initiated, ended, ...fresh] = await replay(network, 5);

    const nobody = { guestId: null, crmId: null, sessionId: null };
    expect([requested, initiated, ended]).toEqual([
      { type: 'SESSION_REQUESTED', ...nobody },
      { type: 'SESSION_INITIATED', ...nobody },
      { type: 'SESSION_ENDED', ...nobody },
    ]);
    expect(fresh).toMatchObject([
      { type: 'SESSION_REQUESTED', guestId: session.guestId },
      { type: 'SESSION_INITIATED', guestId: session.guestId, sessionId: again.session.sessionId },
    ]);
    await watching.return?.();
  });
});
