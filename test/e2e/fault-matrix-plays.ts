import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { SandboxCall } from '../../src/sandbox/faults.js';
import { booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open } from '../support/network.js';
import type { ClearCell, EndCell, OpenCell, Refusal } from './fault-matrix.js';

/** What happens to CXone for a while. */
export interface Weather {
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** What the books say of a guest, oldest first. */
interface Story {
  /** Where each attempt stands. */
  readonly rows: readonly string[];
  readonly events: readonly string[];
  readonly audits: readonly string[];
}

const OPENED: Story = {
  rows: ['ACTIVE'],
  events: ['SESSION_REQUESTED PENDING', 'SESSION_INITIATED ACTIVE', 'SESSION_CRM_SYNCED ACTIVE'],
  audits: ['SESSION_INITIATION SUCCESS', 'CRM_SYNC SUCCESS'],
};
/** Of a lost answer: there is a session. */
const RECONCILED: Story = {
  rows: ['ACTIVE'],
  events: ['SESSION_RECONCILED ACTIVE'],
  audits: ['SESSION_RECONCILED SUCCESS'],
};
/** Of a lost answer: there is a session with its token, which is the answer now. */
const ADOPTED: Story = {
  rows: ['ACTIVE'],
  events: [...RECONCILED.events, 'SESSION_INITIATED ACTIVE', 'SESSION_CRM_SYNCED ACTIVE'],
  audits: [...RECONCILED.audits, 'CRM_SYNC SUCCESS'],
};
/** Of a lost answer: there is no session. */
const NOTHING_THERE: Story = {
  rows: ['FAILED'],
  events: ['SESSION_RECONCILED FAILED'],
  audits: ['SESSION_RECONCILED FAILED'],
};
const ENDED: Story = { rows: ['ENDED'], events: ['SESSION_ENDED ENDED'], audits: ['SESSION_ENDED SUCCESS'] };
/** An order to end a session that came to nothing. */
const notEnded = (code: Refusal['code']): Story => ({ rows: [], events: [], audits: [`SESSION_ENDED FAILED ${code}`] });
/** A retry that does not get as far as to take a place. */
const RETRY_REFUSED: Story = {
  rows: [],
  events: ['SESSION_FAILED -'],
  audits: ['SESSION_INITIATION FAILED OUTCOME_UNKNOWN'],
};

function refusedWith(code: Refusal['code']): Story {
  const status = code === 'OUTCOME_UNKNOWN' ? 'UNKNOWN' : 'FAILED';
  return {
    rows: [status],
    events: ['SESSION_REQUESTED PENDING', `SESSION_FAILED ${status}`],
    audits: [`SESSION_INITIATION FAILED ${code}`],
  };
}

/** One after the other: a session that is opened is another one, and all else happens to the one before. */
function story(first: Story, ...more: readonly Story[]): Story {
  return more.reduce(
    (before, next) => ({
      rows:
        next === OPENED
          ? [...before.rows, ...next.rows]
          : [...before.rows.slice(0, -1), next.rows[0] ?? before.rows.at(-1)!],
      events: [...before.events, ...next.events],
      audits: [...before.audits, ...next.audits],
    }),
    first,
  );
}

/** Why our books may be behind CXone, or the guest have two sessions. */
const GONE_UNSEEN = 'CXone has ended it, and could not say so';
const NOT_ENDED = 'CXone says that it has ended it, or that there is none, or that it ends none';
const TWO_INTENTS = 'there are two intents';

/** A request for a session. */
export async function opens(network: Network, cell: OpenCell, weather?: Weather): Promise<void> {
  const { cxone } = network;
  const { refusal, calls, posts = calls.create, capacityCheck, excuse } = cell;
  const guestId = randomUUID();
  const input = { ...inputFor(guestId), ...(!cell.isKeyless && { idempotencyKey: randomUUID() }) };
  const trouble = weather ?? scenarios(cxone, guestId, cell.meets);
  if (cell.token === 'none yet') await forgetToken(network);

  const arrived = countingCalls(network, guestId, cell.token !== undefined);
  await trouble.begin();
  const payload = await open(network, input);
  await trouble.end();

  expect(arrived()).toEqual({ ...calls, end: 0 });
  const [left] = cxone.sessions(guestId);
  expect(cxone.sessions(guestId)).toHaveLength(cell.live);
  expect(cxone.history(guestId)).toHaveLength(cell.live);
  if (refusal === null) {
    expect(payload.replayed).toBe(false);
    expectSession(network, payload, { guestId, attempts: posts });
    const { sessions, audits } = await expectBooks(network, guestId, OPENED, excuse);
    const { id, sessionId, expiresAt } = payload.session;
    expect(sessions[0]).toMatchObject({ id, sessionId, expiresAt, attempts: posts, failureCode: null });
    expect(audits.at(-1)).toMatchObject({ requestId: payload.requestId, attempts: posts, capacityCheck });
    await expectReplay(network, input, payload);
    await expectBooks(network, guestId, OPENED, excuse);
    return;
  }

  const sessionId = cell.isFound ? left?.sessionId : null;
  const refused = refusedWith(refusal.code);
  expectRefusal(payload, refusal);
  const books = await expectBooks(network, guestId, refused, excuse);
  const told = { requestId: payload.requestId, sessionId };
  expect(books.sessions[0]).toMatchObject({ ...told, attempts: posts, failureCode: refusal.code, crmSync: 'DISABLED' });
  expect(books.audits[0]).toMatchObject({ ...told, attempts: posts, capacityCheck });
  expect(books.events[1]).toMatchObject({ ...told, reason: refusal.code });

  await sleep(cell.outlastedMs ?? 0);
  // No fault locks a guest out: when CXone is well the same request gets a session, or is told why not.
  const since = countingCalls(network, guestId);
  const again = await open(network, input);
  const { create, end: ended } = since();
  switch (cell.again) {
    case 'opens': {
      expect([create, ended]).toEqual([1, 0]);
      const isSettled = refusal.code === 'OUTCOME_UNKNOWN' && !cell.isKeyless;
      const opened = story(refused, ...(isSettled ? [NOTHING_THERE] : []), OPENED);
      await expectGuest(network, again, { guestId, live: cell.live + 1, told: opened, excuse });
      return expectReplay(network, input, cell.isKeyless ? null : again);
    }
    case 'replaces':
      expect([create, ended]).toEqual([1, 1]);
      await expectGuest(network, again, { guestId, live: 1, told: story(refused, RECONCILED, ENDED, OPENED) });
      return expectReplay(network, input, again);
    case 'adopts':
      expect([create, ended]).toEqual([0, 0]);
      expect(again).toMatchObject({ replayed: true, requestId: payload.requestId });
      await expectGuest(network, again, { guestId, live: 1, told: story(refused, ADOPTED) });
      return expectReplay(network, input, again);
    case 'stays held': {
      expect(create).toBe(0);
      expect(cxone.sessions(guestId)).toHaveLength(cell.live);
      expectRefusal(again, { ...refusal, stage: 'RECOGNISE' });
      const held = story(refused, ...(cell.isFound ? [RECONCILED] : []), RETRY_REFUSED);
      await expectBooks(network, guestId, held);

      // Nothing but its place is held: another intent of the guest gets a session.
      const other = await open(network, { ...input, idempotencyKey: randomUUID() });
      const live = cell.live + 1;
      await expectGuest(network, other, { guestId, live, told: story(held, OPENED), excuse: TWO_INTENTS });
    }
  }
}

/** A retry that has to clear away what a lost answer has left. */
export async function clears(network: Network, cell: ClearCell): Promise<void> {
  const { cxone } = network;
  const { refusal } = cell;
  const guestId = randomUUID();
  const input = { ...inputFor(guestId), idempotencyKey: randomUUID() };
  cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', times: 1, guestId });
  expect((await open(network, input)).userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN' }]);
  const lost = refusedWith('OUTCOME_UNKNOWN');
  const trouble = scenarios(cxone, guestId, cell.meets);

  const arrived = countingCalls(network, guestId);
  await trouble.begin();
  const payload = await open(network, input);
  await trouble.end();

  expect(arrived()).toMatchObject({ create: refusal ? 0 : 1, end: cell.orders });
  if (refusal === null) {
    await expectGuest(network, payload, { guestId, live: 1, told: story(lost, RECONCILED, ENDED, OPENED) });
    return expectReplay(network, input, payload);
  }
  expectRefusal(payload, refusal);
  expect(cxone.sessions(guestId)).toHaveLength(cell.isLive ? 1 : 0);
  const refused = story(lost, ...(cell.isSettled ? [RECONCILED] : []), RETRY_REFUSED);
  const { audits } = await expectBooks(network, guestId, refused, cell.isLive ? undefined : GONE_UNSEEN);
  expect(audits[0]).toMatchObject({ requestId: payload.requestId, attempts: 0, capacityCheck: null });

  const again = await open(network, input);
  const cleared = story(refused, ...(cell.isSettled ? [] : [RECONCILED]), ENDED, OPENED);
  await expectGuest(network, again, { guestId, live: 1, told: cleared });
  return expectReplay(network, input, again);
}

const END = /* GraphQL */ `
  mutation End($input: EndGuestSessionInput!) {
    endGuestSession(input: $input) {
      upstreamEnded
      session { id sessionId status endedAt }
      userErrors { code message field stage retryable retryAfterSeconds }
    }
  }
`;

/** Ends a session and gives the payload. */
export async function end(network: Network, input: object): Promise<Payload> {
  const { data, errors } = await network.graphql(END, { input });
  if (!data) throw new Error(`endGuestSession gave no data: ${JSON.stringify(errors)}`);
  return data.endGuestSession;
}

/** An order to end a session. */
export async function ends(network: Network, cell: EndCell, weather?: Weather): Promise<void> {
  const { cxone } = network;
  const { refusal, isLive } = cell;
  const guestId = randomUUID();
  const input = { ...inputFor(guestId), idempotencyKey: randomUUID() };
  const { session } = await open(network, input);
  const { id, sessionId } = session;
  await expectBooks(network, guestId, OPENED);
  const order = (by: object) => end(network, { ...by, reason: 'the guest has left' });
  const untilThen = refusal ? story(OPENED, notEnded(refusal.code)) : OPENED;
  const trouble = weather ?? scenarios(cxone, guestId, cell.meets);

  const arrived = countingCalls(network, guestId, cell.token !== undefined);
  await trouble.begin();
  let payload = await order({ id });
  await trouble.end();

  expect(arrived()).toEqual({ ...cell.calls, list: 0, create: 0 });
  expect(cxone.sessions(guestId)).toHaveLength(isLive ? 1 : 0);
  if (refusal) {
    const unchanged = { id, sessionId, status: 'ACTIVE', endedAt: null };
    expect(payload).toMatchObject({ upstreamEnded: false, session: unchanged });
    expectUserErrors(payload.userErrors, refusal);
    await expectBooks(network, guestId, untilThen, isLive ? undefined : GONE_UNSEEN);

    const since = countingCalls(network, guestId);
    payload = await order({ sessionId });
    expect(since()).toEqual({ list: 0, create: 0, end: 1 });
    expect(cxone.sessions(guestId)).toEqual([]);
  }
  // What was over at CXone before is over, and CXone has not ended it at our word.
  expect(payload.upstreamEnded).toBe(refusal ? isLive : cell.upstreamEnded);
  expect(payload).toMatchObject({ session: { id, sessionId, status: 'ENDED' }, userErrors: [] });
  expect(Date.parse(payload.session.endedAt)).not.toBeNaN();
  const excuse = isLive && !refusal ? NOT_ENDED : undefined;
  const over = story(untilThen, ENDED);
  const { audits, events } = await expectBooks(network, guestId, over, excuse);
  expect(events.at(-1).reason).toBe('the guest has left');
  expect(audits[0].reason).toMatch(payload.upstreamEnded ? /^the guest has left$/ : /^the guest has left; CXone /);

  // To end it again changes nothing, and its token is gone.
  const since = countingCalls(network, guestId);
  expect(await order({ sessionId })).toEqual(payload);
  expect(await open(network, input)).toMatchObject({
    replayed: true,
    clientToken: null,
    session: { id, status: 'ENDED' },
    userErrors: [],
  });
  expect(since()).toEqual({ list: 0, create: 0, end: 0 });
  await expectBooks(network, guestId, over, excuse);

  // And its place is free.
  if (excuse !== undefined) return;
  const other = await open(network, { ...input, idempotencyKey: randomUUID() });
  await expectGuest(network, other, { guestId, live: 1, told: story(over, OPENED) });
}

// biome-ignore lint/suspicious/noExplicitAny: an answer of GraphQL
type Payload = any;

/** What the sandbox gives out as tokens of guests. */
const TOKEN = /ctk_/;

/** An answer with the session and its token, which are those of CXone. */
function expectSession({ cxone }: Network, payload: Payload, known: { guestId: string; attempts: number }): void {
  expect(payload).toMatchObject({ userErrors: [], session: { ...known, status: 'ACTIVE' } });
  const there = cxone.sessions(known.guestId).find(({ sessionId }) => sessionId === payload.session.sessionId);
  expect(payload.clientToken).toBe(there?.token);
  expect(Date.parse(payload.session.expiresAt)).toBe(there?.expiresAt.getTime());
  expect(there?.requestId).toBe(payload.requestId);
  expect(JSON.stringify({ ...payload, clientToken: null })).not.toMatch(TOKEN);
}

/** The guest has a session, after all. */
async function expectGuest(
  network: Network,
  payload: Payload,
  { guestId, live, told, excuse }: { guestId: string; live: number; told: Story; excuse?: string | undefined },
): Promise<void> {
  expectSession(network, payload, { guestId, attempts: 1 });
  expect(network.cxone.sessions(guestId)).toHaveLength(live);
  await expectBooks(network, guestId, told, excuse);
}

/** The same intent gets the same answer, and CXone hears nothing of it. Null: there was no key. */
async function expectReplay(network: Network, input: { guestId: string }, answer: Payload | null): Promise<void> {
  if (answer === null) return;
  const since = countingCalls(network, input.guestId);
  const { sessionId } = answer.session;
  const session = expect.objectContaining({ sessionId, status: 'ACTIVE' });
  expect(await open(network, input)).toEqual({ ...answer, replayed: true, session });
  expect(since()).toMatchObject({ create: 0, end: 0 });
}

function expectRefusal(payload: Payload, refusal: Refusal): void {
  expect(payload).toMatchObject({ session: null, clientToken: null, replayed: false });
  expect(JSON.stringify(payload)).not.toMatch(TOKEN);
  expectUserErrors(payload.userErrors, refusal);
}

function expectUserErrors(userErrors: Payload, { code, stage, retryable, retryAfter }: Refusal): void {
  const [{ retryAfterSeconds }] = userErrors;
  const message = expect.stringMatching(/\.$/);
  expect(userErrors).toEqual([{ code, stage, retryable, field: null, message, retryAfterSeconds }]);
  if (retryAfter !== 'some') expect(retryAfterSeconds).toBe(retryAfter);
  else expect(retryAfterSeconds >= 0 && retryAfterSeconds < 60).toBe(true);
}

/**
 * The books tell this story of a guest, and agree with CXone.
 * @param excuse why two sessions may be live at one time, or the books not agree with CXone
 */
async function expectBooks(network: Network, guestId: string, told: Story, excuse?: string) {
  const { cxone, crm } = network;
  const books = await eventually(async () => {
    const now = await booksOf(network, guestId);
    return now.sessions.every(({ crmSync }) => crmSync !== 'PENDING') && now;
  });
  const rows = books.sessions.toReversed();
  // That an answer was given again is in the trail, and changes nothing else.
  const audits = books.audits.toReversed().filter(({ kind }) => kind !== 'SESSION_REPLAYED');
  expect({
    rows: rows.map(({ status }) => status),
    events: books.events.map(({ type, status }) => `${type} ${status ?? '-'}`),
    audits: audits.map(({ kind, status, errorCode }) => [kind, status, errorCode].filter(Boolean).join(' ')),
  }).toEqual(told);

  const history = cxone.history(guestId);
  const live = new Set(cxone.sessions(guestId).map(({ sessionId }) => sessionId));
  for (const { id, sessionId, status } of rows) {
    if (sessionId === null) continue;
    expect(history.find((session) => session.sessionId === sessionId)?.requestId).toBe(id);
    if (excuse === undefined) expect(live.has(sessionId)).toBe(status !== 'ENDED');
  }
  if (excuse === undefined) expect(mostAtATime(history)).toBeLessThan(2);

  const webhooks = crm.received.filter(({ rawBody }) => rawBody.includes(guestId));
  expect(webhooks).toHaveLength(told.events.filter((event) => event.startsWith('SESSION_CRM_SYNCED')).length);
  return books;
}

/** How many sessions were live together. One that ended in the millisecond in which another began was gone by then. */
function mostAtATime(history: ReturnType<CxoneSandbox['history']>): number {
  const liveWhen = (at: Date) =>
    history.filter(({ createdAt, endedAt }) => createdAt <= at && (endedAt === null || endedAt > at)).length;
  return Math.max(0, ...history.map(({ createdAt }) => liveWhen(createdAt)));
}

/** Counts what arrives at CXone for a guest from now on. */
function countingCalls({ cxone }: Network, guestId: string, countsTokens = false) {
  const before = cxone.calls.length;
  return () => {
    const calls = cxone.calls.slice(before);
    const count = (kind: SandboxCall, of: string | null) =>
      calls.filter((call) => call.call === kind && call.guestId === of).length;
    return {
      ...(countsTokens && { token: count('token', null) }),
      list: count('list', guestId),
      create: count('create', guestId),
      end: count('end', guestId),
    };
  };
}

/** Scenarios for one guest, which leave those of others alone. */
function scenarios({ scenarios: active }: CxoneSandbox, guestId: string, meets: OpenCell['meets']): Weather {
  return {
    begin: async () => {
      for (const trouble of meets) active.add({ ...trouble, ...(trouble.on !== 'token' && { guestId }) });
    },
    end: async () => {
      const others = active.list().filter((scenario) => scenario.on !== 'token' && scenario.guestId !== guestId);
      active.clear();
      for (const scenario of others) active.add(scenario);
    },
  };
}

/** Makes the server drop its token, and get no other. */
async function forgetToken(network: Network): Promise<void> {
  const refusing = scenarios(network.cxone, '', [{ on: 'token', fault: { kind: 'status', status: 401 } }]);
  network.cxone.revokeTokens();
  await refusing.begin();
  expect((await open(network)).userErrors).toMatchObject([{ code: 'CXONE_AUTH_FAILED' }]);
  await refusing.end();
}
