import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { auditTrail, booksOf } from '../guest-session/books.js';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, OPEN, open, startNetwork } from '../support/network.js';

const END = /* GraphQL */ `
  mutation End($input: EndGuestSessionInput!) {
    endGuestSession(input: $input) {
      upstreamEnded
      session { id sessionId guestId status endedAt expiresAt }
      userErrors { code message field stage retryable retryAfterSeconds }
    }
  }
`;

// Small where something hangs, and still far above what a call takes when nothing does.
const ENV = { CXONE_TIMEOUT_MS: '300', CREATE_DEADLINE_MS: '1500' };

/** A server and the CXone that it talks to. */
type World = Pick<Network, 'graphql' | 'cxone'>;

async function end(network: World, input: object, headers?: Record<string, string>) {
  const { data, errors } = await network.graphql(END, { input }, headers);
  if (!data) throw new Error(`endGuestSession gave no data: ${JSON.stringify(errors)}`);
  return data.endGuestSession;
}

const ofKind = (kind: string) => (entry: { kind?: string; type?: string }) =>
  entry.kind === kind || entry.type === kind;

/** What the books say of how a guest's sessions were ended, and of how they were not. */
async function endingsOf(network: World, guestId: string) {
  const { sessions, audits, events } = await booksOf(network, guestId);
  const orders = audits.filter(ofKind('SESSION_ENDED'));
  return {
    sessions,
    audits: orders.filter(({ status }) => status === 'SUCCESS'),
    failures: orders.filter(({ status }) => status !== 'SUCCESS'),
    events: events.filter(ofKind('SESSION_ENDED')),
  };
}

const endsOf = ({ cxone }: World, guestId: string) =>
  cxone.calls.filter((call) => call.call === 'end' && call.guestId === guestId).length;

/** One server for all tests of a group, each with a guest of its own. */
function sharedWorld(env: Record<string, string> = {}): World {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ ...ENV, CXONE_RETRY_BASE_MS: '10', CXONE_BREAKER_FAILURES: '1000', ...env });
  });
  afterEach(() => world.cxone.scenarios.clear());
  afterAll(() => server[Symbol.asyncDispose]());
  const world: World = {
    graphql: (...args) => server.graphql(...args),
    get cxone() {
      return server.app.engine.sandbox.cxone!;
    },
  };
  return world;
}

/** A guest with a session. */
async function openIn(world: World, input: object = {}) {
  const guestId = randomUUID();
  const { session } = await open(world, { ...inputFor(guestId), ...input });
  return { guestId, id: session.id as string, sessionId: session.sessionId as string };
}

/** A network with one session in it. */
async function withSession({ env, cxone }: { env?: Record<string, string>; cxone?: CxoneSandboxOptions } = {}) {
  const network = await startNetwork({ env: { ...ENV, ...env }, ...(cxone && { cxone }) });
  return { network, ...(await openIn(network)) };
}

describe('ending a session', () => {
  const world = sharedWorld();

  it.each(['id', 'sessionId'] as const)('by its %s ends it at CXone and in the books', async (by) => {
    const { guestId, ...session } = await openIn(world);
    const before = Date.now();

    const payload = await end(world, { [by]: session[by], reason: 'the guest said good-bye' });

    expect(payload).toMatchObject({
      upstreamEnded: true,
      session: { ...session, guestId, status: 'ENDED' },
      userErrors: [],
    });
    expect(Date.parse(payload.session.endedAt)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(payload.session.endedAt)).toBeLessThanOrEqual(Date.now());
    expect([endsOf(world, guestId), world.cxone.sessions(guestId)]).toEqual([1, []]);
    const books = await endingsOf(world, guestId);
    expect(books.sessions).toMatchObject([{ status: 'ENDED', endedAt: payload.session.endedAt }]);
    const about = { requestId: session.id, sessionId: session.sessionId, reason: 'the guest said good-bye' };
    expect(books.events).toMatchObject([{ ...about, status: 'ENDED' }]);
    expect(books.audits).toMatchObject([{ ...about, status: 'SUCCESS', actor: 'local', errorCode: null }]);
    expect((await auditTrail(world)).verification).toMatchObject({ ok: true });
  });

  it('needs no reason', async () => {
    for (const input of [{}, { reason: null }]) {
      const { guestId, id } = await openIn(world);
      await end(world, { id, ...input });
      const { audits, events } = await endingsOf(world, guestId);
      expect([audits[0].reason, events[0].reason]).toEqual([null, null]);
    }
  });

  it('takes a reason of 200 characters of any script', async () => {
    const { guestId, id } = await openIn(world);
    const reason = 'Auf Wiedersehen, さようなら! '.padEnd(200, '–');
    await end(world, { id, reason });
    expect((await endingsOf(world, guestId)).audits[0].reason).toBe(reason);
  });

  it('a second time gives the same answer and changes nothing', async () => {
    const { guestId, id, sessionId } = await openIn(world);
    const first = await end(world, { id, reason: 'first' });
    const books = await endingsOf(world, guestId);

    expect(await end(world, { id, reason: 'second' })).toEqual(first);
    expect(await end(world, { sessionId })).toEqual(first);

    expect(endsOf(world, guestId)).toBe(1);
    expect(await endingsOf(world, guestId)).toEqual(books);
  });

  it('twenty times at once is ending it once, and gives all the same answer', async () => {
    const { guestId, id, sessionId } = await openIn(world);
    // The answer to the DELETE that ends it is the last to arrive.
    const late = { on: 'end', fault: { kind: 'slow', delayMs: 150 }, guestId, times: 1 } as const;
    world.cxone.scenarios.add(late);

    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => end(world, i % 2 ? { id } : { sessionId, reason: `call ${i}` })),
    );

    expect(answers[0]).toMatchObject({ session: { status: 'ENDED' }, upstreamEnded: true, userErrors: [] });
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toHaveLength(1);
    const { audits, events } = await endingsOf(world, guestId);
    expect([endsOf(world, guestId), audits.length, events.length]).toEqual([1, 1, 1]);
  });

  it('purges its token: who sends its idempotency key again gets the session, but no token', async () => {
    const network = await startNetwork({ env: ENV });
    const input = { ...inputFor(), idempotencyKey: randomUUID() };
    const opened = await open(network, input);
    expect((await open(network, input)).clientToken).toBe(opened.clientToken);

    await end(network, { id: opened.session.id });

    expect(await open(network, input)).toMatchObject({
      replayed: true,
      clientToken: null,
      requestId: opened.requestId,
      session: { sessionId: opened.session.sessionId, status: 'ENDED' },
      userErrors: [],
    });
    expect(network.cxone.count('create')).toBe(1);
    const file = new SqliteConnection(network.app.engine.databasePath, { readOnly: true });
    onTestFinished(() => file.close());
    const keys = file.all('SELECT "state", "clientToken" FROM "IdempotencyKey"');
    expect(keys).toEqual([{ state: 'SUCCEEDED', clientToken: null }]);
  });

  it('frees its place at once', async () => {
    const { network, guestId, id } = await withSession({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
    expect((await open(network, inputFor(guestId))).userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED' }]);

    await end(network, { id });

    expect((await open(network, inputFor(guestId))).userErrors).toEqual([]);
  });

  it('reaches those who listen, with the reason; and tells the CRM nothing', async () => {
    const { network, id, sessionId } = await withSession();
    await eventually(() => network.crm.received.length === 1);
    const heard: object[] = [];
    const query = 'subscription { sessionEvents(types: [SESSION_ENDED]) { type sessionId status reason } }';
    const ignore = () => undefined;
    network
      .socket()
      .subscribe<{ sessionEvents: object }>(
        { query },
        { next: ({ data }) => data && heard.push(data.sessionEvents), error: ignore, complete: ignore },
      );
    await eventually(() => network.app.engine.services.stream.followerCount === 1);

    await end(network, { id, reason: 'over' });

    await eventually(() => heard.length === 1);
    expect(heard).toEqual([{ type: 'SESSION_ENDED', sessionId, status: 'ENDED', reason: 'over' }]);
    const { data } = await network.graphql('{ metrics { crm { delivered pending } } }');
    expect(data.metrics.crm).toEqual({ delivered: 1, pending: 0 });
    expect(network.crm.received).toHaveLength(1);
  });
});

describe('where CXone does not end it', () => {
  const world = sharedWorld();

  it.each([
    [404, 'CXone knows of no such live session'],
    [410, 'CXone knows of no such live session'],
    [405, 'CXone cannot end sessions (405 or 501)'],
    [501, 'CXone cannot end sessions (405 or 501)'],
  ])('%i: it is ended here all the same, and the audit trail says so, and it alone', async (status, why) => {
    const { guestId, id } = await openIn(world);
    world.cxone.scenarios.add({ on: 'end', fault: { kind: 'status', status }, guestId });

    const payload = await end(world, { id, reason: 'good-bye' });

    expect(payload).toMatchObject({ upstreamEnded: false, session: { status: 'ENDED' }, userErrors: [] });
    expect(endsOf(world, guestId)).toBe(1);
    const { audits, events } = await endingsOf(world, guestId);
    expect(audits).toMatchObject([{ status: 'SUCCESS', actor: 'local', reason: `good-bye; ${why}` }]);
    expect(events).toMatchObject([{ reason: 'good-bye' }]);
    expect(await end(world, { id })).toEqual(payload);
  });

  it('because an agent has ended it before: the audit trail says so', async () => {
    const { guestId, id, sessionId } = await openIn(world);
    world.cxone.endSession(sessionId);
    expect(await end(world, { id })).toMatchObject({ upstreamEnded: false, session: { status: 'ENDED' } });
    const { audits } = await endingsOf(world, guestId);
    expect(audits[0].reason).toBe('CXone knows of no such live session');
  });

  it('because the tenant lets no session be ended: it goes on there, and counts as one of CXone’s own', async () => {
    const { network, guestId, id } = await withSession({
      env: { MAX_CONCURRENT_SESSIONS: '1' },
      cxone: { canEndSessions: false },
    });

    expect(await end(network, { id })).toMatchObject({ upstreamEnded: false, session: { status: 'ENDED' } });

    expect(network.cxone.sessions(guestId)).toHaveLength(1);
    const refused = await open(network, inputFor(guestId));
    expect(refused.userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'CAPACITY' }]);
    const { audits } = await booksOf(network, guestId);
    const refusal = audits.find(({ requestId }) => requestId === refused.requestId);
    expect(refusal.reason).toBe('1 of 1 places are taken (1 live at CXone)');
    expect(network.cxone.count('create')).toBe(1);
  });

  it('because CXONE_END_SESSION is off: CXone is not asked to', async () => {
    const { network, guestId, id } = await withSession({ env: { CXONE_END_SESSION: 'off' } });

    const payload = await end(network, { id });

    expect(payload).toMatchObject({ upstreamEnded: false, session: { status: 'ENDED' }, userErrors: [] });
    expect([network.cxone.count('end'), network.cxone.sessions(guestId).length]).toEqual([0, 1]);
    const { audits } = await endingsOf(network, guestId);
    expect(audits[0].reason).toBe('CXONE_END_SESSION is off');
  });
});

describe('while CXone is down', () => {
  const world = sharedWorld();

  it.each<[string, Fault]>([
    ['an outage', { kind: 'outage' }],
    ['a reset', { kind: 'reset' }],
    ['500', { kind: 'status', status: 500 }],
    ['503', { kind: 'status', status: 503 }],
    ['a hang', { kind: 'hang' }],
    ['a dripping body', { kind: 'drip', everyMs: 20 }],
  ])('(%s) a session is not ended, and is when it is tried again', async (_what, fault) => {
    const { guestId, id, sessionId } = await openIn(world);
    world.cxone.scenarios.add({ on: 'end', fault, guestId });

    const refused = await end(world, { id, reason: 'good-bye' });

    expect(refused).toMatchObject({ upstreamEnded: false, session: { id, status: 'ACTIVE', endedAt: null } });
    expect(refused.userErrors).toMatchObject([
      { code: 'CXONE_UNAVAILABLE', stage: 'END', retryable: true, field: null },
    ]);
    const books = await endingsOf(world, guestId);
    expect(books).toMatchObject({ sessions: [{ status: 'ACTIVE' }], audits: [], events: [] });
    expect(books.failures).toMatchObject([
      { requestId: id, status: 'FAILED', errorCode: 'CXONE_UNAVAILABLE', actor: 'local', guestId, sessionId },
    ]);

    world.cxone.scenarios.clear();
    expect(await end(world, { sessionId })).toMatchObject({ upstreamEnded: true, session: { id, status: 'ENDED' } });
    const { audits, events } = await endingsOf(world, guestId);
    expect([audits.length, events.length]).toEqual([1, 1]);
  });

  it.each<[string, Fault]>([
    ['a reset', { kind: 'reset' }],
    ['502', { kind: 'status', status: 502 }],
    ['a hang', { kind: 'hang' }],
  ])('(%s after the work) the order is sent again, and CXone has ended it at our word', async (_what, fault) => {
    const { guestId, id } = await openIn(world);
    world.cxone.scenarios.add({ on: 'end', fault, guestId, when: 'after', times: 1 });
    const payload = await end(world, { id });
    expect(payload).toMatchObject({ upstreamEnded: true, session: { status: 'ENDED' }, userErrors: [] });
    expect(endsOf(world, guestId)).toBe(2);
    const { audits } = await endingsOf(world, guestId);
    expect(audits).toMatchObject([{ status: 'SUCCESS', reason: null }]);
  });

  it('an hour of waiting that CXone asks for is passed on', async () => {
    const { guestId, id } = await openIn(world);
    world.cxone.scenarios.add({ on: 'end', fault: { kind: 'rate-limit', retryAfter: '3600' }, guestId });
    const { session, userErrors } = await end(world, { id });
    expect(session).toMatchObject({ status: 'ACTIVE' });
    expect(userErrors).toMatchObject([{ code: 'RATE_LIMITED', retryable: true, retryAfterSeconds: 3600 }]);
  });

  it('a right that our credentials lack is named', async () => {
    const { guestId, id } = await openIn(world);
    world.cxone.scenarios.add({ on: 'end', fault: { kind: 'status', status: 403 }, guestId });
    const { session, userErrors } = await end(world, { id });
    expect(session).toMatchObject({ status: 'ACTIVE' });
    expect(userErrors).toMatchObject([{ code: 'CXONE_SCOPE_MISSING', stage: 'END', retryable: false }]);
  });

  it('a token that CXone has revoked is fetched anew', async () => {
    const { id } = await openIn(world);
    world.cxone.revokeTokens();
    expect(await end(world, { id })).toMatchObject({ upstreamEnded: true, userErrors: [] });
  });
});

describe('what cannot be ended', () => {
  const world = sharedWorld();

  it.each([
    ['neither id nor sessionId', {}],
    ['nulls', { id: null, sessionId: null }],
    ['both of them', { id: 'x', sessionId: 'y' }],
  ])('%s: the field is named', async (_what, input) => {
    expect(await end(world, input)).toEqual({
      upstreamEnded: false,
      session: null,
      userErrors: [
        {
          code: 'INVALID_INPUT',
          field: ['input', 'id'],
          message: 'id must be given, or else sessionId: one of the two.',
          stage: 'VALIDATE',
          retryable: false,
          retryAfterSeconds: null,
        },
      ],
    });
  });

  it('for a reason that is too long or not printable: nothing is ended', async () => {
    const { guestId, id } = await openIn(world);
    const ESCAPE = 'good\u001b[31mbye';
    for (const reason of ['x'.repeat(201), 'good\nbye', 'good\u0000bye', ESCAPE, 'good\u2028bye', '', '   ']) {
      const { session, userErrors } = await end(world, { id, reason });
      expect(session).toBeNull();
      const message = 'reason must be 1 to 200 printable characters.';
      expect(userErrors).toMatchObject([
        { code: 'INVALID_INPUT', field: ['input', 'reason'], stage: 'VALIDATE', message },
      ]);
    }
    expect([endsOf(world, guestId), world.cxone.sessions(guestId).length]).toEqual([0, 1]);
  });

  it('all that is wrong is said at once', async () => {
    const { userErrors } = await end(world, { reason: '\n' });
    expect(userErrors.map(({ field }: { field: string[] }) => field)).toEqual([
      ['input', 'id'],
      ['input', 'reason'],
    ]);
  });

  it('what is unknown is not found, and CXone is not asked', async () => {
    const calls = world.cxone.calls.length;
    for (const input of [{ id: randomUUID() }, { sessionId: 'cxs_nowhere' }, { id: '' }, { sessionId: '' }]) {
      expect(await end(world, input)).toMatchObject({
        session: null,
        upstreamEnded: false,
        userErrors: [{ code: 'NOT_FOUND', message: 'There is no such session.', retryable: false }],
      });
    }
    expect(world.cxone.calls).toHaveLength(calls);
  });

  it.each(['id', 'sessionId'])('a %s that no database could keep is the caller’s fault', async (name) => {
    const { errors } = await world.graphql(END, { input: { [name]: 'a\u0000b' } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  it('a session of CXone’s own is not found: we end what we have opened', async () => {
    const guestId = randomUUID();
    const { sessionId } = world.cxone.addSession(guestId);
    expect(await end(world, { sessionId })).toMatchObject({ userErrors: [{ code: 'NOT_FOUND' }] });
    expect(world.cxone.sessions(guestId)).toHaveLength(1);
  });

  it('an attempt that has failed is not found', async () => {
    const guestId = randomUUID();
    world.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 }, guestId });
    const { requestId } = await open(world, inputFor(guestId));
    const payload = await end(world, { id: requestId });
    expect(payload).toMatchObject({ session: { status: 'FAILED' }, userErrors: [{ code: 'NOT_FOUND' }] });
    const { audits, events, failures } = await endingsOf(world, guestId);
    expect([audits, events]).toEqual([[], []]);
    expect(failures).toMatchObject([
      { requestId, status: 'REJECTED', errorCode: 'NOT_FOUND', reason: 'it was never opened', guestId },
    ]);
  });

  it('an attempt that was refused before it had a place is not found', async () => {
    const { requestId } = await open(world, { ...inputFor(), guestId: 'nobody' });
    expect(await end(world, { id: requestId })).toMatchObject({ session: null, userErrors: [{ code: 'NOT_FOUND' }] });
  });

  it('a session that is being opened can be ended in a moment', async () => {
    const guestId = randomUUID();
    world.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 200 }, guestId });
    const opening = open(world, inputFor(guestId));
    await eventually(() => world.cxone.sessions(guestId).length === 1);
    const { sessions } = await booksOf(world, guestId);

    const payload = await end(world, { id: sessions[0].id });

    expect(payload).toMatchObject({
      session: { status: 'PENDING' },
      upstreamEnded: false,
      userErrors: [{ code: 'OUTCOME_UNKNOWN', stage: 'END', retryable: true, retryAfterSeconds: 1 }],
    });
    const { session } = await opening;
    expect(await end(world, { id: session.id })).toMatchObject({ session: { status: 'ENDED' }, userErrors: [] });
  });

  it('a session whose time is over is over, and CXone is not asked', async () => {
    const { network, guestId, id } = await withSession({ cxone: { sessionTtlSeconds: 1 } });
    await eventually(async () => (await booksOf(network, guestId)).sessions[0].status === 'EXPIRED');

    const payload = await end(network, { id });

    expect(payload).toMatchObject({ session: { status: 'EXPIRED' }, upstreamEnded: false, userErrors: [] });
    expect(payload.session.endedAt).toBe(payload.session.expiresAt);
    expect(network.cxone.count('end')).toBe(0);
    expect(await endingsOf(network, guestId)).toMatchObject({ audits: [], events: [] });
  });
});

describe('a session whose token was lost with the answer', () => {
  const world = sharedWorld({ MAX_CONCURRENT_SESSIONS: '1' });

  async function lose() {
    const guestId = randomUUID();
    world.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', times: 1, guestId });
    const lost = await open(world, inputFor(guestId));
    expect(lost.userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }]);
    return { guestId, id: lost.requestId as string };
  }

  it('can be ended by the id of its attempt', async () => {
    const { guestId, id } = await lose();

    const payload = await end(world, { id });

    expect(payload).toMatchObject({ upstreamEnded: true, session: { id, status: 'ENDED' }, userErrors: [] });
    expect(world.cxone.sessions(guestId)).toEqual([]);
    expect((await booksOf(world, guestId)).events.map(({ type }) => type)).toEqual([
      'SESSION_REQUESTED',
      'SESSION_FAILED',
      'SESSION_RECONCILED',
      'SESSION_ENDED',
    ]);
    expect((await open(world, inputFor(guestId))).userErrors).toEqual([]);
  });

  it('is not found where it turns out that there is none', async () => {
    const { guestId, id } = await lose();
    world.cxone.endSession(world.cxone.sessions(guestId)[0]!.sessionId);
    const payload = await end(world, { id });
    expect(payload).toMatchObject({ session: { status: 'FAILED' }, userErrors: [{ code: 'NOT_FOUND' }] });
    expect((await open(world, inputFor(guestId))).userErrors).toEqual([]);
  });

  it.each([403, 500])('cannot be ended while CXone cannot be asked which one it is (%i)', async (status) => {
    const { guestId, id } = await lose();
    world.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status }, guestId });
    expect(await end(world, { id })).toMatchObject({
      session: { status: 'UNKNOWN' },
      upstreamEnded: false,
      userErrors: [{ code: 'OUTCOME_UNKNOWN', stage: 'END', retryable: true, retryAfterSeconds: expect.any(Number) }],
    });
    expect(world.cxone.sessions(guestId)).toHaveLength(1);
  });
});

describe('with API keys', () => {
  const world = sharedWorld({ API_KEYS });
  const openAs = async (role: 'GUEST' | 'BACKEND') => {
    const guestId = randomUUID();
    const { data } = await world.graphql(OPEN, { input: inputFor(guestId) }, bearer(role));
    return { guestId, ...(data.createGuestSession.session as { id: string; sessionId: string }) };
  };

  it('a GUEST ends what its own key has opened, under its name', async () => {
    const { id, guestId } = await openAs('GUEST');
    expect(await end(world, { id, reason: 'I am done' }, bearer('GUEST'))).toMatchObject({
      upstreamEnded: true,
      session: { status: 'ENDED' },
      userErrors: [],
    });
    const { data } = await world.graphql(
      'query ($guestId: String!) { audits(filter: { guestId: $guestId, kind: SESSION_ENDED }) { nodes { actor reason } } }',
      { guestId },
      bearer('OPS'),
    );
    expect(data.audits.nodes).toEqual([{ actor: 'the GUEST key', reason: 'I am done' }]);
  });

  it('a GUEST is told of no session that another key has opened', async () => {
    const { id, sessionId, guestId } = await openAs('BACKEND');
    const unknown = await end(world, { id: randomUUID() }, bearer('GUEST'));
    for (const input of [{ id }, { sessionId }]) expect(await end(world, input, bearer('GUEST'))).toEqual(unknown);
    expect(unknown).toMatchObject({ session: null, userErrors: [{ code: 'NOT_FOUND' }] });
    expect(world.cxone.sessions(guestId)).toHaveLength(1);
  });

  it.each(['BACKEND', 'OPS'] as const)('%s ends what others have opened', async (role) => {
    const { id } = await openAs('GUEST');
    expect(await end(world, { id }, bearer(role))).toMatchObject({ session: { status: 'ENDED' }, userErrors: [] });
  });

  it('CRM may end nothing, and neither may one without a key', async () => {
    const { id, guestId } = await openAs('BACKEND');
    const { data, errors } = await world.graphql(END, { input: { id } }, bearer('CRM'));
    expect(data).toBeNull();
    expect(errors).toMatchObject([{ path: ['endGuestSession'], extensions: { code: 'FORBIDDEN' } }]);
    expect((await world.graphql(END, { input: { id } })).status).toBe(401);
    expect(world.cxone.sessions(guestId)).toHaveLength(1);
  });
});

it('a socket ends no session: like every mutation it is to be sent over HTTP', async () => {
  const { network, guestId, id } = await withSession();
  const result = await new Promise<unknown>((resolve) => {
    const sink = { next: resolve, error: resolve, complete: () => resolve('complete') };
    network.socket().subscribe({ query: END, variables: { input: { id } } }, sink);
  });
  expect(result).toMatchObject([
    { message: expect.stringContaining('over HTTP'), extensions: { code: 'BAD_USER_INPUT' } },
  ]);
  expect(network.cxone.sessions(guestId)).toHaveLength(1);
});

it('a shutdown waits for a session that is being ended', async () => {
  const { network, guestId, id } = await withSession();
  network.cxone.scenarios.add({ on: 'end', fault: { kind: 'slow', delayMs: 200 } });
  const ending = end(network, { id });
  await eventually(() => network.cxone.count('end') === 1);
  await network.app[Symbol.asyncDispose]();

  expect(await ending).toMatchObject({ session: { status: 'ENDED' }, upstreamEnded: true, userErrors: [] });
  const next = await startNetwork({ databaseUrl: network.databaseUrl });
  expect((await booksOf(next, guestId)).sessions).toMatchObject([{ status: 'ENDED' }]);
});
