import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { SandboxSession } from '../../src/sandbox/session-book.js';
import { bearerOf, postSession, sessionPayload } from '../sandbox/requests.js';
import { CHECK_TRAIL, isAtRest, violations } from '../support/check-books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, open } from '../support/network.js';
import { Site } from '../support/server-process.js';

const CAP = 1;
const SETTLED_WITHIN_MS = 15_000;
/** A start takes a second, or several where others are at work. */
const TIMEOUT_MS = 60_000;
/** How late CXone's answer to the reconciler is where a caller is to be before it. */
const LOOK_MS = 1_500;
const LOOKED = 'looked up at CXone what has become of an attempt';

/** What a server that dies there leaves behind. */
type Legacy = 'no session' | 'a session that the books do not have' | 'an answer';

const CRASH_POINTS: readonly { at: string; leaves: Legacy }[] = [
  { at: 'after-reserve', leaves: 'no session' },
  { at: 'before-post', leaves: 'no session' },
  { at: 'after-post', leaves: 'a session that the books do not have' },
  { at: 'before-close', leaves: 'a session that the books do not have' },
  { at: 'after-close', leaves: 'an answer' },
  { at: 'before-webhook', leaves: 'an answer' },
  { at: 'after-webhook', leaves: 'an answer' },
];
const TRACES: Readonly<Record<Legacy, { status: string; audits: string[]; events: string[] }>> = {
  'no session': {
    status: 'FAILED',
    audits: ['SESSION_INITIATION FAILED', 'SESSION_RECONCILED FAILED'],
    events: ['SESSION_REQUESTED', 'SESSION_FAILED'],
  },
  'a session that the books do not have': {
    status: 'ACTIVE',
    audits: ['SESSION_INITIATION FAILED', 'SESSION_RECONCILED SUCCESS'],
    events: ['SESSION_REQUESTED', 'SESSION_RECONCILED'],
  },
  'an answer': {
    status: 'ACTIVE',
    audits: ['SESSION_INITIATION SUCCESS', 'CRM_SYNC SUCCESS'],
    events: ['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNCED'],
  },
};

const END = /* GraphQL */ `
  mutation End($id: ID!) { endGuestSession(input: { id: $id }) { session { status } userErrors { code } } }
`;

const TRACE = /* GraphQL */ `
  query Trace($id: ID!) {
    session(id: $id) { status sessionId audits { kind status } events { type } }
  }
`;

// biome-ignore lint/suspicious/noExplicitAny: the payload is read as `open` gives it
type Payload = any;

const newIntent = () => ({ ...inputFor(), idempotencyKey: randomUUID() });

/** A server opens a session for an intent, and dies over it. @returns the answer, in case there was time for it */
async function openAndDie(site: Site, intent: object, crashAt: string): Promise<Payload | null> {
  const server = await site.start({ CRASH_AT: crashAt });
  const answer = await open(site, intent).catch((error: unknown) => {
    expect(error).toBeInstanceOf(TypeError); // fetch failed
    return null;
  });
  expect(await server.exited).toEqual([null, 'SIGKILL']);
  return answer;
}

/** For a while, until somebody could know better. */
const TWO = /^the (intent|guest) \S+ had 2 live sessions/;

const violationsIn = (site: Site): string[] => violations(site, { maxConcurrentSessions: CAP });

async function expectAgreement(site: Site, { mayHaveHadTwo = false } = {}): Promise<void> {
  await eventually(() => isAtRest(site), SETTLED_WITHIN_MS);
  expect(violationsIn(site).filter((violation) => !(mayHaveHadTwo && TWO.test(violation)))).toEqual([]);
  expect((await site.graphql(CHECK_TRAIL)).data.verifyAuditTrail).toMatchObject({ ok: true });
}

/** The answer to an intent is the one session that it has at CXone, with its token. */
async function expectAnswered(
  site: Site,
  answer: Payload,
  guestId: string,
  { mayHaveHadTwo = false } = {},
): Promise<void> {
  expect(answer.userErrors).toEqual([]);
  const live = site.cxone.sessions(guestId).map(({ sessionId, token }) => ({ sessionId, token }));
  expect(live).toEqual([{ sessionId: answer.session?.sessionId, token: answer.clientToken }]);
  await eventually(() => webhookIds(site, answer.session?.sessionId).length > 0);
  await expectAgreement(site, { mayHaveHadTwo });
}

function webhookIds(site: Site, sessionId: string | undefined): (string | string[] | undefined)[] {
  return site.crm.received
    .filter(({ body }) => (body as { payload: { sessionId: string } }).payload.sessionId === sessionId)
    .map(({ headers }) => headers['webhook-id']);
}

/** The one attempt that the books have. */
const theAttempt = (site: Site): string => site.rows<{ id: string }>('SELECT "id" FROM "GuestSession"')[0]?.id ?? '';

/** Each starts two or three servers: what takes longest is left to `CRASH_POINTS=all npx vitest run test/e2e/crash-points.test.ts`. */
const runsAll = process.env.CRASH_POINTS === 'all';

describe.each(CRASH_POINTS)('after a server that died $at', { timeout: TIMEOUT_MS }, ({ at, leaves }) => {
  it(`the next one finds ${leaves}, writes that down by itself, and gives a retry one session`, async () => {
    const site = await Site.prepare({ env: { MAX_CONCURRENT_SESSIONS: `${CAP}` } });
    const intent = newIntent();
    const first = await openAndDie(site, intent, at);
    const [left] = site.cxone.sessions();
    const heard = site.crm.received.length;

    await site.start();
    await expectAgreement(site);

    const id = theAttempt(site);
    const { session } = (await site.graphql(TRACE, { id })).data;
    expect({
      status: session.status,
      audits: session.audits.map(({ kind, status }: { kind: string; status: string }) => `${kind} ${status}`),
      events: session.events.map(({ type }: { type: string }) => type),
    }).toEqual(TRACES[leaves]);
    expect(session.sessionId).toBe(leaves === 'no session' ? null : left?.sessionId);

    // The guest's one place is held where there is a session, and free where there is none.
    const other = await open(site, { ...intent, idempotencyKey: randomUUID() });
    if (leaves === 'no session') {
      expect(other.userErrors).toEqual([]);
      await site.graphql(END, { id: other.requestId });
    } else {
      expect(other.userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'RESERVE' }]);
    }

    if (leaves === 'an answer') {
      // What was sent before the crash is sent again: nobody lived to write down that it was taken.
      const ids = await eventually(() => {
        const taken = webhookIds(site, left?.sessionId);
        return taken.length > heard && taken;
      });
      expect(new Set(ids).size).toBe(1);
      if (at === 'after-webhook') expect([heard, ids.length]).toEqual([1, 2]);
    }

    const ends = site.cxone.count('end');
    const retried = await open(site, intent);
    await expectAnswered(site, retried, intent.guestId);
    if (first?.session) {
      const { sessionId } = first.session;
      expect(retried).toMatchObject({ session: { sessionId }, clientToken: first.clientToken });
    }
    // A session whose token nobody has is of no use to the guest: it has made room for another.
    expect(site.cxone.count('end') - ends).toBe(leaves === 'a session that the books do not have' ? 1 : 0);
    expect(retried.replayed).toBe(leaves === 'an answer');
    expect(await open(site, intent)).toMatchObject({ ...retried, replayed: true, session: expect.anything() });
  });

  it.runIf(runsAll)('a caller who asks again at once, before it has looked, gets one session', async () => {
    const site = await Site.prepare({ env: { MAX_CONCURRENT_SESSIONS: `${CAP}` } });
    const intent = newIntent();
    await openAndDie(site, intent, at);
    const { looked } = await startWithSlowReconciler(site, { attempts: leaves === 'an answer' ? 0 : 1 });

    const retried = await open(site, intent);

    await looked();
    await expectAnswered(site, retried, intent.guestId);
    expect(retried.replayed).toBe(leaves === 'an answer');
  });
});

interface SlowReconciler {
  /** How many attempts it has to look up. */
  readonly attempts?: number;
  /** How late CXone's answer is. */
  readonly lookMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a server whose reconciler gets late answers from CXone, so that a caller can be before it. */
async function startWithSlowReconciler(site: Site, { attempts = 1, lookMs = LOOK_MS, env }: SlowReconciler = {}) {
  // The first who asks is the reconciler: before it there is no port to send a request to.
  if (attempts > 0) {
    site.cxone.scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs: lookMs }, times: attempts });
  }
  const server = await site.start({ LOG_LEVEL: 'info', ...env });
  const hasLooked = () => server.err.split(LOOKED).length > attempts;
  expect(hasLooked()).toBe(attempts === 0);
  return { hasLooked, looked: () => eventually(hasLooked, SETTLED_WITHIN_MS) };
}

const TENANTS: readonly { tenant: string; cxone: CxoneSandboxOptions }[] = [
  { tenant: 'that tells the token again', cxone: { echoToken: true } },
  { tenant: 'that does not repeat our request id', cxone: { echoAttributes: false } },
];

describe.each(TENANTS)('at a tenant $tenant', { timeout: TIMEOUT_MS }, ({ cxone }) => {
  const isAdopted = cxone.echoToken === true;
  const prepare = () => Site.prepare({ cxone, env: { MAX_CONCURRENT_SESSIONS: `${CAP}` } });

  /** Whether CXone repeats request ids is known from the first session that is surely ours. */
  async function getToKnowTenant(site: Site): Promise<void> {
    expect((await open(site)).userErrors).toEqual([]);
  }

  /** The retry was answered with what the dead server had left, where that has a token; else with another in its place. */
  async function expectOneSession(site: Site, intent: { guestId: string }, retried: Payload, left: SandboxSession) {
    await expectAnswered(site, retried, intent.guestId);
    expect(retried.session.sessionId === left.sessionId).toBe(isAdopted);
    expect(site.cxone.count('end')).toBe(isAdopted ? 0 : 1);
    expect(await open(site, intent)).toMatchObject({
      replayed: true,
      clientToken: retried.clientToken,
      session: { sessionId: retried.session.sessionId },
    });
  }

  it.runIf(runsAll)('the session that a dead server has left is found, and a retry gets one session', async () => {
    const site = await prepare();
    const intent = newIntent();
    await openAndDie(site, intent, 'after-post');
    const [left] = site.cxone.sessions();

    await site.start();
    if (cxone.echoAttributes === false) {
      // Whose the session is cannot be told yet, and nothing is done to it.
      expect((await open(site, intent)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', retryable: true }]);
      expect(site.cxone.sessions()).toEqual([left]);
      await getToKnowTenant(site);
    }
    await expectAgreement(site);
    const retried = await open(site, intent);

    await expectOneSession(site, intent, retried, left!);
    expect(retried.replayed).toBe(isAdopted);
  });

  it.runIf(runsAll)('it is found as well by a caller who asks again before the reconciler has looked', async () => {
    const site = await prepare();
    const intent = newIntent();
    await openAndDie(site, intent, 'before-close');
    const [left] = site.cxone.sessions();
    const { looked } = await startWithSlowReconciler(site);
    await getToKnowTenant(site);

    const retried = await open(site, intent);

    await looked();
    await expectOneSession(site, intent, retried, left!);
  });

  it('or by both at the same time', async () => {
    const site = await prepare();
    const intent = newIntent();
    await openAndDie(site, intent, 'before-close');
    const [left] = site.cxone.sessions();
    const { looked, hasLooked } = await startWithSlowReconciler(site);
    await getToKnowTenant(site);
    // Should the retry look as well, it sees what the reconciler sees, and hears of it later.
    site.cxone.scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs: LOOK_MS + 500 }, times: 1 });

    expect(hasLooked()).toBe(false);
    const retrying = open(site, intent);
    await looked();
    site.cxone.scenarios.clear();
    const retried = await retrying;

    await expectOneSession(site, intent, retried, left!);
  });
});

describe('a POST that was on the wire when the server died', { timeout: TIMEOUT_MS }, () => {
  it('is worked through by CXone all the same, and the books agree with it in the end', async () => {
    const site = await Site.prepare();
    const intent = newIntent();
    const server = await site.start();
    // May come before the next server has looked, or after.
    const fault = { kind: 'slow', delayMs: 2_000 } as const;
    site.cxone.scenarios.add({ on: 'create', when: 'before', fault, times: 1 });
    const answer = open(site, intent).catch(() => null);
    await eventually(() => site.cxone.calls.some(({ call, guestId }) => call === 'create' && guestId !== null));
    await server.end('SIGKILL');
    expect([await answer, site.cxone.history()]).toEqual([null, []]);

    await site.start();
    await eventually(() => site.cxone.history().length === 1, SETTLED_WITHIN_MS);
    await eventually(() => isAtRest(site) && violationsIn(site).length === 0, SETTLED_WITHIN_MS);

    await expectAnswered(site, await open(site, intent), intent.guestId);
  });

  /** CXone gets round to the POST of the one attempt that the books have. */
  async function arriveLate(site: Site, { guestId }: { guestId: string }): Promise<void> {
    const id = theAttempt(site);
    const payload = sessionPayload(guestId, id);
    const taken = await postSession(site.cxone, await bearerOf(site.cxone), payload, { 'x-request-id': id });
    expect(taken.status).toBe(201);
  }

  it.runIf(runsAll)('is ended where the next server has looked before it came', async () => {
    const site = await Site.prepare({ env: { MAX_CONCURRENT_SESSIONS: `${CAP}` } });
    const intent = newIntent();
    await openAndDie(site, intent, 'before-post');
    await site.start();
    await expectAgreement(site);

    await arriveLate(site, intent);
    await eventually(() => site.cxone.sessions().length === 0, SETTLED_WITHIN_MS);

    await expectAgreement(site);
    const { session } = (await site.graphql(TRACE, { id: theAttempt(site) })).data;
    expect(session).toMatchObject({ status: 'FAILED', sessionId: null });
    expect(session.events.at(-1).type).toBe('SESSION_RECONCILED');
    await expectAnswered(site, await open(site, intent), intent.guestId);
  });

  it.runIf(runsAll)('is ended as well where a retry was answered before it came: the answer stands', async () => {
    const site = await Site.prepare({ env: { MAX_CONCURRENT_SESSIONS: `${CAP}` } });
    const intent = newIntent();
    await openAndDie(site, intent, 'before-post');
    const attempt = theAttempt(site);
    await site.start();
    const retried = await open(site, intent);
    expect(retried.userErrors).toEqual([]);

    const payload = sessionPayload(intent.guestId, attempt);
    await postSession(site.cxone, await bearerOf(site.cxone), payload, { 'x-request-id': attempt });
    expect(site.cxone.sessions()).toHaveLength(2);
    await eventually(() => site.cxone.sessions().length === 1, SETTLED_WITHIN_MS);

    expect(site.cxone.sessions()).toMatchObject([{ sessionId: retried.session.sessionId, token: retried.clientToken }]);
    expect(await open(site, intent)).toMatchObject({ replayed: true, clientToken: retried.clientToken });
    await eventually(() => isAtRest(site), SETTLED_WITHIN_MS);
    // Nobody who looks at CXone before it comes can know of it: there were two for as long as it took to look again.
    expect(violationsIn(site)).toEqual([
      expect.stringContaining('had 2 live sessions'),
      expect.stringContaining(`the guest ${intent.guestId} had 2 live sessions`),
    ]);
  });

  it.runIf(runsAll)(
    'does no harm where what was seen before it came is heard after: one session, and that is the answer',
    async () => {
      const site = await Site.prepare({ cxone: { echoToken: true } });
      const intent = newIntent();
      await openAndDie(site, intent, 'before-post');
      const { looked, hasLooked } = await startWithSlowReconciler(site);
      await arriveLate(site, intent);
      expect(hasLooked()).toBe(false);

      const retried = await open(site, intent);

      await looked();
      // Whether the answer is the one that came late, or another.
      expect(retried.userErrors).toEqual([]);
      await eventually(() => site.cxone.sessions().length === 1, SETTLED_WITHIN_MS);
      await eventually(() => isAtRest(site), SETTLED_WITHIN_MS);
      await expectAnswered(site, retried, intent.guestId, { mayHaveHadTwo: true });
    },
  );
});

it('a crash point is refused in production', async () => {
  const site = await Site.prepare();

  const API_KEYS = JSON.stringify([{ name: 'ops', role: 'OPS', sha256: '0'.repeat(64) }]);
  const server = site.spawn({ CRASH_AT: 'after-post', NODE_ENV: 'production', API_KEYS });

  expect(await server.exited).toEqual([1, null]);
  expect(server.err).toBe(
    'The settings are not valid:\n  - CRASH_AT: is for tests and is refused when NODE_ENV is production\n',
  );
});
