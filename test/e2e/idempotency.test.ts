import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { inputFor, open, startNetwork } from '../support/network.js';

test('the same key and input get the same session and token, without a call to CXone', async () => {
  const network = await startNetwork();
  const input = { ...inputFor(), idempotencyKey: randomUUID() };
  const first = await open(network, input);
  network.cxone.reset();

  const second = await open(network, input);

  expect(second).toEqual({ ...first, replayed: true, session: { ...first.session, crmSync: expect.any(String) } });
  expect(first.replayed).toBe(false);
  expect(network.cxone.calls).toEqual([]);
});
