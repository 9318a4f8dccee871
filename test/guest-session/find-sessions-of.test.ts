import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { findSessionsOf, type Suspect } from '../../src/guest-session/find-sessions-of.js';
import type { Ports } from '../../src/guest-session/ports.js';
import { RequestIdEcho } from '../../src/guest-session/request-id-echo.js';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { GUEST, inTime, outcomeOf, payloadOf, startClient, status, stepsThat } from '../cxone/client.js';
import { attemptFor, openBooks, openSession, success } from '../store/ledger.js';
import { echoOf } from './echo.js';

const MINUTE_MS = 60_000;
/** What an attempt opens may appear so long after its deadline. */
const ARRIVAL_MARGIN_MS = 15_000;
/** CXone's clock may be so far behind ours. */
const SKEW_MS = 5_000;

/** A tenant and our books; sessions are opened there as an attempt of ours does, or as others do. */
async function start(tenant: CxoneSandboxOptions = {}) {
  const { sandbox, client } = await startClient({ sandbox: tenant });
  const books = await openBooks();
  const echo = echoOf(tenant);
  const rules = { createDeadlineMs: MINUTE_MS - ARRIVAL_MARGIN_MS, listLagMs: 0 } as Ports['rules'];
  const ports = { cxone: client, ledger: books.attempts, sessions: books.sessions, echo, rules };
  const suspect: Suspect = {
    requestId: randomUUID(),
    guestId: GUEST,
    openedAt: new Date(),
    sessionId: null,
    known: null,
    mayGuess: true,
  };
  return {
    sandbox,
    client,
    books,
    suspect,
    post: async (requestId = suspect.requestId) =>
      (await client.createSession(payloadOf(requestId), inTime(), stepsThat())).sessionId,
    find: async (change: Partial<Suspect> = {}) =>
      (await findSessionsOf({ ...suspect, ...change }, inTime(), ports)).map(({ sessionId }) => sessionId),
  };
}

const isUnknown = { code: 'OUTCOME_UNKNOWN', retryable: false };
const ago = (ms: number) => new Date(Date.now() - ms);

describe('where CXone repeats request ids', () => {
  it('the sessions of an attempt are those that carry its own', async () => {
    const { sandbox, post, find } = await start();
    sandbox.addSession(GUEST);
    await post(randomUUID());
    expect(await find()).toEqual([]);
    const first = await post();
    expect(await find()).toEqual([first]);
    expect(await find({ mayGuess: false })).toEqual([first]);
  });

  it('there are two when a POST that was given up for lost has arrived late', async () => {
    const { post, find } = await start();
    const [first, second] = [await post(), await post()];
    expect(await find()).toEqual([first, second]);
  });

  it('one that is over is none', async () => {
    const { sandbox, post, find } = await start();
    sandbox.endSession(await post());
    expect(await find()).toEqual([]);
  });

  it('a session without one is not ours, once a list has shown any', async () => {
    const { sandbox, post, find } = await start();
    const foreign = sandbox.addSession(GUEST);
    const other = await post(randomUUID());
    expect(await find()).toEqual([]);

    sandbox.endSession(other);
    expect(await find()).toEqual([]);
    expect(sandbox.sessions(GUEST)).toMatchObject([{ sessionId: foreign.sessionId }]);
  });
});

describe('where no list has shown yet whether CXone repeats request ids', () => {
  it('a session without one may be anybody’s: none is taken', async () => {
    const { sandbox, find } = await start();
    expect(await find()).toEqual([]);
    sandbox.addSession(GUEST);
    expect(await outcomeOf(find())).toMatchObject(isUnknown);
  });

  /** A tenant that repeats none, which nobody has heard yet, with a lost session and one of another guest. */
  async function unheard() {
    const { client, books, suspect, sandbox } = await start({ echoAttributes: false });
    const ports = {
      cxone: client,
      ledger: books.attempts,
      sessions: books.sessions,
      echo: new RequestIdEcho(),
      rules: { createDeadlineMs: 1_000, listLagMs: 0 } as Ports['rules'],
    };
    const openFor = async (guestId: string) => {
      const payload = { ...payloadOf(randomUUID()), guestId };
      const created = await client.createSession(payload, inTime(), stepsThat());
      await openSession(books, guestId, { status: 'SUCCESS', created });
      return created.sessionId;
    };
    const find = async () => (await findSessionsOf(suspect, inTime(), ports)).map(({ sessionId }) => sessionId);
    const lose = async () => (await client.createSession(payloadOf(), inTime(), stepsThat())).sessionId;
    return { sandbox, books, echo: ports.echo, openFor, find, lose };
  }

  it('a list that shows a session of ours without one tells that it does not', async () => {
    const { openFor, lose, find, echo } = await unheard();
    await openFor(GUEST);
    const lost = await lose();
    expect(await find()).toEqual([lost]);
    expect(echo.isHeard).toBe(false);
  });

  it('so does that of another guest who has a session of ours', async () => {
    const { openFor, lose, find, echo } = await unheard();
    await openFor(randomUUID());
    const lost = await lose();
    expect(await find()).toEqual([lost]);
    expect(echo.isHeard).toBe(false);
  });

  it('one that turns out to be over is ended in the books, so that the next is asked for', async () => {
    const { sandbox, books, openFor, lose, find } = await unheard();
    await openFor(randomUUID());
    for (let over = 0; over < 2; over += 1) sandbox.endSession(await openFor(randomUUID()));
    const lost = await lose();
    for (let looks = 0; looks < 2; looks += 1) expect(await outcomeOf(find())).toMatchObject(isUnknown);
    expect(await find()).toEqual([lost]);
    expect(books.count('GuestSession', `"status" = 'ENDED'`)).toBe(2);
  });

  it('it is unknown while the other guest’s sessions cannot be listed', async () => {
    const { sandbox, openFor, lose, find } = await unheard();
    const guestId = randomUUID();
    await openFor(guestId);
    await lose();
    sandbox.scenarios.add({ on: 'list', fault: { kind: 'status', status: 500 }, guestId });
    expect(await outcomeOf(find())).toMatchObject({ ...isUnknown, detail: expect.stringContaining('cannot be asked') });
  });
});

describe('where CXone does not repeat request ids', () => {
  const TENANT = { echoAttributes: false };

  it('the one session that appeared since is taken for the attempt’s own', async () => {
    const { post, find } = await start(TENANT);
    expect(await find()).toEqual([]);
    const own = await post();
    expect(await find()).toEqual([own]);
    expect(await find({ known: [] })).toEqual([own]);
  });

  it('a session that was there before is not: by what was known then, or by its time', async () => {
    const { sandbox, client, find } = await start(TENANT);
    sandbox.addSession(GUEST);
    const known = await client.listActiveSessions(GUEST, inTime());
    if (known === 'SKIPPED') throw new Error('the list was refused');
    expect(await find({ known })).toEqual([]);
    expect(await find({ openedAt: new Date(Date.now() + MINUTE_MS + 1_000) })).toEqual([]);
  });

  it('clocks that are further apart than usual make it unclear, if it is not known what was there before', async () => {
    const { post, find } = await start(TENANT);
    const own = await post();
    for (const openedAt of [new Date(Date.now() + SKEW_MS + 1_000), ago(MINUTE_MS + 1_000)]) {
      expect(await outcomeOf(find({ openedAt }))).toMatchObject(isUnknown);
      expect(await find({ openedAt, known: [] })).toEqual([own]);
    }
  });

  it('but clocks may differ by seconds', async () => {
    const { post, find } = await start(TENANT);
    const own = await post();
    expect(await find({ openedAt: new Date(Date.now() + SKEW_MS - 1_000) })).toEqual([own]);
  });

  it('one that appeared long after it is not either', async () => {
    const { sandbox, find } = await start(TENANT);
    const { sessionId } = sandbox.addSession(GUEST);
    expect(await find({ openedAt: ago(2 * MINUTE_MS + 1_000) })).toEqual([]);
    expect(await find({ openedAt: ago(MINUTE_MS - 2_000) })).toEqual([sessionId]);
  });

  it('one that another attempt owns is not, be that live or over', async () => {
    const { books, post, find } = await start(TENANT);
    const theirs = success();
    if (theirs.status !== 'SUCCESS') throw new Error('no success');
    await openSession(books, GUEST, { ...theirs, created: { ...theirs.created, sessionId: await post(randomUUID()) } });
    expect(await find()).toEqual([]);
    const own = await post();
    expect(await find()).toEqual([own]);
  });

  it('of two that appeared none is taken: which one it is cannot be told', async () => {
    const { sandbox, post, find } = await start(TENANT);
    await post();
    sandbox.addSession(GUEST);
    expect(await outcomeOf(find())).toMatchObject({
      ...isUnknown,
      detail: 'CXone lists 2 session(s) without a request id, for this attempt and 0 other(s)',
    });
  });

  it('while another attempt of the guest has no session yet, none is taken: it may be that one’s', async () => {
    const { books, suspect, post, find } = await start(TENANT);
    const rival = attemptFor(GUEST);
    await books.attempts.reserve(rival.attempt, rival.request);
    expect(await find()).toEqual([]); // nothing has appeared, for whomsoever
    const own = await post();
    expect(await outcomeOf(find())).toMatchObject({ ...isUnknown, detail: expect.stringContaining('1 other(s)') });

    rival.attempt.reserved = true;
    await books.attempts.close(rival.attempt, success());
    expect(await find()).toEqual([own]);
    expect(suspect.sessionId).toBeNull();
  });

  it('its own reservation is no rival, and neither is another guest’s', async () => {
    const { books, post, find } = await start(TENANT);
    const [own, stranger] = [attemptFor(GUEST), attemptFor()];
    for (const { attempt, request } of [own, stranger]) await books.attempts.reserve(attempt, request);
    const { requestId } = own.attempt;
    const sessionId = await post(requestId);
    expect(await find({ requestId })).toEqual([sessionId]);
  });

  it('where it gives no times either, it takes what was known before the POST to tell', async () => {
    const { sandbox, find } = await start(TENANT);
    const list = (...ids: string[]) => {
      const items = ids.map((sessionId) => ({ sessionId, guestId: GUEST, status: 'active' }));
      sandbox.scenarios.clear();
      sandbox.scenarios.add({ on: 'list', fault: status(200, JSON.stringify({ items })) });
    };
    list('cxs_1');
    expect(await outcomeOf(find())).toMatchObject(isUnknown);
    const before = {
      sessionId: 'cxs_1',
      requestId: null,
      createdAt: null,
      expiresAt: null,
      clientToken: null,
      namesGuest: true,
    };
    list('cxs_1', 'cxs_2');
    expect(await find({ known: [before] })).toEqual(['cxs_2']);
    list('cxs_1');
    expect(await find({ known: [before] })).toEqual([]);
  });

  it('the session that the books have of it is its own, whenever it was opened and whatever else appeared', async () => {
    const { sandbox, post, find } = await start(TENANT);
    const sessionId = await post();
    sandbox.addSession(GUEST);
    expect(await find({ sessionId, openedAt: ago(2 * MINUTE_MS) })).toEqual([sessionId]);
    expect(await find({ sessionId, mayGuess: false })).toEqual([sessionId]);
  });

  it('nothing is guessed where it may not be', async () => {
    const { post, find } = await start(TENANT);
    await post();
    expect(await find({ mayGuess: false })).toEqual([]);
  });
});

it.each([
  ['cannot be asked', { kind: 'status', status: 500 } as const, 'CXone cannot be asked: CXone answered 500'],
  ['asks to wait', { kind: 'rate-limit', retryAfter: '3600' } as const, 'CXone cannot be asked: CXone answered 429'],
  ['gives no list', { kind: 'wrong-shape' } as const, 'CXone cannot be asked: the session list has no readable items'],
  ['lets nobody list', { kind: 'status', status: 403 } as const, 'CXone does not let us list sessions'],
])('while CXone %s it is unknown', async (_what, fault, detail) => {
  const { sandbox, post, find } = await start();
  await post();
  sandbox.scenarios.add({ on: 'list', fault });
  expect(await outcomeOf(find())).toMatchObject({ ...isUnknown, detail: expect.stringContaining(detail) });
});
