import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { Outcome, Ports } from '../../src/guest-session/ports.js';
import { type SettledAttempt, settleAttempt } from '../../src/guest-session/settle-attempt.js';
import { SingleFlight } from '../../src/guest-session/single-flight.js';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { GUEST, inTime, outcomeOf, payloadOf, startClient, status, stepsThat } from '../cxone/client.js';
import { actor, attemptFor, openBooks, success } from '../store/ledger.js';
import { echoOf } from './echo.js';

const UNKNOWN: Outcome = { status: 'FAILED', error: new AttemptError('OUTCOME_UNKNOWN'), stage: 'CREATE' };
const UNAVAILABLE: Outcome = { status: 'FAILED', error: new AttemptError('CXONE_UNAVAILABLE'), stage: 'CREATE' };

/** A tenant, our books, and an attempt in them. @param outcome null for one that was interrupted */
async function start(outcome: Outcome | null, tenant: CxoneSandboxOptions = {}, { endsUpstream = true } = {}) {
  const { sandbox, client } = await startClient({ sandbox: tenant });
  const books = await openBooks();
  const warnings: object[] = [];
  const echo = echoOf(tenant);
  const ports = {
    echo,
    settling: new SingleFlight<SettledAttempt>(),
    cxone: client,
    ledger: books.attempts,
    sessions: books.sessions,
    rules: { endsUpstream, createDeadlineMs: 15_000 } as Ports['rules'],
    log: { warn: (fields: object) => void warnings.push(fields), error: () => undefined },
  };
  const { attempt, request } = attemptFor(GUEST);
  await books.attempts.reserve(attempt, request);
  Object.assign(attempt, { reserved: true, posts: 1, lostAnswers: 1 });
  const { requestId } = attempt;
  const post = async () => (await client.createSession(payloadOf(requestId), inTime(), stepsThat())).sessionId;
  return {
    sandbox,
    books,
    requestId,
    warnings,
    post,
    /** Writes the outcome of the attempt. @param sessionId what the books have of it at CXone */
    async close(sessionId?: string) {
      if (outcome?.status === 'SUCCESS') {
        await books.attempts.close(attempt, {
          ...outcome,
          created: { ...outcome.created, sessionId: sessionId ?? outcome.created.sessionId },
        });
        return;
      }
      if (sessionId) {
        attempt.found = { sessionId, requestId, createdAt: null, expiresAt: null, clientToken: null, namesGuest: true };
      }
      if (outcome) await books.attempts.close(attempt, outcome);
    },
    settle: async () => {
      const record = await books.sessions.byId(requestId);
      if (!record) throw new Error('the attempt is not in the books');
      return settleAttempt(record, inTime(), ports);
    },
    live: () => sandbox.sessions(GUEST).map(({ sessionId }) => sessionId),
    reasons: () =>
      books.outside
        .all<{ reason: string }>(`SELECT * FROM "AuditEntry" WHERE "kind" = 'SESSION_RECONCILED' ORDER BY "sequence"`)
        .map(({ reason }) => reason),
  };
}

/** What the audit trail says of it. */
const lateArrival = (sessionId: string | undefined) =>
  `a POST arrived late, and what it opened was ended: ${sessionId}`;

describe.each([
  ['interrupted', null],
  ['of unknown outcome', UNKNOWN],
])('an attempt that was %s', (_what, outcome) => {
  it('has the session that is found, with its times', async () => {
    const { sandbox, settle, close, post } = await start(outcome);
    const sessionId = await post();
    await close();
    const { session, isAnswer } = await settle();
    const expiresAt = sandbox.sessions(GUEST)[0]?.expiresAt;
    expect(session).toMatchObject({ status: 'ACTIVE', sessionId, expiresAt });
    expect(isAnswer).toBe(false);
  });

  it('has failed where there is none', async () => {
    const { settle, close } = await start(outcome);
    await close();
    expect((await settle()).session).toMatchObject({ status: 'FAILED', sessionId: null });
  });

  it('keeps one session of two, and the other is ended', async () => {
    const { settle, close, post, live, reasons } = await start(outcome);
    const [one, other] = [await post(), await post()];
    await close();
    const { session } = await settle();
    expect(live()).toEqual([session.sessionId]);
    const surplus = session.sessionId === one ? other : one;
    expect(reasons()).toEqual([`CXone has the session ${session.sessionId}`, lateArrival(surplus)]);
  });

  it('is left as it is while CXone cannot be asked, and settled when it can', async () => {
    const { sandbox, settle, close, post, reasons } = await start(outcome);
    const sessionId = await post();
    await close();
    sandbox.scenarios.add({ on: 'list', fault: status(500), times: 1 });
    expect(await outcomeOf(settle())).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(reasons()).toEqual([]);
    expect((await settle()).session).toMatchObject({ status: 'ACTIVE', sessionId });
  });

  it('is looked at again while what is surplus cannot be ended', async () => {
    const { sandbox, settle, close, post, live, reasons } = await start(outcome);
    for (let posts = 0; posts < 2; posts += 1) await post();
    await close();
    sandbox.scenarios.add({ on: 'end', fault: { kind: 'rate-limit', retryAfter: '3600' }, times: 1 });
    expect(await outcomeOf(settle())).toMatchObject({ code: 'RATE_LIMITED' });
    expect([live().length, reasons().length]).toEqual([2, 1]);
    await settle();
    expect(live()).toHaveLength(1);
  });
});

it('of two sessions the one is kept that the books know', async () => {
  for (const known of [0, 1]) {
    const { settle, close, post, live } = await start(UNKNOWN);
    const sessionIds = [await post(), await post()];
    await close(sessionIds[known]);
    expect((await settle()).session).toMatchObject({ status: 'ACTIVE', sessionId: sessionIds[known] });
    expect(live()).toEqual([sessionIds[known]]);
  }
});

it('of two sessions the one is kept whose token CXone tells', async () => {
  const { sandbox, settle, post, live } = await start(null);
  const ids = [await post(), await post()];
  const items = sandbox.sessions(GUEST).map(({ sessionId, token, requestId }, i) => ({
    sessionId,
    guestId: GUEST,
    routing: { attributes: { requestId } },
    ...(i === 1 && { token }),
  }));
  sandbox.scenarios.add({ on: 'list', fault: status(200, JSON.stringify({ items })) });
  expect((await settle()).session.sessionId).toBe(ids[1]);
  expect(live()).toEqual([ids[1]]);
});

describe('a POST that arrives late', () => {
  it('for an attempt that has failed: its session is ended', async () => {
    const { settle, close, post, live, reasons } = await start(UNAVAILABLE);
    await close();
    const late = await post();
    expect((await settle()).session).toMatchObject({ status: 'FAILED', sessionId: null });
    expect([live(), reasons()]).toEqual([[], [lateArrival(late)]]);
  });

  it('for an attempt that has its session: that one is kept, and the late one ended', async () => {
    const { settle, close, post, live } = await start(success());
    const sessionId = await post();
    await close(sessionId);
    await post();
    expect((await settle()).session).toMatchObject({ status: 'ACTIVE', sessionId });
    expect(live()).toEqual([sessionId]);
  });

  it('for an attempt whose session has ended: it is ended as well', async () => {
    const { books, requestId, sandbox, settle, close, post, live } = await start(success());
    const sessionId = await post();
    await close(sessionId);
    sandbox.endSession(sessionId);
    await books.sessions.end(requestId, { actor: actor('x'), reason: null, endedUpstream: true });
    await post();
    expect((await settle()).session).toMatchObject({ status: 'ENDED', sessionId });
    expect(live()).toEqual([]);
  });

  it.each([
    [
      'CXone cannot end sessions',
      { canEndSessions: false },
      { endsUpstream: true },
      'CXone cannot end sessions (405 or 501)',
    ],
    ['CXONE_END_SESSION is off', {}, { endsUpstream: false }, 'CXONE_END_SESSION is off'],
  ])('stays where %s, and operations are told', async (_what, tenant, rules, why) => {
    const { requestId, settle, close, post, live, warnings, reasons } = await start(UNAVAILABLE, tenant, rules);
    await close();
    const late = await post();
    expect((await settle()).session).toMatchObject({ status: 'FAILED' });
    expect(live()).toEqual([late]);
    expect(warnings).toEqual([{ requestId, sessionId: late, why }]);
    expect(reasons()).toEqual([]);
  });
});

describe('where CXone does not repeat request ids', () => {
  it.each([
    ['interrupted', null],
    ['of unknown outcome', UNKNOWN],
  ])('an attempt that was %s has the one session that appeared', async (_what, outcome) => {
    const { settle, close, post } = await start(outcome, { echoAttributes: false });
    const sessionId = await post();
    await close();
    expect((await settle()).session).toMatchObject({ status: 'ACTIVE', sessionId });
  });

  it.each([
    ['has failed', UNAVAILABLE],
    ['has its session', success()],
  ])('no session is ended for an attempt that %s: it could be anybody’s', async (_what, outcome) => {
    const { sandbox, settle, close, post, live } = await start(outcome, { echoAttributes: false });
    await close(outcome.status === 'SUCCESS' ? await post() : undefined);
    const { sessionId } = sandbox.addSession(GUEST);
    await settle();
    expect(live()).toContain(sessionId);
  });
});
