import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { serve } from '../outbound/raw-server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, open, SEED_INPUT, startNetwork } from '../support/network.js';

test('answer, books and CXone agree on a session that was opened', async () => {
  const network = await startNetwork();
  const payload = await open(network, SEED_INPUT);

  const { requestId, clientToken, session } = payload;
  expect(payload).toMatchObject({ replayed: false, userErrors: [], eventCursor: expect.any(String) });
  expect(session).toMatchObject({
    id: requestId,
    requestId,
    crmId: 'crm_acct_44920',
    channel: 'WEBCHAT',
    status: 'ACTIVE',
  });
  const [atCxone] = network.cxone.sessions();
  expect(atCxone).toMatchObject({ sessionId: session.sessionId, token: clientToken, requestId });
  expect(session.expiresAt).toBe(atCxone?.expiresAt.toISOString());
  expect(network.cxone.calls).toMatchObject([
    { call: 'token', status: 200 },
    { call: 'list', status: 200, guestId: SEED_INPUT.guestId },
    { call: 'create', status: 201, guestId: SEED_INPUT.guestId, requestId },
  ]);

  const { sessions, audits, events } = await booksOf(network, SEED_INPUT.guestId);
  expect(sessions).toMatchObject([
    { id: requestId, sessionId: session.sessionId, status: 'ACTIVE', attempts: 1, fraudScore: 60, failureCode: null },
  ]);
  expect(sessions[0].durationMs).toBe(session.durationMs);
  const initiations = audits.filter(({ kind }) => kind === 'SESSION_INITIATION');
  expect(initiations).toMatchObject([
    {
      requestId,
      status: 'SUCCESS',
      errorCode: null,
      reason: null,
      guestId: SEED_INPUT.guestId,
      sessionId: session.sessionId,
      actor: 'local',
      fraudScore: 60,
      attempts: 1,
      capacityCheck: 'CHECKED',
    },
  ]);
  expect(events.slice(0, 2)).toMatchObject([
    { type: 'SESSION_REQUESTED', requestId, status: 'PENDING', sessionId: null },
    {
      type: 'SESSION_INITIATED',
      requestId,
      status: 'ACTIVE',
      sessionId: session.sessionId,
      expiresAt: session.expiresAt,
    },
  ]);
  expect(events[1].cursor).toBe(payload.eventCursor);
});

test('what a guest is known by secretly is in no log line and in no answer but the first', async () => {
  const network = await startNetwork();
  const { clientToken } = await open(network, SEED_INPUT);
  const books = await booksOf(network, SEED_INPUT.guestId);
  const said = JSON.stringify(books) + network.logLines.join('\n') + JSON.stringify(network.crm.received);
  for (const secret of [clientToken, SEED_INPUT.deviceFingerprint, network.cxone.clientSecret]) {
    expect(said).not.toContain(secret);
  }
});

test('what was asked for is what CXone gets', async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  const input = {
    ...inputFor(guestId.toUpperCase()),
    channel: 'WHATSAPP',
    priority: 'HIGH',
    queueId: 'queue-vip',
    languagePreference: 'de-at',
  };
  const { session } = await open(network, input);
  expect(session).toMatchObject({ guestId, channel: 'WHATSAPP' });
  expect(network.cxone.sessions(guestId)).toMatchObject([{ channel: 'whatsapp' }]);
});

test('a fraud refusal makes no call to CXone and takes no place, and its score is for operations alone', async () => {
  const network = await startNetwork();
  const input = { ...SEED_INPUT, ipMetadata: { isProxy: true, country: 'US' } };
  const payload = await open(network, input);

  expect(payload).toMatchObject({ session: null, clientToken: null });
  expect(payload.userErrors).toEqual([
    {
      code: 'FRAUD_BLOCKED',
      message: 'The request was refused by the fraud check.',
      field: null,
      stage: 'FRAUD',
      retryable: false,
      retryAfterSeconds: null,
    },
  ]);
  expect(network.cxone.calls).toEqual([]);

  const { sessions, audits, events } = await booksOf(network, SEED_INPUT.guestId);
  expect(sessions).toEqual([]);
  expect(audits).toMatchObject([
    {
      requestId: payload.requestId,
      status: 'REJECTED',
      errorCode: 'FRAUD_BLOCKED',
      fraudScore: 80,
      attempts: 0,
      capacityCheck: null,
      reason: expect.stringContaining('80'),
    },
  ]);
  expect(events).toMatchObject([{ type: 'SESSION_REJECTED', reason: 'FRAUD_BLOCKED', status: null, sessionId: null }]);
  expect(JSON.stringify(events[0].reason)).not.toContain('80');
});

test('the fraud threshold is a setting: at 80 the same request passes', async () => {
  const network = await startNetwork({ env: { FRAUD_THRESHOLD: '80' } });
  const { session } = await open(network, { ...SEED_INPUT, ipMetadata: { isProxy: true } });
  expect(session).toMatchObject({ status: 'ACTIVE', fraudScore: 80 });
});

test.each([
  ['closed', { session: null, userErrors: [{ code: 'FRAUD_CHECK_UNAVAILABLE', stage: 'FRAUD', retryable: true }] }, 0],
  ['open', { session: { status: 'ACTIVE' }, userErrors: [] }, 1],
])('a fraud service that is down is settled by the fail mode %s', async (failMode, expected, creates) => {
  const { url } = await serve((_request, response) => void response.writeHead(500).end());
  const env = { FRAUD_PROVIDER: 'http', FRAUD_SERVICE_URL: url, FRAUD_FAIL_MODE: failMode };
  const network = await startNetwork({ env });
  expect(await open(network)).toMatchObject(expected);
  expect(network.cxone.count('create')).toBe(creates);
});

test('all that is wrong with the input is told at once, with HTTP 200, before anything else happens', async () => {
  const network = await startNetwork();
  const input = {
    guestId: 'nobody',
    deviceFingerprint: '',
    crmId: 'x'.repeat(129),
    queueId: '',
    languagePreference: 'en_US',
    ipMetadata: { country: 'XX' },
  };
  const { status, data, errors } = await network.graphql(OPEN, { input });

  expect([status, errors]).toEqual([200, undefined]);
  const payload = data.createGuestSession;
  expect(payload).toMatchObject({ session: null, clientToken: null });
  expect(payload.userErrors.map(({ field }: { field: string[] }) => field)).toEqual([
    ['input', 'guestId'],
    ['input', 'deviceFingerprint'],
    ['input', 'crmId'],
    ['input', 'queueId'],
    ['input', 'languagePreference'],
    ['input', 'ipMetadata', 'country'],
  ]);
  for (const error of payload.userErrors) {
    expect(error).toMatchObject({
      code: 'INVALID_INPUT',
      stage: 'VALIDATE',
      retryable: false,
      retryAfterSeconds: null,
    });
  }
  expect(network.cxone.calls).toEqual([]);
  const { data: books } = await network.graphql(
    '{ sessions { nodes { id } } events { nodes { type requestId guestId } } }',
  );
  expect(books.sessions.nodes).toEqual([]);
  expect(books.events.nodes).toEqual([{ type: 'SESSION_REJECTED', requestId: payload.requestId, guestId: null }]);
  expect((await auditTrail(network)).audits).toMatchObject([
    { requestId: payload.requestId, status: 'REJECTED', errorCode: 'INVALID_INPUT', guestId: null },
    { kind: 'SERVER_STARTED' },
  ]);
});

test('each attempt has one entry in the audit trail and one event of its end, however it ended', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
  const [full, failing, unknown] = [randomUUID(), randomUUID(), randomUUID()];
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 }, guestId: failing });
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, guestId: unknown });
  const inputs = [
    inputFor(full),
    inputFor(full),
    { ...inputFor(), guestId: '' },
    { ...inputFor(), ipMetadata: { isProxy: true } },
    inputFor(failing),
    inputFor(unknown),
    inputFor(),
  ];
  const payloads = await Promise.all(inputs.map((input) => open(network, input)));

  const requestIds = payloads.map(({ requestId }) => requestId).sort();
  expect(new Set(requestIds).size).toBe(inputs.length);
  const { audits, verification } = await auditTrail(network);
  const initiations = audits.filter(({ kind }) => kind === 'SESSION_INITIATION');
  expect(initiations.map(({ requestId }) => requestId).sort()).toEqual(requestIds);
  for (const { requestId, userErrors } of payloads) {
    const entry = initiations.find((audit) => audit.requestId === requestId);
    expect(entry?.errorCode).toBe(userErrors[0]?.code ?? null);
  }
  expect(verification).toMatchObject({ ok: true });
  const types = ['SESSION_INITIATED', 'SESSION_REJECTED', 'SESSION_FAILED'];
  const { data } = await network.graphql(
    'query ($types: [SessionEventType!]) { events(types: $types) { nodes { requestId } } }',
    {
      types,
    },
  );
  expect(data.events.nodes.map(({ requestId }: { requestId: string }) => requestId).sort()).toEqual(requestIds);
});

test('a hundred guests at once cause one token call, and each gets a session', async () => {
  const network = await startNetwork();
  const payloads = await Promise.all(Array.from({ length: 100 }, () => open(network)));
  expect(payloads.flatMap(({ userErrors }) => userErrors)).toEqual([]);
  expect(new Set(payloads.map(({ clientToken }) => clientToken)).size).toBe(100);
  expect(network.cxone.sessions()).toHaveLength(100);
  expect(network.cxone.count('token')).toBe(1);
});

test('a token that CXone revokes is replaced without a guest noticing', async () => {
  const network = await startNetwork();
  await open(network);
  network.cxone.revokeTokens();
  expect((await open(network)).userErrors).toEqual([]);
  expect(network.cxone.count('token')).toBe(2);
});

test('a token is replaced before it expires', async () => {
  const network = await startNetwork({ cxone: { tokenTtlSeconds: 1 } });
  await eventually(async () => {
    expect((await open(network)).userErrors).toEqual([]);
    return network.cxone.count('token') > 1;
  });
  expect(network.cxone.calls.filter(({ status }) => status === 401)).toEqual([]);
});

test.each([
  ['list', 'DEADLINE_EXCEEDED', 'CAPACITY', 'FAILED', true],
  ['create', 'OUTCOME_UNKNOWN', 'CREATE', 'UNKNOWN', false],
] as const)('an attempt whose %s call hangs ends at its deadline as %s', async (on, code, stage, status, retryable) => {
  const network = await startNetwork({ env: { CREATE_DEADLINE_MS: '300', CXONE_TIMEOUT_MS: '60000' } });
  network.cxone.scenarios.add({ on, fault: { kind: 'hang' } });
  const guestId = randomUUID();
  const startedAtMs = performance.now();
  const payload = await open(network, inputFor(guestId));
  expect(performance.now() - startedAtMs).toBeLessThan(30_000);
  expect(payload.userErrors).toMatchObject([{ code, stage, retryable }]);
  expect((await booksOf(network, guestId)).sessions).toMatchObject([{ status, failureCode: code }]);
});

test('the shared token call outlives the deadline of one caller', async () => {
  const network = await startNetwork({ env: { CREATE_DEADLINE_MS: '400', CXONE_TIMEOUT_MS: '60000' } });
  network.cxone.scenarios.add({ on: 'token', fault: { kind: 'hang' }, times: 1 });
  const payload = await open(network);
  expect(payload.userErrors).toMatchObject([{ stage: 'AUTHENTICATE', retryable: true }]);
  await eventually(async () => (await open(network)).session);
  expect(network.cxone.count('create')).toBe(1);
});
