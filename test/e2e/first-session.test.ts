import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.js';
import { open, SEED_INPUT, startNetwork } from '../support/network.js';

test('the seed example opens a session at CXone, and the CRM hears of it', async () => {
  const network = await startNetwork();

  const payload = await open(network, SEED_INPUT);

  expect(payload).toMatchObject({
    clientToken: expect.stringMatching(/^ctk_/),
    userErrors: [],
    replayed: false,
    session: { guestId: SEED_INPUT.guestId, status: 'ACTIVE', attempts: 1, fraudScore: 60, crmSync: 'PENDING' },
  });
  expect(network.cxone.sessions(SEED_INPUT.guestId)).toMatchObject([{ sessionId: payload.session.sessionId }]);
  const [webhook] = await eventually(() => network.crm.received.length > 0 && network.crm.received);
  expect(webhook?.body).toMatchObject({
    event: 'session.initiated',
    payload: { sessionId: payload.session.sessionId, guestId: SEED_INPUT.guestId, crmId: 'crm_acct_44920' },
  });
});
