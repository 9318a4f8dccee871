import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Scenario } from '../../src/sandbox/faults.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, OPEN, open, startNetwork } from '../support/network.js';

type Api = Pick<Network, 'graphql'>;

/** Opens a session with headers, and gives the payload. */
async function openWith(api: Api, input: object, headers: Record<string, string>) {
  const { data, errors } = await api.graphql(OPEN, { input }, headers);
  if (!data) throw new Error(`createGuestSession gave no data: ${JSON.stringify(errors)}`);
  return data.createGuestSession;
}

const keyed = (key: string = randomUUID(), guestId?: string) => ({ ...inputFor(guestId), idempotencyKey: key });

/** The answer to the same request again: all of it as it was, whatever has come of the webhook meanwhile. */
const replayOf = (first: { session: object | null }) => ({
  ...first,
  replayed: true,
  session: first.session && { ...first.session, crmSync: expect.any(String) },
});

/** The audit entries of the attempts of a guest, by request id. */
async function initiationsOf(
  api: Api,
  guestId: string,
): Promise<Map<string, { status: string; errorCode: string | null }[]>> {
  const { audits } = await booksOf(api, guestId);
  const initiations = audits.filter(({ kind }) => kind === 'SESSION_INITIATION');
  return new Map(
    initiations.map(({ requestId }) => [requestId, initiations.filter((it) => it.requestId === requestId)]),
  );
}

/** A database that several servers use, one after the other. */
function sharedDatabase(): string {
  const directory = mkdtempSync(join(tmpdir(), 'idempotency-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return `file:${join(directory, 'shared.db')}`;
}

describe('the key', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const posts = (): number => server.app.engine.sandbox.cxone!.count('create');

  test.each([
    ['in the input', (key: string) => [{ idempotencyKey: key }, {}]],
    ['in the header Idempotency-Key', (key: string) => [{}, { 'Idempotency-Key': key }]],
    ['in quotes in the header, as its draft has it', (key: string) => [{}, { 'Idempotency-Key': `"${key}"` }]],
    ['in the header in lower case', (key: string) => [{}, { 'idempotency-key': key }]],
    ['in the header between blanks', (key: string) => [{}, { 'Idempotency-Key': `  "${key}"  ` }]],
    ['in both', (key: string) => [{ idempotencyKey: key }, { 'Idempotency-Key': key }]],
    ['in both, once in quotes', (key: string) => [{ idempotencyKey: key }, { 'Idempotency-Key': `"${key}"` }]],
    ['as null in the input and in the header', (key: string) => [{ idempotencyKey: null }, { 'Idempotency-Key': key }]],
  ] as [string, (key: string) => [object, Record<string, string>]][])('%s is the same key', async (_where, place) => {
    const input = inputFor();
    const key = randomUUID();
    const first = await open(server, { ...input, idempotencyKey: key });
    const before = posts();
    const [field, headers] = place(key);

    expect(await openWith(server, { ...input, ...field }, headers)).toEqual(replayOf(first));
    expect(posts()).toBe(before);
  });

  test.each([
    ['one', 'x'],
    ['255', 'x'.repeat(255)],
    ['blanks among them', 'a key with blanks'],
    ['signs of all kinds', 'order/17#2 ✓'],
    ['other letters', 'Ключ'],
    ['quotes', '"quoted"'],
  ])('may be 1 to 255 printable characters: %s', async (_what, key) => {
    const input = keyed(key);
    const first = await open(server, input);
    expect(first).toMatchObject({ userErrors: [], replayed: false });
    expect(await open(server, input)).toEqual(replayOf(first));
  });

  test.each([
    ['"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'],
    ['a"b', 'a"b'],
    ['"a', '"a'],
  ])('may have quotes of its own in the header: %s', async (header, key) => {
    const input = inputFor();
    const first = await open(server, { ...input, idempotencyKey: key });

    expect(await openWith(server, input, { 'Idempotency-Key': header })).toEqual(replayOf(first));
  });

  test.each([
    ['another in the header than in the input', { idempotencyKey: 'one' }, { 'Idempotency-Key': 'other' }],
    ['in another case in the header', { idempotencyKey: 'one' }, { 'Idempotency-Key': 'ONE' }],
    ['empty in the header, given in the input', { idempotencyKey: 'one' }, { 'Idempotency-Key': '' }],
    ['given in the header, empty in the input', { idempotencyKey: '' }, { 'Idempotency-Key': 'one' }],
    ['empty in the input', { idempotencyKey: '' }, {}],
    ['empty in the header', {}, { 'Idempotency-Key': '' }],
    ['an empty pair of quotes in the header', {}, { 'Idempotency-Key': '""' }],
    ['blank', { idempotencyKey: '   ' }, {}],
    ['256 characters long in the input', { idempotencyKey: 'x'.repeat(256) }, {}],
    ['256 characters long in the header', {}, { 'Idempotency-Key': 'x'.repeat(256) }],
    ['a line break', { idempotencyKey: 'one\ntwo' }, {}],
    ['a NUL', { idempotencyKey: 'one\u0000' }, {}],
    ['half an emoji', { idempotencyKey: 'one \ud83e' }, {}],
    ['a tab in the header', {}, { 'Idempotency-Key': 'one\ttwo' }],
  ] as [string, object, Record<string, string>][])('is INVALID_INPUT: %s', async (_what, field, headers) => {
    const before = posts();

    const payload = await openWith(server, { ...inputFor(), ...field }, headers);

    expect(payload).toMatchObject({ session: null, clientToken: null, replayed: false });
    const problem = { code: 'INVALID_INPUT', stage: 'VALIDATE', field: ['input', 'idempotencyKey'], retryable: false };
    expect(payload.userErrors.length).toBeGreaterThan(0);
    for (const error of payload.userErrors) expect(error).toMatchObject(problem);
    expect(posts()).toBe(before);
  });

  test('is not needed: without it, or with null, every request is its own intent', async () => {
    const input = inputFor();
    const answers = [];
    for (const field of [{}, {}, { idempotencyKey: null }]) answers.push(await open(server, { ...input, ...field }));

    expect(new Set(answers.map(({ session }) => session.sessionId)).size).toBe(3);
    expect(answers.map(({ replayed }) => replayed)).toEqual([false, false, false]);
  });

  test('in the header does no harm to a query', async () => {
    const { data, errors } = await server.graphql(
      '{ sessions(first: 1) { nodes { id } } }',
      {},
      { 'Idempotency-Key': '' },
    );
    expect([errors, data.sessions.nodes.length]).toEqual([undefined, 1]);
  });
});

/** What the books say beside that an answer was given again, or a server started. */
async function booksButReplays(network: Network, guestId: string) {
  const isNews = ({ kind }: { kind: string }) => !['SESSION_REPLAYED', 'SERVER_STARTED'].includes(kind);
  const books = await booksOf(network, guestId);
  const trail = (await auditTrail(network)).audits.filter(isNews);
  return { ...books, audits: books.audits.filter(isNews), trail };
}

describe('the same key and input', () => {
  test('get the same answer, without a call to CXone, a row, an event or a webhook', async () => {
    const network = await startNetwork();
    const input = keyed();
    const first = await open(network, input);
    expect(first).toMatchObject({ replayed: false, userErrors: [], clientToken: expect.stringMatching(/^ctk_/) });
    await eventually(async () => (await booksOf(network, input.guestId)).sessions[0].crmSync === 'DELIVERED');
    const before = await booksButReplays(network, input.guestId);
    network.cxone.reset();

    for (let again = 0; again < 3; again += 1) {
      expect(await open(network, input)).toEqual({
        ...first,
        replayed: true,
        session: { ...first.session, crmSync: 'DELIVERED' },
      });
    }

    expect(network.cxone.calls).toEqual([]);
    expect(await booksButReplays(network, input.guestId)).toEqual(before);
    // Were there a second webhook, it would have come before that of the next session.
    const { requestId } = await open(network);
    await eventually(
      async () => (await network.graphql(CRM_SYNC, { id: requestId })).data.session.crmSync === 'DELIVERED',
    );
    expect(network.crm.received).toHaveLength(2);
  });

  test('are the same with a default left out or given, and in another letter case where that means nothing', async () => {
    const network = await startNetwork();
    const key = randomUUID();
    const guestId = `guest-${randomUUID()}`;
    const bare = { guestId, deviceFingerprint: 'fp_1', idempotencyKey: key };
    const first = await open(network, bare);

    for (const form of [
      { ...bare, guestId: guestId.toUpperCase().replace('GUEST', 'Guest') },
      { ...bare, channel: 'WEBCHAT', priority: 'NORMAL', languagePreference: 'en-US', queueId: 'queue-test' },
      { ...bare, crmId: null, channel: null, priority: null, languagePreference: 'EN-us', queueId: null },
      { ...bare, ipMetadata: null },
      { ...bare, ipMetadata: {} },
      { ...bare, ipMetadata: { isProxy: false, country: null } },
    ]) {
      expect(await open(network, form)).toEqual(replayOf(first));
    }
    expect(network.cxone.count('create')).toBe(1);
  });

  test('of another caller are another intent', async () => {
    const network = await startNetwork({ env: { API_KEYS } });
    const input = keyed();
    const first = await openWith(network, input, bearer('OPS'));
    const second = await openWith(network, input, bearer('BACKEND'));

    expect([first.replayed, second.replayed]).toEqual([false, false]);
    expect(second.session.sessionId).not.toBe(first.session.sessionId);
    expect(second.clientToken).not.toBe(first.clientToken);
    for (const [role, answer] of [
      ['OPS', first],
      ['BACKEND', second],
    ] as const) {
      expect(await openWith(network, input, bearer(role))).toEqual(replayOf(answer));
    }
    expect(network.cxone.count('create')).toBe(2);
  });

  test('of another caller with another input are no conflict, and tell nothing of each other', async () => {
    const network = await startNetwork({ env: { API_KEYS } });
    const key = randomUUID();
    await openWith(network, keyed(key), bearer('OPS'));

    expect(await openWith(network, keyed(key), bearer('BACKEND'))).toMatchObject({ userErrors: [], replayed: false });
  });

  test('are remembered by the next server', async () => {
    const databaseUrl = sharedDatabase();
    const input = keyed();
    const before = await startNetwork({ databaseUrl });
    const first = await open(before, input);
    await before[Symbol.asyncDispose]();

    const after = await startNetwork({ databaseUrl });
    expect(await open(after, input)).toEqual(replayOf(first));
    expect(after.cxone.calls).toEqual([]);
  });
});

const CRM_SYNC = 'query ($id: ID) { session(id: $id) { crmSync } }';

describe('the same key with another input', () => {
  test.each([
    ['guest', { guestId: randomUUID() }],
    ['device', { deviceFingerprint: 'another device' }],
    ['CRM account', { crmId: 'crm-2' }],
    ['channel', { channel: 'SMS' }],
    ['proxy', { ipMetadata: { isProxy: true, country: 'US' } }],
  ])('(%s) is refused, and changes nothing', async (_what, change) => {
    const network = await startNetwork();
    const input = keyed();
    const first = await open(network, input);
    network.cxone.reset();

    const conflict = await open(network, { ...input, ...change });

    expect(conflict).toMatchObject({ session: null, clientToken: null, replayed: false });
    expect(conflict.userErrors).toEqual([
      {
        code: 'IDEMPOTENCY_CONFLICT',
        message: expect.stringContaining('another input'),
        field: null,
        stage: 'RECOGNISE',
        retryable: false,
        retryAfterSeconds: null,
      },
    ]);
    expect(conflict.requestId).not.toBe(first.requestId);
    expect(network.cxone.calls).toEqual([]);
    const { audits, verification } = await auditTrail(network);
    expect(audits.find(({ requestId }) => requestId === conflict.requestId)).toMatchObject({
      kind: 'SESSION_INITIATION',
      status: 'REJECTED',
      errorCode: 'IDEMPOTENCY_CONFLICT',
    });
    expect(verification.ok).toBe(true);
    expect(await open(network, input)).toEqual(replayOf(first));
  });

  test('is refused at once while the first is at work', async () => {
    const network = await startNetwork();
    const input = keyed();
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 1_000 } });
    const first = open(network, input);
    await eventually(() => network.cxone.count('create') === 1);
    const startedAtMs = performance.now();

    const { userErrors } = await open(network, { ...input, crmId: 'crm-2' });

    expect(userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
    expect(performance.now() - startedAtMs).toBeLessThan(800);
    expect((await first).userErrors).toEqual([]);
  });
});

describe('what is replayed', () => {
  test('is a refusal by the fraud check, also when it would be let through now', async () => {
    const databaseUrl = sharedDatabase();
    const input = keyed(); // its score is 60
    const strict = await startNetwork({ databaseUrl, env: { FRAUD_THRESHOLD: '50' } });
    const refused = await open(strict, input);
    expect(refused).toMatchObject({
      session: null,
      replayed: false,
      userErrors: [{ code: 'FRAUD_BLOCKED', stage: 'FRAUD' }],
    });
    const before = await booksButReplays(strict, input.guestId);
    expect(await open(strict, input)).toEqual({ ...refused, replayed: true });
    expect(await booksButReplays(strict, input.guestId)).toEqual(before);
    await strict[Symbol.asyncDispose]();

    const lax = await startNetwork({ databaseUrl, env: { FRAUD_THRESHOLD: '75' } });
    expect(await open(lax, input)).toEqual({ ...refused, replayed: true });
    expect(lax.cxone.calls).toEqual([]);
    expect(await booksButReplays(lax, input.guestId)).toEqual(before);
    expect((await open(lax, { ...input, idempotencyKey: randomUUID() })).userErrors).toEqual([]);
  });

  test('is a success, also when it would be refused now', async () => {
    const databaseUrl = sharedDatabase();
    const input = keyed();
    const lax = await startNetwork({ databaseUrl });
    const first = await open(lax, input);
    await lax[Symbol.asyncDispose]();

    const strict = await startNetwork({ databaseUrl, env: { FRAUD_THRESHOLD: '50', MAX_CONCURRENT_SESSIONS: '1' } });
    expect(await open(strict, input)).toEqual(replayOf(first));
  });
});

describe('any other outcome runs again under a new request id', () => {
  const once = (on: Scenario['on'], status: number): Scenario => ({ on, fault: { kind: 'status', status }, times: 1 });

  test.each([
    ['CXONE_UNAVAILABLE', once('list', 500)],
    ['CXONE_AUTH_FAILED', once('token', 400)],
    ['CXONE_SCHEMA_REJECTED', once('create', 400)],
    ['CXONE_SCOPE_MISSING', once('create', 403)],
    ['CXONE_REJECTED', once('create', 422)],
    ['CXONE_CONTRACT_BROKEN', { on: 'list', fault: { kind: 'malformed' }, times: 1 }],
    ['RATE_LIMITED', { on: 'create', fault: { kind: 'rate-limit', retryAfter: '3600' }, times: 1 }],
  ] as [string, Scenario][])('%s', async (code, scenario) => {
    const network = await startNetwork();
    const input = keyed();
    network.cxone.scenarios.add(scenario);

    await failsThenOpens(network, input, code);
  });

  test('CXONE_UNAVAILABLE, where CXone cannot be reached', async () => {
    const network = await startNetwork();
    const input = keyed();
    await network.cxone.refuseConnections();

    await failsThenOpens(network, input, 'CXONE_UNAVAILABLE', () => network.cxone.acceptConnections());
  });

  test.each(['here', 'at CXone'])('CAPACITY_EXCEEDED, where the places are taken %s', async (where) => {
    const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
    const input = keyed();
    const { sessionId, id } =
      where === 'here'
        ? (await open(network, inputFor(input.guestId))).session
        : network.cxone.addSession(input.guestId);
    const free = async () => {
      if (where === 'at CXone') network.cxone.endSession(sessionId);
      else
        await network.graphql('mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded } }', { id });
    };

    await failsThenOpens(network, input, 'CAPACITY_EXCEEDED', free);
  });

  test('INVALID_INPUT: the key was never used', async () => {
    const network = await startNetwork();
    const input = keyed();
    const invalid = await open(network, { ...input, deviceFingerprint: '' });
    expect(invalid.userErrors).toMatchObject([{ code: 'INVALID_INPUT' }]);

    const opened = await open(network, input);

    expect(opened).toMatchObject({ replayed: false, userErrors: [] });
    expect(opened.requestId).not.toBe(invalid.requestId);
    const { audits } = await auditTrail(network);
    for (const { requestId } of [invalid, opened]) {
      const ofAttempt = audits.filter((it) => it.requestId === requestId && it.kind === 'SESSION_INITIATION');
      expect(ofAttempt).toHaveLength(1);
    }
  });

  /** Asks with one key: twice in vain, then for a session, then for the same again. */
  async function failsThenOpens(
    network: Network,
    input: ReturnType<typeof keyed>,
    code: string,
    repair: () => unknown = () => undefined,
  ): Promise<void> {
    const failed = await open(network, input);
    expect(failed).toMatchObject({ session: null, clientToken: null, replayed: false, userErrors: [{ code }] });

    await repair();
    const opened = await open(network, input);
    expect(opened).toMatchObject({ replayed: false, userErrors: [], session: { status: 'ACTIVE' } });
    expect(opened.requestId).not.toBe(failed.requestId);
    expect(await open(network, input)).toEqual(replayOf(opened));

    const initiations = await initiationsOf(network, input.guestId);
    expect(initiations.get(failed.requestId)).toMatchObject([{ errorCode: code }]);
    expect(initiations.get(opened.requestId)).toMatchObject([{ status: 'SUCCESS' }]);
    const ours = network.cxone.sessions(input.guestId).filter(({ requestId }) => requestId !== null);
    expect(ours.map(({ requestId }) => requestId)).toEqual([opened.requestId]);
    expect((await auditTrail(network)).verification).toMatchObject({ ok: true });
  }
});

describe('a key', () => {
  test('is forgotten after its time: the same key then opens another session', async () => {
    const network = await startNetwork({ env: { IDEMPOTENCY_TTL_HOURS: '0.0002' } });
    const input = keyed();
    const first = await open(network, input);
    expect((await open(network, input)).replayed).toBe(true);

    const second = await eventually(async () => {
      const answer = await open(network, input);
      return !answer.replayed && answer;
    });

    expect(second.session.sessionId).not.toBe(first.session.sessionId);
    expect(second.userErrors).toEqual([]);
    expect(network.cxone.count('create')).toBe(2);
    expect((await open(network, { ...input, crmId: 'crm-2' })).userErrors).toMatchObject([
      { code: 'IDEMPOTENCY_CONFLICT' },
    ]);
  });
});
