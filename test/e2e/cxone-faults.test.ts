import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Fault, Scenario } from '../../src/sandbox/faults.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { inputFor, open, startNetwork } from '../support/network.js';

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '300', CREATE_DEADLINE_MS: '1500' };

interface Row {
  what: string;
  fault: Fault;
  when?: 'before' | 'after';
  code: string;
  /** Default: not. */
  retryable?: boolean;
  /** Default: there is none. */
  retryAfterSeconds?: unknown;
  /** Calls of the kind that fails. */
  calls: number;
  /** POSTs that opened something at CXone all the same. */
  opened?: number;
}

const IN_AN_HOUR = () => new Date(Date.now() + 3_600_000).toUTCString();
const aboutAnHour = { asymmetricMatch: (value: unknown) => typeof value === 'number' && value > 3500 && value <= 3600 };
const someWait = { asymmetricMatch: (value: unknown) => typeof value === 'number' && value > 0 && value < 60 };

/** 429 and 503 that ask for more than there is time, which is the same whatever the call. */
const TOO_LONG: Row[] = ([429, 503] as const).flatMap((status): Row[] => [
  {
    what: `${status} of an hour`,
    fault: { kind: 'rate-limit', status, retryAfter: '3600' },
    code: 'RATE_LIMITED',
    retryable: true,
    retryAfterSeconds: 3600,
    calls: 1,
  },
  {
    what: `${status} until a date in an hour`,
    fault: { kind: 'rate-limit', status, retryAfter: IN_AN_HOUR() },
    code: 'RATE_LIMITED',
    retryable: true,
    retryAfterSeconds: aboutAnHour,
    calls: 1,
  },
  {
    what: `${status} again and again`,
    fault: { kind: 'rate-limit', status, retryAfter: 'soon' },
    code: 'RATE_LIMITED',
    retryable: true,
    retryAfterSeconds: someWait,
    calls: 3,
  },
]);

const TOKEN: Row[] = [
  { what: '400', fault: status(400), code: 'CXONE_AUTH_FAILED', calls: 1 },
  { what: '401', fault: status(401), code: 'CXONE_AUTH_FAILED', calls: 1 },
  { what: 'invalid_scope', fault: status(400, '{"error":"invalid_scope"}'), code: 'CXONE_SCOPE_MISSING', calls: 1 },
  { what: '500', fault: status(500), code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: '503', fault: status(503), code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'a reset', fault: { kind: 'reset' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'a hang', fault: { kind: 'hang' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  {
    what: 'a dripping body',
    fault: { kind: 'drip', everyMs: 20 },
    code: 'CXONE_UNAVAILABLE',
    retryable: true,
    calls: 1,
  },
  { what: 'half a body', fault: { kind: 'truncated' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: '5 MB', fault: { kind: 'oversized' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'HTML', fault: { kind: 'malformed' }, code: 'CXONE_CONTRACT_BROKEN', calls: 1 },
  { what: '{}', fault: { kind: 'wrong-shape' }, code: 'CXONE_CONTRACT_BROKEN', calls: 1 },
  ...TOO_LONG,
];

const LIST: Row[] = [
  { what: '400', fault: status(400), code: 'CXONE_REJECTED', calls: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', calls: 2 },
  { what: '500', fault: status(500), code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: '502', fault: status(502, '<html>'), code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: '503', fault: status(503), code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'a reset', fault: { kind: 'reset' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'an outage', fault: { kind: 'outage' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'a hang', fault: { kind: 'hang' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'half a body', fault: { kind: 'truncated' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: '5 MB', fault: { kind: 'oversized' }, code: 'CXONE_UNAVAILABLE', retryable: true, calls: 1 },
  { what: 'HTML', fault: { kind: 'malformed' }, code: 'CXONE_CONTRACT_BROKEN', calls: 1 },
  { what: '{}', fault: { kind: 'wrong-shape' }, code: 'CXONE_CONTRACT_BROKEN', calls: 1 },
  ...TOO_LONG,
];

const CREATE: Row[] = [
  { what: '400', fault: status(400), code: 'CXONE_SCHEMA_REJECTED', calls: 1 },
  { what: '401 for ever', fault: status(401), code: 'CXONE_AUTH_FAILED', calls: 2 },
  { what: '403', fault: status(403), code: 'CXONE_SCOPE_MISSING', calls: 1 },
  { what: '404', fault: status(404), code: 'CXONE_REJECTED', calls: 1 },
  { what: '409', fault: status(409), code: 'CXONE_REJECTED', calls: 1 },
  { what: '422', fault: status(422), code: 'CXONE_REJECTED', calls: 1 },
  ...TOO_LONG,
  ...[500, 502, 503, 504].map((code) => unclear(String(code), status(code))),
  unclear('500 when the session was opened', status(500), 'after'),
  unclear('503 without Retry-After', { kind: 'rate-limit', status: 503 }),
  unclear('a reset before the session was opened', { kind: 'reset' }),
  unclear('a reset after the session was opened', { kind: 'reset' }, 'after'),
  unclear('an outage', { kind: 'outage' }),
  unclear('a hang', { kind: 'hang' }),
  unclear('a hang after the session was opened', { kind: 'hang' }, 'after'),
  unclear('a dripping body', { kind: 'drip', everyMs: 20 }),
  unclear('half a body', { kind: 'truncated' }, 'after'),
  unclear('HTML', { kind: 'malformed' }, 'after'),
  unclear('{}', { kind: 'wrong-shape' }, 'after'),
  unclear('5 MB', { kind: 'oversized' }, 'after'),
];

test.each(TOKEN)('token: $what is $code after $calls calls, and nothing was opened', async (row) => {
  await plays('token', 'AUTHENTICATE', row);
});

test.each(LIST)('list: $what is $code after $calls calls, and nothing was opened', async (row) => {
  await plays('list', 'CAPACITY', row);
});

test.each(CREATE)('create: $what is $code after $calls POSTs', async (row) => {
  await plays('create', 'CREATE', row);
});

const FORMS: [string, string | undefined][] = [
  ['seconds', '0'],
  ['a date that has passed', new Date(0).toUTCString()],
  ['nothing', undefined],
  ['7 apples', '7 apples'],
  ['-5', '-5'],
  ['1.5', '1.5'],
];
const limit = (on: Scenario['on'], status: 429 | 503, form: string, retryAfter: string | undefined) =>
  [form, on, status, { kind: 'rate-limit', status, ...(retryAfter !== undefined && { retryAfter }) }] as const;
const WAITS = [
  ...FORMS.map(([form, retryAfter]) => limit('create', 429, form, retryAfter)),
  // A 503 without the header does not ask to wait: it is one of the unclear rows above.
  ...FORMS.filter(([, retryAfter]) => retryAfter !== undefined).map(([form, retryAfter]) =>
    limit('create', 503, form, retryAfter),
  ),
  ...(['token', 'list'] as const).flatMap((on) => [
    limit(on, 429, 'nothing', undefined),
    limit(on, 503, 'seconds', '0'),
  ]),
];

test.each(WAITS)(
  'Retry-After with %s on a %s call with %i is waited for, and the guest gets one session',
  async (_form, on, _status, fault) => {
    const network = await startNetwork();
    network.cxone.scenarios.add({ on, fault, times: 2 });
    const guestId = randomUUID();
    const payload = await open(network, inputFor(guestId));
    expect(payload).toMatchObject({ userErrors: [], session: { status: 'ACTIVE', attempts: on === 'create' ? 3 : 1 } });
    expect(network.cxone.count(on)).toBe(3);
    expect(network.cxone.sessions(guestId)).toHaveLength(1);
    const creates = network.cxone.calls.filter(({ call }) => call === 'create');
    expect(new Set(creates.map(({ requestId }) => requestId))).toEqual(new Set([payload.requestId]));
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
});

test('where CXone refuses connections the attempt fails and says when to try again; when CXone is back all is well', async () => {
  const network = await startNetwork();
  await network.cxone.refuseConnections();
  const guestId = randomUUID();
  expect((await open(network, inputFor(guestId))).userErrors).toMatchObject([
    { code: 'CXONE_UNAVAILABLE', stage: 'AUTHENTICATE', retryable: true, retryAfterSeconds: someWait },
  ]);
  await network.cxone.acceptConnections();
  expect((await open(network, inputFor(guestId))).session).toMatchObject({ status: 'ACTIVE' });
});

test('a token without the scope for sessions is told apart from wrong credentials', async () => {
  const network = await startNetwork({ cxone: { scope: 'messaging:read' } });
  expect((await open(network)).userErrors).toMatchObject([
    { code: 'CXONE_SCOPE_MISSING', stage: 'AUTHENTICATE', retryable: false },
  ]);
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

async function plays(on: 'token' | 'list' | 'create', stage: string, row: Row): Promise<void> {
  const network = await startNetwork({ env: ENV });
  network.cxone.scenarios.add({ on, fault: row.fault, ...(row.when && { when: row.when }) });
  const guestId = randomUUID();
  const isUnknown = row.code === 'OUTCOME_UNKNOWN';
  const posts = on === 'create' ? row.calls : 0;

  const startedAtMs = performance.now();
  const payload = await open(network, inputFor(guestId));

  expect(performance.now() - startedAtMs).toBeLessThan(15_000);
  const { code, retryable = false, retryAfterSeconds = null } = row;
  expect(payload).toMatchObject({ session: null, clientToken: null });
  expect(payload.userErrors).toEqual([
    { code, stage, retryable, retryAfterSeconds, field: null, message: expect.stringMatching(/\.$/) },
  ]);
  expect(network.cxone.count(on)).toBe(row.calls);
  expect(network.cxone.count('create')).toBe(posts);
  expect(network.cxone.sessions(guestId)).toHaveLength(row.opened ?? 0);

  const { sessions, audits, events } = await booksOf(network, guestId);
  const status = isUnknown ? 'UNKNOWN' : 'FAILED';
  expect(sessions).toMatchObject([
    { id: payload.requestId, status, failureCode: code, attempts: posts, sessionId: null, crmSync: 'DISABLED' },
  ]);
  expect(audits).toMatchObject([
    { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: code, attempts: posts, requestId: payload.requestId },
  ]);
  expect(events.map(({ type }) => type)).toEqual(['SESSION_REQUESTED', 'SESSION_FAILED']);
  expect(events[1]).toMatchObject({ status, reason: code });
  expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
}

/** Whether there is a session cannot be told: one POST and never a second, and the place stays held. */
function unclear(what: string, fault: Fault, when: 'before' | 'after' = 'before'): Row {
  return { what, fault, when, code: 'OUTCOME_UNKNOWN', calls: 1, opened: when === 'after' ? 1 : 0 };
}

function status(code: number, body?: string): Fault {
  return { kind: 'status', status: code, ...(body !== undefined && { body }) };
}
