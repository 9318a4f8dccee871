import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fault, Scenario } from '../../src/sandbox/faults.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { API_KEYS, bearer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, OPEN, startSharedNetwork } from '../support/network.js';

const AUDITS = /* GraphQL */ `
  query ($filter: AuditFilter) {
    audits(first: 100, filter: $filter) {
      nodes { requestId kind status errorCode reason guestId crmId sessionId actor actorRole sourceAddress attempts }
    }
  }
`;
const END = /* GraphQL */ `
  mutation ($input: EndGuestSessionInput!) { endGuestSession(input: $input) { session { status } userErrors { code } } }
`;

/** The loopback network, and a tag: equal for all that comes from one address. */
const HERE = /^127\.0\.0\.0\/24#[0-9a-f]{12}$/;
const CALLER = { actor: 'the BACKEND key', actorRole: 'BACKEND', sourceAddress: expect.stringMatching(HERE) };

let network: Network;
beforeAll(async () => {
  network = await startSharedNetwork({
    env: {
      API_KEYS,
      RATE_LIMITS: 'off',
      MAX_CONCURRENT_SESSIONS: '1',
      CXONE_BREAKER_FAILURES: '1000',
      CXONE_TIMEOUT_MS: '400',
    },
    cxone: { echoToken: true },
  });
});
afterAll(() => network[Symbol.asyncDispose]());

const ask = (query: string, variables?: object) => network.graphql(query, variables, bearer('BACKEND'));
const openAs = async (input: object) => (await ask(OPEN, { input })).data.createGuestSession;
/** What the trail says, oldest first. */
async function audits(filter: object) {
  const { data } = await network.graphql(AUDITS, { filter }, bearer('OPS'));
  // biome-ignore lint/suspicious/noExplicitAny: what is asked for is what is looked at
  return (data.audits.nodes as any[]).reverse();
}
const keyed = (guestId: string = randomUUID()) => ({ ...inputFor(guestId), idempotencyKey: randomUUID() });

describe('an attempt to open a session', () => {
  const striking = (fault: Fault, rest: Partial<Scenario> = {}) => {
    const guestId = randomUUID();
    network.cxone.scenarios.add({ on: 'create', fault, guestId, times: 1, ...rest });
    return openAs(inputFor(guestId));
  };

  it.each<[string, string | null, () => Promise<{ requestId: string }>]>([
    ['that succeeds', null, () => openAs(inputFor())],
    ['with input that is not valid', 'INVALID_INPUT', () => openAs({ ...inputFor(), guestId: 'nobody' })],
    ['that the fraud check refuses', 'FRAUD_BLOCKED', () => openAs({ ...inputFor(), ipMetadata: { isProxy: true } })],
    [
      'beyond the cap',
      'CAPACITY_EXCEEDED',
      async () => {
        const input = inputFor();
        await openAs(input);
        return openAs(input);
      },
    ],
    [
      'with the key of another intent',
      'IDEMPOTENCY_CONFLICT',
      async () => {
        const input = keyed();
        await openAs(input);
        return openAs({ ...input, crmId: 'another' });
      },
    ],
    ['that CXone finds fault with', 'CXONE_SCHEMA_REJECTED', () => striking({ kind: 'status', status: 400 })],
    ['that CXone does not let us make', 'CXONE_SCOPE_MISSING', () => striking({ kind: 'status', status: 403 })],
    ['that CXone refuses', 'CXONE_REJECTED', () => striking({ kind: 'status', status: 422 })],
    ['that CXone wants later', 'RATE_LIMITED', () => striking({ kind: 'rate-limit', retryAfter: '3600' })],
    [
      'while CXone cannot be asked for sessions',
      'CXONE_UNAVAILABLE',
      () => striking({ kind: 'status', status: 500 }, { on: 'list', times: 10 }),
    ],
    [
      'whose answer is lost',
      'OUTCOME_UNKNOWN',
      async () => {
        const guestId = randomUUID();
        network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, guestId, when: 'after', times: 1 });
        network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 403 }, guestId, skip: 1, times: 1 });
        return openAs(inputFor(guestId));
      },
    ],
  ])('%s (%s) leaves one entry, with the caller and where it comes from', async (_what, errorCode, attempt) => {
    const { requestId } = await attempt();

    const initiations = await audits({ requestId, kind: 'SESSION_INITIATION' });
    expect(initiations).toEqual([expect.objectContaining({ requestId, errorCode, ...CALLER })]);
    expect(initiations[0].status).toBe(
      {
        null: 'SUCCESS',
        INVALID_INPUT: 'REJECTED',
        FRAUD_BLOCKED: 'REJECTED',
        CAPACITY_EXCEEDED: 'REJECTED',
        IDEMPOTENCY_CONFLICT: 'REJECTED',
      }[String(errorCode)] ?? 'FAILED',
    );
  });

  it('that fails on a bug of ours leaves one entry under the id that the caller is told, and no word of the bug', async () => {
    const input = keyed();
    await openAs(input);
    const path = network.databaseUrl.replace('file:', '');
    const database = new SqliteConnection(path);
    database.run(`UPDATE "IdempotencyKey" SET "clientToken" = 'no token' WHERE "clientToken" IS NOT NULL`);
    database.close();

    const { errors } = await ask(OPEN, { input });
    const requestId = errors?.[0]?.extensions.requestId;
    expect(requestId).toEqual(expect.any(String));
    expect(await audits({ requestId })).toEqual([
      expect.objectContaining({ kind: 'SESSION_INITIATION', status: 'FAILED', reason: 'internal error', ...CALLER }),
    ]);
  });
});

describe('an answer that is given again', () => {
  const replays = (requestId: string) => audits({ requestId, kind: 'SESSION_REPLAYED' });

  it('leaves an entry each time, also for those that have waited for it', async () => {
    const input = keyed();
    network.cxone.scenarios.add({
      on: 'create',
      fault: { kind: 'slow', delayMs: 300 },
      guestId: input.guestId,
      times: 1,
    });
    const answers = await Promise.all(Array.from({ length: 5 }, () => openAs(input)));
    answers.push(await openAs(input), await openAs(input));

    const [{ requestId, session }] = answers;
    expect(new Set(answers.map((answer) => answer.requestId))).toEqual(new Set([requestId]));
    expect(answers.filter(({ replayed }) => replayed)).toHaveLength(6);
    const { guestId, crmId } = input;
    const entry = { requestId, status: 'SUCCESS', errorCode: null, guestId, crmId, sessionId: session.sessionId };
    expect(await replays(requestId)).toEqual(Array(6).fill(expect.objectContaining({ ...entry, ...CALLER })));
    expect(await audits({ requestId, kind: 'SESSION_INITIATION' })).toHaveLength(1);
  });

  it('leaves one for a refusal by the fraud check', async () => {
    const input = { ...keyed(), ipMetadata: { isProxy: true } };
    const [{ requestId }, again] = [await openAs(input), await openAs(input)];

    expect(again).toMatchObject({ requestId, replayed: true });
    const entry = { status: 'REJECTED', errorCode: 'FRAUD_BLOCKED', guestId: input.guestId, sessionId: null };
    expect(await replays(requestId)).toEqual([expect.objectContaining({ ...entry, ...CALLER })]);
  });

  it('leaves one where it was found at CXone first, and none for the attempt that asked', async () => {
    const input = keyed();
    const { guestId } = input;
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, guestId, when: 'after', times: 1 });
    network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 403 }, guestId, skip: 1, times: 1 });
    const lost = await openAs(input);
    expect(lost.userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }]);

    const found = await openAs(input);
    expect(found).toMatchObject({ requestId: lost.requestId, replayed: true, userErrors: [] });
    const { sessionId } = found.session;
    expect(await replays(lost.requestId)).toEqual([expect.objectContaining({ guestId, sessionId, ...CALLER })]);
    const kinds = (await audits({ guestId })).map(({ kind }) => kind).filter((kind) => kind !== 'CRM_SYNC');
    expect(kinds.sort()).toEqual(['SESSION_INITIATION', 'SESSION_RECONCILED', 'SESSION_REPLAYED']);
  });
});

describe('an order to end a session', () => {
  const end = (input: object, role: 'BACKEND' | 'GUEST' = 'BACKEND') => network.graphql(END, { input }, bearer(role));

  it('leaves an entry when it is carried out, and none when the session was over', async () => {
    const { guestId } = inputFor();
    const { session } = await openAs(inputFor(guestId));
    for (let again = 0; again < 3; again++) await end({ id: session.id });

    expect(await audits({ guestId, kind: 'SESSION_ENDED' })).toEqual([
      expect.objectContaining({ status: 'SUCCESS', sessionId: session.sessionId, ...CALLER }),
    ]);
  });

  it('of one who may not know of the session tells operations whose it was', async () => {
    const { guestId } = inputFor();
    const { session } = await openAs(inputFor(guestId));
    expect((await end({ id: session.id }, 'GUEST')).data.endGuestSession).toMatchObject({
      session: null,
      userErrors: [{ code: 'NOT_FOUND' }],
    });

    expect(await audits({ guestId, kind: 'SESSION_ENDED' })).toMatchObject([
      {
        status: 'REJECTED',
        errorCode: 'NOT_FOUND',
        reason: 'another caller has opened it',
        requestId: session.id,
        sessionId: session.sessionId,
        actor: 'the GUEST key',
        actorRole: 'GUEST',
      },
    ]);
  });

  it('for no session leaves an entry all the same', async () => {
    const ended = () => audits({ kind: 'SESSION_ENDED', status: 'REJECTED' });
    const before = (await ended()).length;
    await end({ id: randomUUID() });
    await end({});

    expect((await ended()).slice(before)).toEqual([
      expect.objectContaining({ errorCode: 'NOT_FOUND', guestId: null, ...CALLER }),
      expect.objectContaining({ errorCode: 'INVALID_INPUT', guestId: null, ...CALLER }),
    ]);
  });
});

describe('what operations do about webhooks', () => {
  it('leaves an entry with where it was ordered from', async () => {
    const { requestId } = await openAs(inputFor());
    const query = `query ($id: String) { webhookDeliveries(filter: { requestId: $id }) { nodes { id status } } }`;
    const delivery = () =>
      network
        .graphql(query, { id: requestId }, bearer('OPS'))
        .then(({ data }) =>
          data.webhookDeliveries.nodes.find(({ status }: { status: string }) => status === 'DELIVERED'),
        );
    const { id } = await eventually(delivery);
    const replay = 'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { userErrors { code } } }';
    await network.graphql(replay, { id }, bearer('OPS'));

    const order = { actor: 'the OPS key', actorRole: 'OPS', sourceAddress: expect.stringMatching(HERE) };
    expect(await audits({ requestId, kind: 'WEBHOOK_REPLAYED' })).toMatchObject([order]);

    network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 410 }, times: 1 });
    await openAs(inputFor());
    const isDisabled = async () => (await audits({ kind: 'WEBHOOK_ENDPOINT_DISABLED' })).length > 0;
    await eventually(isDisabled);
    await network.graphql('mutation { resumeWebhookEndpoint { revived } }', undefined, bearer('OPS'));
    expect(await audits({ kind: 'WEBHOOK_ENDPOINT_RESUMED' })).toMatchObject([order]);
  });
});
