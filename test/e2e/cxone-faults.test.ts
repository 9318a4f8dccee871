import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Fault } from '../../src/sandbox/faults.js';
import { booksOf } from '../guest-session/books.js';
import { inputFor, open, startNetwork } from '../support/network.js';

/* What becomes of each fault at each call is in fault-matrix.test.ts; here is what those have in particular. */

const FORMS: [string, string][] = [
  ['a date that has passed', new Date(0).toUTCString()],
  ['7 apples', '7 apples'],
  ['-5', '-5'],
  ['1.5', '1.5'],
];

test.each(
  FORMS.flatMap(([form, retryAfter]) => ([429, 503] as const).map((status) => [form, status, retryAfter] as const)),
)(
  'Retry-After with %s is waited for where a POST is answered with %i, and the guest gets one session',
  async (_form, status, retryAfter) => {
    const network = await startNetwork();
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'rate-limit', status, retryAfter }, times: 2 });
    const guestId = randomUUID();
    const payload = await open(network, inputFor(guestId));
    expect(payload).toMatchObject({ userErrors: [], session: { status: 'ACTIVE', attempts: 3 } });
    expect(network.cxone.sessions(guestId)).toHaveLength(1);
    const posts = network.cxone.calls.filter(({ call }) => call === 'create');
    expect(posts.map(({ requestId }) => requestId)).toEqual(Array(3).fill(payload.requestId));
  },
);

test.each([
  ['token', 'AUTHENTICATE'],
  ['list', 'CAPACITY'],
  ['create', 'CREATE'],
] as const)(
  'a %s call that is to come back at a date in an hour is not waited for, and the wait is passed on',
  async (on, stage) => {
    const network = await startNetwork();
    for (const status of [429, 503] as const) {
      const retryAfter = new Date(Date.now() + 3_600_000).toUTCString();
      network.cxone.scenarios.add({ on, fault: { kind: 'rate-limit', status, retryAfter }, times: 1 });
      const { userErrors } = await open(network);
      expect(userErrors).toMatchObject([{ code: 'RATE_LIMITED', stage, retryable: true }]);
      expect(userErrors[0].retryAfterSeconds).toBeGreaterThan(3500);
      expect(userErrors[0].retryAfterSeconds).toBeLessThanOrEqual(3600);
    }
    expect(network.cxone.count(on)).toBe(2);
  },
);

test.each([429, 503] as const)(
  'a %i that asks for a second gets it where there is time, and is told where there is not',
  async (status) => {
    for (const [deadlineMs, expected] of [
      ['10000', { session: { status: 'ACTIVE', attempts: 2 }, userErrors: [] }],
      ['900', { session: null, userErrors: [{ code: 'RATE_LIMITED', retryAfterSeconds: 1 }] }],
    ] as const) {
      const network = await startNetwork({ env: { CREATE_DEADLINE_MS: deadlineMs } });
      network.cxone.scenarios.add({ on: 'create', fault: { kind: 'rate-limit', status, retryAfter: '1' }, times: 1 });
      expect(await open(network)).toMatchObject(expected);
    }
  },
);

test.each(['token', 'list', 'create'] as const)('a %s call that is slow, but in time, does no harm', async (on) => {
  const network = await startNetwork();
  network.cxone.scenarios.add({ on, fault: { kind: 'slow', delayMs: 150 } });
  expect(await open(network)).toMatchObject({ userErrors: [], session: { status: 'ACTIVE', attempts: 1 } });
  expect(network.cxone.count(on)).toBe(1);
});

test('a token without the scope for sessions is told apart from wrong credentials', async () => {
  const network = await startNetwork({ cxone: { scope: 'messaging:read' } });
  const scopeMissing = [{ code: 'CXONE_SCOPE_MISSING', stage: 'AUTHENTICATE', retryable: false }];
  expect((await open(network)).userErrors).toMatchObject(scopeMissing);
  network.cxone.scenarios.add({ on: 'token', fault: status(400, '{"error":"invalid_scope"}') });
  expect((await open(network)).userErrors).toMatchObject(scopeMissing);
  const wrong = await startNetwork({ env: { CXONE_CLIENT_SECRET: 'wrong' } });
  expect((await open(wrong)).userErrors).toMatchObject([
    { code: 'CXONE_AUTH_FAILED', stage: 'AUTHENTICATE', retryable: false },
  ]);
  expect(wrong.cxone.count('token')).toBe(1);
});

test("CXone's words go to operations, and neither to the public nor with the fingerprint in them", async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  const input = inputFor(guestId);
  const body = `{"error":"queue_closed","echo":"${input.deviceFingerprint}"}`;
  network.cxone.scenarios.add({ on: 'create', fault: status(400, body) });
  const payload = await open(network, input);
  expect(JSON.stringify(payload)).not.toContain('queue_closed');
  const { audits } = await booksOf(network, guestId);
  expect(audits[0].reason).toBe('CXone answered 400: {"error":"queue_closed","echo":"[redacted]"}');
});

function status(code: number, body: string): Fault {
  return { kind: 'status', status: code, body };
}
