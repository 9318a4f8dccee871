import { describe, expect, it, vi } from 'vitest';
import type { WebhookEventType } from '../../src/guest-session/session-event.js';
import type { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { deliveriesIn } from '../store/deliveries.js';
import { erase, guestWithHistory } from '../store/erasures.js';
import { type Books, openSession, TESTER } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { inStatus, setUp, upTo } from './worker.js';

const webhookEvents: readonly WebhookEventType[] = ['SESSION_INITIATED', 'SESSION_ENDED'];

/** The webhooks that name one of these, in whatever form. */
const naming = (crm: CrmSandbox, ...names: string[]) =>
  crm.received.filter(({ rawBody }) => names.some((name) => rawBody.includes(name)));

const idsOf = (crm: CrmSandbox) => crm.received.map(({ headers }) => headers['webhook-id']);

/** Of which events of a session the CRM was told, in the order in which it was. */
const toldOf = (books: Books, crm: CrmSandbox, requestId: string) => {
  const deliveries = new Map(deliveriesIn(books).map((delivery) => [delivery.id, delivery]));
  const told = idsOf(crm).map((id) => deliveries.get(String(id)));
  return told.filter((delivery) => delivery?.requestId === requestId).map((delivery) => delivery?.eventType);
};

describe('webhooks of a guest that is erased', () => {
  it('go out without the guest where they waited for a slow CRM, each once and in the order of its session', async () => {
    const { books, crm, worker, complaints } = await setUp({ concurrency: 1, webhookEvents });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'slow', delayMs: 150 }, times: 5 });
    await worker.start();
    const others = await Promise.all(upTo(20).map(() => guestWithHistory(books)));
    const guest = await guestWithHistory(books);

    expect(await erase(books, guest.guestId)).toMatchObject({ is: 'ERASED' });
    expect(inStatus(books, 'DELIVERED')).toBeLessThan(10); // it was still waiting
    await eventually(() => inStatus(books, 'DELIVERED') === 42);

    expect(naming(crm, guest.guestId, guest.sessionId)).toEqual([]);
    for (const { guestId } of others) expect(naming(crm, guestId)).toHaveLength(2);
    for (const { requestId } of [guest, ...others])
      expect(toldOf(books, crm, requestId)).toEqual(['SESSION_INITIATED', 'SESSION_ENDED']);
    expect(new Set(idsOf(crm)).size).toBe(42);
    expect(crm.count('webhook')).toBe(42);
    expect(complaints).toEqual([]);
  });

  it('go out without the guest where they were just being claimed', async () => {
    const { books, crm, worker } = await setUp();
    const guest = await guestWithHistory(books); // nobody is listening yet
    const { outbox } = books;
    const claimDue = outbox.claimDue.bind(outbox);
    vi.spyOn(outbox, 'claimDue').mockImplementationOnce(async (limit) => {
      const [claimed] = await Promise.all([claimDue(limit), erase(books, guest.guestId)]);
      expect(claimed[0]?.body).toContain(guest.guestId);
      return claimed;
    });
    await worker.start();
    await eventually(() => inStatus(books, 'DELIVERED') === 1);

    expect(naming(crm, guest.guestId, guest.sessionId)).toEqual([]);
    expect(toldOf(books, crm, guest.requestId)).toEqual(['SESSION_INITIATED']);
  });

  it('go out without the guest where they were queued by the commit that erases it', async () => {
    const { books, crm, worker } = await setUp({ webhookEvents: ['SESSION_ENDED'] });
    await worker.start();
    const { attempt, request, closed } = await openSession(books);
    const end = { actor: TESTER, reason: 'good-bye', endedUpstream: true };
    const [, erasure] = await Promise.all([books.sessions.end(attempt.requestId, end), erase(books, request.guestId)]);
    expect(erasure).toMatchObject({ is: 'ERASED' });
    await eventually(() => inStatus(books, 'DELIVERED') === 1);

    expect(naming(crm, request.guestId, closed.session?.sessionId ?? '')).toEqual([]);
    expect(toldOf(books, crm, attempt.requestId)).toEqual(['SESSION_ENDED']);
  });
});
