import { expect, it, onTestFinished, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

/** Longer than all sweeps wait. */
const SWEEP_MS = 60_000;
const END = 'mutation ($id: ID!) { endGuestSession(input: { id: $id }) { session { status } userErrors { code } } }';
const REPLAY = 'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { delivery { id } userErrors { code } } }';
const BOOKS = /* GraphQL */ `
  {
    sessions { nodes { id status } }
    webhookDeliveries { nodes { id status session { id } } }
    events { nodes { type requestId session { id } } }
    audits { nodes { requestId kind status } }
    verifyAuditTrail { ok }
  }
`;

/** What the server says of all that it keeps. */
async function booksOf({ graphql }: Network) {
  const { data, errors } = await graphql(BOOKS);
  expect(errors).toBeUndefined();
  const { sessions, webhookDeliveries, events, audits, verifyAuditTrail } = data;
  const [deliveries, { ok }] = [webhookDeliveries.nodes, verifyAuditTrail];
  return { sessions: sessions.nodes, deliveries, events: events.nodes, audits: audits.nodes, ok };
}

it('a server removes old sessions and webhooks by itself, and what tells of them is still there', async () => {
  // The sweeps alone go by it: nobody waits a minute for them here.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const network = await startNetwork({
    // Under a second: what was opened a moment ago is old.
    env: { RETENTION_DAYS: '0.00001', IDEMPOTENCY_TTL_HOURS: '0.0002' },
  });
  const ended = await open(network);
  const { requestId: live } = await open(network, inputFor());
  expect((await network.graphql(END, { id: ended.requestId })).data.endGuestSession.userErrors).toEqual([]);
  const before = await eventually(async () => {
    const books = await booksOf(network);
    return books.deliveries.length === 2 && books.deliveries.every(isDelivered) && books;
  });
  const delivery = before.deliveries.find(({ session }: { session: { id: string } }) => session.id === ended.requestId);
  expect(before.sessions).toHaveLength(2);

  const after = await eventually(async () => {
    vi.advanceTimersByTime(SWEEP_MS);
    const books = await booksOf(network);
    return books.sessions.length === 1 && books.deliveries.length === 0 && books;
  }, 15_000);

  expect(after.sessions).toEqual([{ id: live, status: 'ACTIVE' }]);
  expect([after.audits, after.ok]).toEqual([before.audits, true]);
  expect(after.events).toEqual(
    before.events.map((event: { requestId: string }) =>
      event.requestId === ended.requestId ? { ...event, session: null } : event,
    ),
  );
  const gone = await network.graphql('query ($id: ID!) { session(id: $id) { id } }', { id: ended.requestId });
  expect([gone.data, gone.errors]).toEqual([{ session: null }, undefined]);
  const { data: again } = await network.graphql(END, { id: ended.requestId });
  expect(again.endGuestSession).toEqual({ session: null, userErrors: [{ code: 'NOT_FOUND' }] });
  const { data: replay } = await network.graphql(REPLAY, { id: delivery.id });
  expect(replay.replayWebhookDelivery).toEqual({ delivery: null, userErrors: [{ code: 'NOT_FOUND' }] });
});

const isDelivered = ({ status }: { readonly status: string }): boolean => status === 'DELIVERED';
