import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

const SESSION = /* GraphQL */ `
  query Session($id: ID!) {
    session(id: $id) {
      crmSync
      events { type reason }
      audits { kind status reason crmSynced }
    }
    metrics { crm { delivered failed pending } }
  }
`;

const told = async (network: Network, id: string) => (await network.graphql(SESSION, { id })).data;

/** The session once the CRM has been told, or was given up. */
const concluded = (network: Network, id: string) =>
  eventually(async () => {
    const { session } = await told(network, id);
    // Asked again: the fields of one query are read side by side, and the commit may have come between them.
    return session.crmSync !== 'PENDING' && told(network, id);
  });

function deliveriesIn({ databaseUrl }: Network): Record<string, unknown>[] {
  const database = new SqliteConnection(databaseUrl.slice('file:'.length), { readOnly: true });
  try {
    return database.all<Record<string, unknown>>('SELECT * FROM "WebhookDelivery"');
  } finally {
    database.close();
  }
}

describe('a CRM that is well', () => {
  it('hears of the session after the answer, and the session, its events, the audit trail and the metrics say so', async () => {
    const network = await startNetwork();
    const { session } = await open(network);
    expect(session.crmSync).toBe('PENDING');
    const data = await concluded(network, session.id);
    expect(data.session).toEqual({
      crmSync: 'DELIVERED',
      events: [
        { type: 'SESSION_REQUESTED', reason: null },
        { type: 'SESSION_INITIATED', reason: null },
        { type: 'SESSION_CRM_SYNCED', reason: null },
      ],
      audits: [
        { kind: 'SESSION_INITIATION', status: 'SUCCESS', reason: null, crmSynced: null },
        { kind: 'CRM_SYNC', status: 'SUCCESS', reason: null, crmSynced: true },
      ],
    });
    expect(data.metrics.crm).toEqual({ delivered: 1, failed: 0, pending: 0 });
  });

  it('gets exactly the body that it was promised, and no token', async () => {
    const network = await startNetwork();
    const { session, clientToken } = await open(network);
    const [webhook] = await eventually(() => network.crm.received.length > 0 && network.crm.received);
    const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(webhook?.body).toEqual({
      event: 'session.initiated',
      type: 'session.initiated',
      timestamp: iso,
      eventId: webhook?.headers['webhook-id'],
      payload: {
        sessionId: session.sessionId,
        guestId: session.guestId,
        crmId: 'crm_acct_44920',
        tokenExpiry: session.expiresAt,
        syncedAt: iso,
      },
    });
    expect(webhook?.rawBody).not.toContain(clientToken);
    expect(JSON.stringify(webhook?.headers)).not.toContain(clientToken);
  });

  it('can verify the signature with any of the secrets that are set, and with no other', async () => {
    const [next, current, other] = [0, 1, 2].map(() => `whsec_${randomBytes(24).toString('base64')}`);
    const network = await startNetwork({ env: { CRM_WEBHOOK_SECRET: `${next},${current}` } });
    await open(network);
    const [webhook] = await eventually(() => network.crm.received.length > 0 && network.crm.received);
    const { rawBody, headers } = webhook!;
    for (const secret of [next!, current!]) {
      expect(new Webhook(secret).verify(rawBody, headers as Record<string, string>)).toEqual(webhook?.body);
    }
    expect(() => new Webhook(other!).verify(rawBody, headers as Record<string, string>)).toThrow();
    for (const secret of [next!, current!]) expect(network.logLines.join('')).not.toContain(secret);
  });

  it('is told of sessions only: not of what was refused or failed', async () => {
    const network = await startNetwork();
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 }, times: 1 });
    const failed = await open(network);
    const rejected = await open(network, { ...inputFor(), guestId: 'nobody' });
    expect([failed.userErrors[0].code, rejected.userErrors[0].code]).toEqual([
      'CXONE_SCHEMA_REJECTED',
      'INVALID_INPUT',
    ]);
    expect((await told(network, failed.requestId)).session.crmSync).toBe('DISABLED');
    const { session } = await open(network);
    await concluded(network, session.id);
    expect(network.crm.count('webhook')).toBe(1);
    expect(deliveriesIn(network)).toHaveLength(1);
  });
});

describe('a CRM that is not well', () => {
  it('delays no answer while it hangs', async () => {
    const network = await startNetwork();
    network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'hang' } });
    const payloads = await Promise.all(Array.from({ length: 10 }, () => open(network)));
    await eventually(() => network.crm.count('webhook') > 0);
    const payload = await open(network); // with a webhook under way that never ends
    for (const { userErrors, session } of [...payloads, payload]) {
      expect({ userErrors, status: session.status, crmSync: session.crmSync }).toEqual({
        userErrors: [],
        status: 'ACTIVE',
        crmSync: 'PENDING',
      });
    }
    const data = await told(network, payload.session.id);
    expect([data.session.crmSync, data.metrics.crm]).toEqual(['PENDING', { delivered: 0, failed: 0, pending: 11 }]);
    expect(network.crm.received).toEqual([]);
    await network.crm.refuseConnections(); // lets go of those that hang
  });

  it('fails no answer when it is dead, and is told once it is back', async () => {
    const network = await startNetwork({ env: { CRM_RETRY_SCHEDULE: '0,0,0,0,0,0,0,0,0,0,0,0' } });
    await network.crm.refuseConnections();
    const { session, userErrors } = await open(network);
    expect([userErrors, session.status]).toEqual([[], 'ACTIVE']);
    await eventually(() => network.logLines.some((line) => line.includes('ECONNREFUSED')));
    await network.crm.acceptConnections();
    const data = await concluded(network, session.id);
    expect(data.session.crmSync).toBe('DELIVERED');
    expect(network.crm.received).toHaveLength(1);
  });

  it('is given up in the end, and the session, its events, the audit trail and the metrics say so', async () => {
    const network = await startNetwork({ env: { CRM_RETRY_SCHEDULE: '0' } });
    network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 } });
    const { session } = await open(network);
    const data = await concluded(network, session.id);
    expect(data.session).toMatchObject({
      crmSync: 'FAILED',
      events: [
        { type: 'SESSION_REQUESTED' },
        { type: 'SESSION_INITIATED' },
        { type: 'SESSION_CRM_SYNC_FAILED', reason: 'status 503' },
      ],
      audits: [
        { kind: 'SESSION_INITIATION', status: 'SUCCESS' },
        { kind: 'CRM_SYNC', status: 'FAILED', reason: 'status 503', crmSynced: false },
      ],
    });
    expect(data.metrics.crm).toEqual({ delivered: 0, failed: 1, pending: 0 });
    expect(network.crm.count('webhook')).toBe(2);
  });

  it('that loses its answer is told again under the same id', async () => {
    const network = await startNetwork({ env: { CRM_RETRY_SCHEDULE: '0' } });
    network.crm.scenarios.add({ on: 'webhook', fault: { kind: 'reset' }, when: 'after', times: 1 });
    const { session } = await open(network);
    expect((await concluded(network, session.id)).session.crmSync).toBe('DELIVERED');
    const [first, second] = network.crm.received;
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(second?.rawBody).toBe(first?.rawBody);
  });
});

it('subscribers hear of the sync after the session', async () => {
  const network = await startNetwork();
  const types: string[] = [];
  network.socket().subscribe<{ sessionEvents: { type: string } }>(
    { query: 'subscription { sessionEvents(after: null) { type } }' },
    {
      next: ({ data }) => types.push(data?.sessionEvents.type ?? ''),
      error: () => undefined,
      complete: () => undefined,
    },
  );
  await eventually(() => network.app.engine.services.stream.followerCount === 1);
  await open(network);
  await eventually(() => types.length === 3);
  expect(types).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNCED']);
});

it('where no CRM is set up none is told, and sessions say so', async () => {
  const network = await startNetwork({ env: { CRM_WEBHOOK_URL: '' } });
  const { session } = await open(network);
  expect(session.crmSync).toBe('DISABLED');
  const data = await told(network, session.id);
  expect(data.session).toMatchObject({
    crmSync: 'DISABLED',
    events: [{ type: 'SESSION_REQUESTED' }, { type: 'SESSION_INITIATED' }],
  });
  expect(data.metrics.crm).toEqual({ delivered: 0, failed: 0, pending: 0 });
  expect(deliveriesIn(network)).toEqual([]);
  expect(network.crm.count('webhook')).toBe(0);
});
