import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { API_KEYS, bearer } from '../http/server.js';
import { FakeClock } from '../store/deliveries.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, startNetwork } from '../support/network.js';

const HOUR_MS = 3_600_000;
const OPS = bearer('OPS');

const LIST = /* GraphQL */ `
  query List($filter: WebhookDeliveryFilter, $first: Int! = 20, $after: String) {
    webhookDeliveries(filter: $filter, first: $first, after: $after) {
      nodes {
        id eventType status requestId body createdAt attempts nextAttemptAt concludedAt lastError
        tries { number startedAt durationMs statusCode error }
        session { id sessionId crmSync }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`;
const ENDPOINT = '{ webhookEndpoint { status failingSince disabledAt disabledReason } }';
const REPLAY = /* GraphQL */ `
  mutation Replay($id: ID!) {
    replayWebhookDelivery(id: $id) { delivery { id status attempts } userErrors { code stage retryable message } }
  }
`;
const REPLAY_ALL = /* GraphQL */ `
  mutation ReplayAll($since: DateTime!, $until: DateTime, $status: WebhookDeliveryStatus) {
    replayWebhookDeliveries(since: $since, until: $until, status: $status) { replayed userErrors { code stage } }
  }
`;
const RESUME = /* GraphQL */ `
  mutation { resumeWebhookEndpoint { endpoint { status disabledAt } revived userErrors { code stage } } }
`;
const END = 'mutation ($id: ID!) { endGuestSession(input: { id: $id }) { userErrors { code } } }';
const AUDITS =
  'query ($kind: AuditKind) { audits(filter: { kind: $kind }) { nodes { actor requestId status reason } } }';

async function start({ schedule = '3600', env = {} as Record<string, string> } = {}) {
  const clock = new FakeClock();
  const network = await startNetwork({
    env: { API_KEYS, CRM_RETRY_SCHEDULE: schedule, CRM_WEBHOOK_EVENTS: 'session.initiated,session.ended', ...env },
    now: clock.now,
  });
  const ask = (query: string, variables: object = {}) => network.graphql(query, variables, OPS);
  const list = async (filter: object = {}) => (await ask(LIST, { filter })).data.webhookDeliveries.nodes;
  const open = async () => (await ask(OPEN, { input: inputFor() })).data.createGuestSession.session;
  /** Waits until so many stand like this. */
  const until = (status: string, count: number) =>
    eventually(async () => {
      const found = await list({ status });
      return found.length === count && found;
    });
  const audits = async (kind: string) => (await ask(AUDITS, { kind })).data.audits.nodes;
  return { ...network, clock, ask, list, open, until, audits };
}

describe('the list of webhooks', () => {
  it('tells of each how it stands, with the log of its tries and its session', async () => {
    const { crm, clock, open, list, until } = await start();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 }, times: 1 });
    const session = await open();
    const [waiting] = await eventually(async () => {
      const found = await list();
      return found[0]?.attempts === 1 && found;
    });
    expect(waiting).toMatchObject({
      eventType: 'SESSION_INITIATED',
      status: 'PENDING',
      requestId: session.id,
      nextAttemptAt: expect.any(String),
      concludedAt: null,
      lastError: 'status 503',
    });
    clock.advance(2 * HOUR_MS);
    const [delivered] = await until('DELIVERED', 1);
    const [received] = crm.received;
    expect(delivered).toEqual({
      ...waiting,
      id: received?.headers['webhook-id'],
      body: received?.rawBody,
      status: 'DELIVERED',
      attempts: 2,
      nextAttemptAt: null,
      concludedAt: expect.any(String),
      lastError: null,
      tries: [
        {
          number: 1,
          startedAt: expect.any(String),
          durationMs: expect.any(Number),
          statusCode: 503,
          error: 'status 503',
        },
        { number: 2, startedAt: expect.any(String), durationMs: expect.any(Number), statusCode: 200, error: null },
      ],
      session: { id: session.id, sessionId: session.sessionId, crmSync: 'DELIVERED' },
    });
  });

  it('is filtered by every condition, and read in pages', async () => {
    const { crm, ask, open, list, until } = await start({ schedule: '0' });
    const dead = await open();
    await until('DELIVERED', 1);
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 2 });
    await ask(END, { id: dead.id });
    await until('DEAD', 1);
    const other = await open();
    const [newest] = await until('DELIVERED', 2);

    const kinds = async (filter: object) =>
      (await list(filter)).map(({ eventType, requestId }: Record<string, string>) => [eventType, requestId]);
    const all = [
      ['SESSION_INITIATED', other.id],
      ['SESSION_ENDED', dead.id],
      ['SESSION_INITIATED', dead.id],
    ];
    expect(await kinds({})).toEqual(all);
    expect(await kinds({ status: null, from: null })).toEqual(all);
    expect(await kinds({ status: 'DEAD' })).toEqual([all[1]]);
    expect(await kinds({ status: 'PENDING' })).toEqual([]);
    expect(await kinds({ eventType: 'SESSION_INITIATED' })).toEqual([all[0], all[2]]);
    expect(await kinds({ eventType: 'SESSION_REQUESTED' })).toEqual([]);
    expect(await kinds({ requestId: dead.id })).toEqual(all.slice(1));
    expect(await kinds({ sessionId: dead.sessionId })).toEqual(all.slice(1));
    expect(await kinds({ sessionId: dead.sessionId, status: 'DELIVERED' })).toEqual([all[2]]);
    expect(await kinds({ from: newest.createdAt })).toEqual([all[0]]);
    expect(await kinds({ to: newest.createdAt })).toEqual(all.slice(1));

    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const { nodes, pageInfo } = (await ask(LIST, { first: 1, after })).data.webhookDeliveries as {
        nodes: { id: string }[];
        pageInfo: { hasNextPage: boolean; endCursor: string };
      };
      found.push(...nodes.map(({ id }) => id));
      after = pageInfo.endCursor;
      if (!pageInfo.hasNextPage) break;
    }
    expect(found).toEqual((await list()).map(({ id }: { id: string }) => id));

    const { data } = await ask('{ events { pageInfo { endCursor } } }');
    for (const after of ['nonsense', data.events.pageInfo.endCursor]) {
      expect((await ask(LIST, { after })).errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    }
  });
});

describe('replaying over GraphQL', () => {
  it('sends one webhook again, delivered or dead, and says so in the audit trail', async () => {
    const { crm, ask, open, until, audits } = await start({ schedule: '0' });
    const { id: requestId } = await open();
    const [{ id }] = await until('DELIVERED', 1);
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 2 });
    expect((await ask(REPLAY, { id })).data.replayWebhookDelivery).toEqual({
      delivery: { id, status: 'PENDING', attempts: 1 },
      userErrors: [],
    });
    await until('DEAD', 1);
    expect((await ask(REPLAY, { id })).data.replayWebhookDelivery.userErrors).toEqual([]);
    const [delivered] = await until('DELIVERED', 1);
    expect(delivered).toMatchObject({ id, attempts: 4, session: { crmSync: 'DELIVERED' } });
    expect(crm.received.map(({ headers }) => headers['webhook-id'])).toEqual([id, id]);
    expect(crm.received[1]?.rawBody).toBe(crm.received[0]?.rawBody);
    expect(await audits('WEBHOOK_REPLAYED')).toEqual(
      Array(2).fill({ actor: 'the OPS key', requestId, status: 'SUCCESS', reason: 'SESSION_INITIATED' }),
    );
  });

  it('tries one that waits at once', async () => {
    const { crm, ask, open, list, until } = await start();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 1 });
    await open();
    const [{ id }] = await eventually(async () => {
      const found = await list();
      return found[0]?.attempts === 1 && found;
    });
    expect((await ask(REPLAY, { id })).data.replayWebhookDelivery.delivery.status).toBe('PENDING');
    await until('DELIVERED', 1);
  });

  it('finds none of an unknown id, and asks for a sensible time', async () => {
    const { ask, audits } = await start();
    expect((await ask(REPLAY, { id: randomUUID() })).data.replayWebhookDelivery).toEqual({
      delivery: null,
      userErrors: [
        { code: 'NOT_FOUND', stage: 'REPLAY', retryable: false, message: 'There is no webhook of that id.' },
      ],
    });
    expect((await ask(REPLAY, { id: 'a\0b' })).errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    const backwards = { since: '2026-11-22T12:00:00Z', until: '2026-11-22T11:59:59Z' };
    expect((await ask(REPLAY_ALL, backwards)).errors).toMatchObject([
      { message: '"until" must not be before "since".', extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    expect(await audits('WEBHOOK_REPLAYED')).toEqual([]);
  });

  it('sends many again: the dead by default, those before a time, those of a status', async () => {
    const { crm, ask, open, until, audits } = await start({ schedule: '0' });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 6 });
    const since = new Date(Date.now() - HOUR_MS).toISOString();
    const opened = [await open(), await open(), await open()];
    const dead = await until('DEAD', 3);
    const replay = async (range: object = {}) => {
      const { replayed, userErrors } = (await ask(REPLAY_ALL, { since, ...range })).data.replayWebhookDeliveries;
      expect(userErrors).toEqual([]);
      return replayed;
    };
    const [{ createdAt: last }] = dead;
    expect(await replay({ until: since })).toBe(0);
    expect(await replay({ since: new Date(Date.now() + HOUR_MS).toISOString(), until: '2999-01-01T00:00:00Z' })).toBe(
      0,
    );
    expect(await replay({ status: 'DELIVERED' })).toBe(0);
    expect(await replay({ until: last })).toBe(2);
    await until('DELIVERED', 2);
    expect(await replay()).toBe(1);
    await until('DELIVERED', 3);
    expect(await replay({ status: null })).toBe(0);
    expect(await replay({ status: 'DELIVERED' })).toBe(3);
    await eventually(() => crm.received.length === 6);
    expect(new Set(crm.received.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
    const audited = await audits('WEBHOOK_REPLAYED');
    expect(audited).toHaveLength(6);
    expect(new Set(audited.map(({ requestId }: { requestId: string }) => requestId))).toEqual(
      new Set(opened.map(({ id }) => id)),
    );
  });
});

describe('an endpoint that is gone', () => {
  it('is seen disabled, refuses replays, and gets what it has missed when it is resumed', async () => {
    const { crm, ask, open, list, until, audits, logLines } = await start();
    expect((await ask(ENDPOINT)).data.webhookEndpoint).toEqual({
      status: 'ACTIVE',
      failingSince: null,
      disabledAt: null,
      disabledReason: null,
    });
    expect((await ask(RESUME)).data.resumeWebhookEndpoint).toEqual({
      endpoint: { status: 'ACTIVE', disabledAt: null },
      revived: 0,
      userErrors: [],
    });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 410 }, times: 1 });
    const gone = await open();
    await ask(END, { id: gone.id });
    await until('DEAD', 2);
    expect((await ask(ENDPOINT)).data.webhookEndpoint).toMatchObject({
      status: 'DISABLED',
      disabledAt: expect.any(String),
      disabledReason: 'status 410',
    });
    expect(logLines.join('')).toContain('the CRM endpoint was disabled: nothing is sent until resumeWebhookEndpoint');
    const [{ id }] = await list();
    const refused = [{ code: 'WEBHOOKS_DISABLED', stage: 'REPLAY' }];
    expect((await ask(REPLAY, { id })).data.replayWebhookDelivery).toMatchObject({
      delivery: { id, status: 'DEAD' },
      userErrors: refused,
    });
    const since = '2026-01-01T00:00:00Z';
    expect((await ask(REPLAY_ALL, { since })).data.replayWebhookDeliveries).toEqual({
      replayed: 0,
      userErrors: refused,
    });
    expect(crm.count('webhook')).toBe(1);

    expect((await ask(RESUME)).data.resumeWebhookEndpoint).toEqual({
      endpoint: { status: 'ACTIVE', disabledAt: null },
      revived: 2,
      userErrors: [],
    });
    await until('DELIVERED', 2);
    expect(crm.received.map(({ body }) => (body as { type: string }).type)).toEqual([
      'session.initiated',
      'session.ended',
    ]);
    expect(await audits('WEBHOOK_ENDPOINT_RESUMED')).toMatchObject([{ actor: 'the OPS key', status: 'SUCCESS' }]);
    expect(await audits('WEBHOOK_ENDPOINT_DISABLED')).toMatchObject([{ actor: 'crm-outbox', reason: 'status 410' }]);
    const { data } = await ask('{ events { nodes { type } } }');
    const types = data.events.nodes.map(({ type }: { type: string }) => type);
    expect(types).toEqual(expect.arrayContaining(['WEBHOOK_ENDPOINT_DISABLED', 'WEBHOOK_ENDPOINT_RESUMED']));
  });
});

it('where there is no CRM nothing can be sent again', async () => {
  const { ask } = await start({ env: { CRM_WEBHOOK_URL: '' } });
  const refused = [{ code: 'WEBHOOKS_DISABLED', stage: 'REPLAY' }];
  const { data: replay } = await ask(REPLAY, { id: randomUUID() });
  expect(replay.replayWebhookDelivery).toMatchObject({ delivery: null, userErrors: refused });
  expect(replay.replayWebhookDelivery.userErrors[0].message).toContain('CRM_WEBHOOK_URL');
  const { data: all } = await ask(REPLAY_ALL, { since: '2026-01-01T00:00:00Z' });
  expect(all.replayWebhookDeliveries).toEqual({ replayed: 0, userErrors: refused });
  const { data: resume } = await ask(RESUME);
  expect(resume.resumeWebhookEndpoint).toEqual({ endpoint: null, revived: 0, userErrors: refused });
  expect((await ask(ENDPOINT)).data.webhookEndpoint).toBeNull();
});
