import { expect, test } from 'vitest';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { GUEST, OTHER_GUEST } from './requests.js';

test('a webhook is kept with its headers and its raw body', async () => {
  await using crm = await CrmSandbox.start();
  expect(new URL(crm.url).pathname).toBe('/webhooks/guest-sessions');
  const rawBody = '{ "event": "session.initiated" }';
  const response = await fetch(crm.url, { method: 'POST', headers: { 'webhook-id': 'evt-1' }, body: rawBody });
  expect(response.status).toBe(200);
  expect(crm.received).toEqual([
    {
      headers: expect.objectContaining({ 'webhook-id': 'evt-1' }),
      body: { event: 'session.initiated' },
      rawBody,
      at: expect.any(Date),
    },
  ]);
  const overHttp = (await (await fetch(`${crm.controlUrl}received`)).json()) as unknown[];
  expect(overHttp).toMatchObject([{ rawBody, body: { event: 'session.initiated' } }]);
  expect(await (await fetch(`${crm.controlUrl}state`)).json()).toEqual({
    received: 1,
    counts: { webhook: 1 },
    scenarios: [],
  });
});

test('a webhook that a fault strikes counts as a call, and as received only when it strikes after the work', async () => {
  await using crm = await CrmSandbox.start();
  crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 }, guestId: GUEST, times: 1 });
  expect((await post(crm, OTHER_GUEST)).status).toBe(200);
  expect((await post(crm, GUEST)).status).toBe(503);
  expect(crm.received).toHaveLength(1);
  await fetch(`${crm.controlUrl}scenarios`, {
    method: 'POST',
    body: JSON.stringify({ on: 'webhook', fault: { kind: 'status', status: 500 }, when: 'after', times: 1 }),
  });
  expect((await post(crm, GUEST)).status).toBe(500);
  expect(crm.received).toHaveLength(2);
  expect(crm.count('webhook')).toBe(3);
  expect(crm.calls.map(({ status }) => status)).toEqual([200, 503, 500]);
  crm.reset();
  expect([crm.received, crm.calls]).toEqual([[], []]);
});

test('a body that is not JSON is refused and not kept', async () => {
  await using crm = await CrmSandbox.start();
  expect((await fetch(crm.url, { method: 'POST', body: 'hello' })).status).toBe(400);
  expect((await fetch(crm.url)).status).toBe(404);
  expect(crm.received).toEqual([]);
});

test('a CXone scenario is refused by the CRM', async () => {
  await using crm = await CrmSandbox.start();
  expect(() => crm.scenarios.add({ on: 'create', fault: { kind: 'hang' } })).toThrow('must be one of webhook');
});

function post(crm: CrmSandbox, guestId: string): Promise<Response> {
  return fetch(crm.url, { method: 'POST', body: JSON.stringify({ event: 'session.initiated', payload: { guestId } }) });
}
