import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { ReceivedWebhook } from '../../src/sandbox/crm-sandbox.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { FakeClock } from '../store/deliveries.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, startNetwork } from '../support/network.js';

const SESSIONS = 2_000;
/** What one request opens, and how many of those are ended again. */
const BATCH = 20;
const ENDED = 5;
const CLIENTS = 40;
const HOUR_MS = 3_600_000;
const EVENTS = { CRM_WEBHOOK_EVENTS: 'session.initiated,session.ended', MAX_QUERY_ALIASES: '20' };

const OPEN_SHORT = 'mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { requestId } }';
const END_SHORT = 'mutation ($id: ID!) { endGuestSession(input: { id: $id }) { session { status } } }';

async function openShort(network: Network, guestId?: string): Promise<string> {
  const { data } = await network.graphql(OPEN_SHORT, { input: inputFor(guestId) });
  return data.createGuestSession.requestId;
}

async function endShort(network: Network, id: string): Promise<void> {
  const { data } = await network.graphql(END_SHORT, { id });
  expect(data.endGuestSession.session.status).toBe('ENDED');
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const OPEN_SEVERAL = `mutation (${upTo(BATCH).map((i) => `$i${i}: CreateGuestSessionInput!`)}) {
  ${upTo(BATCH).map((i) => `s${i}: createGuestSession(input: $i${i}) { requestId userErrors { code } }`)} }`;
const END_SEVERAL = `mutation (${upTo(ENDED).map((i) => `$i${i}: ID!`)}) {
  ${upTo(ENDED).map((i) => `s${i}: endGuestSession(input: { id: $i${i} }) { userErrors { code } }`)} }`;

/** Opens sessions for guests of their own, and ends some of them: in few requests, which are not what is tried here. */
async function openSeveral(network: Network): Promise<void> {
  const variables = (count: number, of: (i: number) => unknown) =>
    Object.fromEntries(upTo(count).map((i) => [`i${i}`, of(i)]));
  const { data } = await network.graphql(
    OPEN_SEVERAL,
    variables(BATCH, () => inputFor()),
  );
  const ended = await network.graphql(
    END_SEVERAL,
    variables(ENDED, (i) => data[`s${i * 2}`].requestId),
  );
  const payloads = [...Object.values(data), ...Object.values(ended.data)] as { userErrors: unknown[] }[];
  expect(payloads.flatMap(({ userErrors }) => userErrors)).toEqual([]);
}

/** The session of a webhook at CXone. */
const sessionOf = ({ body }: ReceivedWebhook): string => (body as { payload: { sessionId: string } }).payload.sessionId;
const typeOf = ({ body }: ReceivedWebhook): string => (body as { type: string }).type;
const idOf = ({ headers }: ReceivedWebhook) => headers['webhook-id'];

/** Types of what the CRM took, in order, by session. */
function storiesOf(received: readonly ReceivedWebhook[]): string[][] {
  const stories = new Map<string, string[]>();
  for (const webhook of received) {
    stories.set(sessionOf(webhook), [...(stories.get(sessionOf(webhook)) ?? []), typeOf(webhook)]);
  }
  return [...stories.values()];
}

it(`a CRM that is down for the whole time of ${SESSIONS} sessions hears of each when it is back, in order and once`, async () => {
  const clock = new FakeClock();
  const network = await startNetwork({ env: EVENTS, now: clock.now });
  await network.crm.refuseConnections();

  let rounds = SESSIONS / BATCH;
  const work = async () => {
    while (rounds-- > 0) await openSeveral(network);
  };
  await Promise.all(Array.from({ length: CLIENTS }, work));
  const expected = SESSIONS + (SESSIONS / BATCH) * ENDED;
  const reader = new SqliteConnection(network.app.engine.databasePath, { readOnly: true });
  const inStatus = (status: string) =>
    reader.get<{ n: number }>(`SELECT count(*) AS n FROM "WebhookDelivery" WHERE "status" = ?`, status)?.n;
  try {
    expect([inStatus('PENDING'), network.crm.received.length]).toEqual([expected, 0]);
    await network.crm.acceptConnections();
    clock.advance(HOUR_MS); // whatever has failed so far is due
    await eventually(() => inStatus('DELIVERED') === expected, 15_000);
  } finally {
    reader.close();
  }

  const { received } = network.crm;
  expect([received.length, new Set(received.map(idOf)).size]).toEqual([expected, expected]);
  const stories = storiesOf(received);
  expect(stories).toHaveLength(SESSIONS);
  expect(stories.filter((story) => story.length === 2)).toHaveLength(expected - SESSIONS);
  for (const story of stories) expect(story).toEqual(['session.initiated', 'session.ended'].slice(0, story.length));
}, 60_000);

it('a session that the CRM does not take holds up no other, and what comes later for it waits until it is given up', async () => {
  const clock = new FakeClock();
  const network = await startNetwork({ env: { ...EVENTS, CRM_RETRY_SCHEDULE: '60,60' }, now: clock.now });
  const guestId = randomUUID();
  network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, guestId, times: 3 });
  const poisoned = await openShort(network, guestId);
  await endShort(network, poisoned);
  const others = await Promise.all(Array.from({ length: 30 }, () => openShort(network)));
  await Promise.all(others.map((id) => endShort(network, id)));

  await eventually(() => network.crm.received.length === 60);
  const LOOK =
    'query ($id: String) { webhookDeliveries(filter: { requestId: $id }) { nodes { eventType status attempts } } }';
  const look = async () => (await network.graphql(LOOK, { id: poisoned })).data.webhookDeliveries.nodes;
  for (const tries of [1, 2]) {
    await eventually(async () => (await look())[1].attempts === tries);
    expect(await look()).toEqual([
      { eventType: 'SESSION_ENDED', status: 'PENDING', attempts: 0 },
      { eventType: 'SESSION_INITIATED', status: 'PENDING', attempts: tries },
    ]);
    clock.advance(80_000);
  }
  await eventually(() => network.crm.received.length === 61);

  expect(await eventually(async () => (await look())[0].status === 'DELIVERED' && (await look()))).toEqual([
    { eventType: 'SESSION_ENDED', status: 'DELIVERED', attempts: 1 },
    { eventType: 'SESSION_INITIATED', status: 'DEAD', attempts: 3 },
  ]);
  const stories = storiesOf(network.crm.received);
  expect(stories.filter((story) => story.length === 2)).toEqual(
    Array.from({ length: 30 }, () => ['session.initiated', 'session.ended']),
  );
  expect(stories.filter((story) => story.length === 1)).toEqual([['session.ended']]);
});
