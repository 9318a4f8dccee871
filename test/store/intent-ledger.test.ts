import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { Attempt } from '../../src/guest-session/attempt.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Outcome, UpstreamSession, ValidRequest } from '../../src/guest-session/ports.js';
import { keyExpiry } from '../../src/store/expiry.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { type IntentLedgerSettings, SqliteIntentLedger } from '../../src/store/intent-ledger.js';
import { LedgerWriter } from '../../src/store/ledger-writer.js';
import { MinuteCounter } from '../../src/store/minute-counter.js';
import { SessionReader } from '../../src/store/session-reader.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { TokenCipher } from '../../src/store/token-cipher.js';
import { eventually } from '../support/eventually.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { actor, attemptFor, type Books, openBooks, success, TESTER } from './ledger.js';

// The books of `openBooks` encrypt with this key.
const CIPHER = new TokenCipher(Buffer.alloc(32, 7));
const HOUR_MS = 3_600_000;

/** The keys as one process sees them. */
function intentsOf(books: Books, settings: Partial<IntentLedgerSettings> = {}): SqliteIntentLedger {
  return new SqliteIntentLedger(books.writer, new SessionReader(books), CIPHER, {
    instanceId: 'this process',
    blindKey: (key) => books.vault.blind('idempotency key', key),
    isAlone: true,
    ttlMs: HOUR_MS,
    unwritten: () => [],
    inputKeys: [Buffer.alloc(32, 1)],
    ...settings,
  });
}

/** The keys as another process on the same file sees them: with a connection and a writer of its own. */
function intentsElsewhere(books: Books, settings: Partial<IntentLedgerSettings> = {}): SqliteIntentLedger {
  const db = new SqliteConnection(books.path);
  const writer = new LedgerWriter(db, GuestVault.open(db, MASTER_KEYS), new MinuteCounter(), []);
  onTestFinished(async () => {
    await writer[Symbol.asyncDispose]();
    db.close();
  });
  return intentsOf({ ...books, writer }, { instanceId: 'another process', isAlone: false, ...settings });
}

const GUEST = randomUUID();

/** An attempt of one intent: every one of them asks for the same, unless it is told otherwise. */
function attemptAt(key: string, input: object = {}, callerName = 'tester') {
  const { attempt: shape, request } = attemptFor(GUEST, { idempotencyKey: key, ...input });
  const attempt = new Attempt(actor(callerName), 15_000);
  Object.assign(attempt, { request: shape.request, risk: shape.risk });
  return { attempt, request };
}

/** Claims the key and closes the attempt. */
async function conclude(books: Books, intents: SqliteIntentLedger, key: string, outcome: Outcome, options = {}) {
  const { attempt, request } = attemptAt(key);
  expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
  attempt.holdsKey = true;
  return { attempt, request, closed: await closeAs(books, attempt, request, outcome, options) };
}

async function closeAs(
  books: Books,
  attempt: Attempt,
  request: ValidRequest,
  outcome: Outcome,
  { reserves = true, lostAnswers = 0 } = {},
) {
  if (reserves) {
    await books.attempts.reserve(attempt, request);
    attempt.reserved = true;
    attempt.posts = 1;
    attempt.lostAnswers = lostAnswers;
  }
  return books.attempts.close(attempt, outcome);
}

const refusal = (error: AttemptError): Outcome => ({ status: error.status, error, stage: 'CREATE' });
const lost = () => refusal(new AttemptError('OUTCOME_UNKNOWN'));

const upstream = (requestId: string, clientToken: string | null): UpstreamSession => ({
  sessionId: `cxs-${randomUUID()}`,
  requestId,
  createdAt: new Date(),
  expiresAt: new Date(Date.now() + HOUR_MS),
  clientToken,
  namesGuest: true,
});

const blindKey = (books: Books, key: string): string => books.vault.blind('idempotency key', key);
const keyRow = (books: Books, key: string) =>
  books.outside.get<Record<string, unknown>>('SELECT * FROM "IdempotencyKey" WHERE "key" = ?', blindKey(books, key));

describe('an idempotency key', () => {
  it('goes to the first attempt that asks, and the next are told who has it', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const [first, ...others] = [attemptAt(key), attemptAt(key), attemptAt(key)] as const;

    const answers = await Promise.all([first, ...others].map((it) => intents.recognise(it.attempt, it.request)));

    const inFlight = { is: 'IN_FLIGHT', requestId: first.attempt.requestId };
    expect(answers).toEqual([{ is: 'NEW' }, inFlight, inFlight]);
  });

  it('goes to one attempt alone, from however many processes they ask at once', async () => {
    const books = await openBooks();
    const ledgers = [
      intentsOf(books, { isAlone: false }),
      intentsElsewhere(books),
      intentsElsewhere(books, { instanceId: 'a third' }),
    ];
    const key = randomUUID();
    const asked = Array.from({ length: 60 }, (_, n) => ({ ...attemptAt(key), intents: ledgers[n % 3]! }));

    const answers = await Promise.all(
      asked.map(({ intents, attempt, request }) => intents.recognise(attempt, request)),
    );

    const holders = asked.filter((_, n) => answers[n]?.is === 'NEW');
    expect(holders).toHaveLength(1);
    const others = answers.filter(({ is }) => is !== 'NEW');
    expect(others).toEqual(others.map(() => ({ is: 'IN_FLIGHT', requestId: holders[0]?.attempt.requestId })));
  });

  it('stays with the attempt that has it when that one asks again', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const { attempt, request } = attemptAt(randomUUID());

    expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
    expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
  });

  it('is another one for another caller', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();

    for (const caller of ['one', 'other']) {
      const { attempt, request } = attemptAt(key, {}, caller);
      expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
    }
  });

  it.each([
    ['deviceFingerprint', { deviceFingerprint: 'another device' }],
    ['guestId', { guestId: randomUUID() }],
    ['crmId', { crmId: 'crm-2' }],
    ['a crmId left out', { crmId: null }],
    ['channel', { channel: 'SMS' }],
    ['priority', { priority: 'HIGH' }],
    ['queueId', { queueId: 'another queue' }],
    ['languagePreference', { languagePreference: 'de' }],
    ['ipMetadata.isProxy', { ipMetadata: { isProxy: true } }],
    ['ipMetadata.country', { ipMetadata: { country: 'US' } }],
  ])('is refused for another input: %s', async (_field, input) => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const held = attemptAt(key);
    await intents.recognise(held.attempt, held.request);

    // While the first is at work, and when it is done.
    for (let round = 0; round < 2; round += 1) {
      const { attempt, request } = attemptAt(key, input);
      expect(await intents.recognise(attempt, request)).toEqual({ is: 'CONFLICT' });
      if (round > 0) continue;
      held.attempt.holdsKey = true;
      await closeAs(books, held.attempt, held.request, success());
    }
  });

  it('takes the same input in another form for the same', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    await conclude(books, intents, key, success());

    const { attempt, request } = attemptAt(key, {
      guestId: GUEST.toUpperCase(),
      channel: 'WEBCHAT',
      priority: 'NORMAL',
      queueId: 'queue',
      languagePreference: 'EN-us',
      ipMetadata: { isProxy: false, country: null },
    });
    expect(await intents.recognise(attempt, request)).toMatchObject({ is: 'REPLAY' });
  });

  it('keeps neither the fingerprint nor a hash that anybody could make', async () => {
    const books = await openBooks();
    const key = randomUUID();
    await conclude(books, intentsOf(books), key, success());
    const { inputHmac } = keyRow(books, key)!;
    await conclude(books, intentsOf(books, { inputKeys: [randomBytes(32)] }), randomUUID(), success());

    const hmacs = books.outside.all<{ inputHmac: string }>('SELECT "inputHmac" FROM "IdempotencyKey"');
    expect(new Set(hmacs.map((row) => row.inputHmac)).size).toBe(2);
    expect(String(inputHmac)).not.toContain('device');
  });
});

describe('what a key stands for', () => {
  it('after success is the session, its token and the place of its event', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const outcome = success();
    const { attempt: first, closed } = await conclude(books, intents, key, outcome);

    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toEqual({
      is: 'REPLAY',
      conclusion: {
        requestId: first.requestId,
        outcome,
        session: closed.session,
        eventSequence: closed.eventSequence,
        replayed: true,
      },
    });
    expect(keyRow(books, key)?.clientToken).not.toContain('token');
  });

  it('after a refusal by the fraud check is that refusal', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const blocked = refusal(new AttemptError('FRAUD_BLOCKED', { detail: 'score 99' }));
    const { attempt: first, closed } = await conclude(books, intents, key, blocked, { reserves: false });

    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toMatchObject({
      is: 'REPLAY',
      conclusion: {
        requestId: first.requestId,
        outcome: { status: 'REJECTED', stage: 'FRAUD', error: { code: 'FRAUD_BLOCKED' } },
        session: null,
        eventSequence: closed.eventSequence,
        replayed: true,
      },
    });
  });

  it.each([
    'CAPACITY_EXCEEDED',
    'CXONE_UNAVAILABLE',
    'CXONE_SCHEMA_REJECTED',
    'RATE_LIMITED',
    'FRAUD_CHECK_UNAVAILABLE',
  ] as const)('after %s is nothing: the next attempt has it', async (code) => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    await conclude(books, intents, key, refusal(new AttemptError(code)));
    await conclude(books, intents, key, refusal(new AttemptError(code)), { reserves: false });

    await conclude(books, intents, key, success());
    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toMatchObject({ is: 'REPLAY' });
  });

  it('after an outcome that is unknown has to be found out first, however many have tried', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const { attempt: first } = await conclude(books, intents, key, lost());

    for (let round = 0; round < 2; round += 1) {
      const { attempt, request } = attemptAt(key);
      const recognition = await intents.recognise(attempt, request);
      expect(recognition).toMatchObject({ is: 'UNSETTLED', earlier: { id: first.requestId, status: 'UNKNOWN' } });
      attempt.holdsKey = true;
      await closeAs(books, attempt, request, lost(), { reserves: false }); // it could not be found out
    }
  });

  it('after a failure with an answer that was lost has to be looked at, as long as the answer may arrive late', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const failed = refusal(new AttemptError('CXONE_UNAVAILABLE'));
    const { attempt: first } = await conclude(books, intents, key, failed, { lostAnswers: 1 });

    const second = attemptAt(key);
    expect(await intents.recognise(second.attempt, second.request)).toMatchObject({
      is: 'UNSETTLED',
      earlier: { id: first.requestId, status: 'FAILED' },
    });
    second.attempt.holdsKey = true;
    await closeAs(books, second.attempt, second.request, failed, { reserves: false });

    books.db.run('UPDATE "GuestSession" SET "reconcileAt" = NULL'); // none has arrived in its time
    const third = attemptAt(key);
    expect(await intents.recognise(third.attempt, third.request)).toEqual({ is: 'NEW' });
  });

  it('is the session without its token, once that is over', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const { attempt: first } = await conclude(books, intents, key, success());
    await books.sessions.end(first.requestId, { actor: TESTER, reason: null, endedUpstream: true });

    expect(keyRow(books, key)).toMatchObject({ state: 'SUCCEEDED', clientToken: null });
    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toMatchObject({
      is: 'REPLAY',
      conclusion: {
        requestId: first.requestId,
        outcome: { status: 'SUCCESS', created: { clientToken: null } },
        session: { status: 'ENDED' },
      },
    });
  });

  it('is nothing any more when the session is over whose token was lost', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const { attempt: first } = await conclude(books, intents, key, lost());
    const unknown = (await books.sessions.byId(first.requestId))!;
    await books.sessions.reconcile(unknown, { session: upstream(first.requestId, null), hasSurplus: false });

    const second = attemptAt(key);
    const recognition = await intents.recognise(second.attempt, second.request);
    expect(recognition).toMatchObject({ is: 'UNSETTLED', earlier: { id: first.requestId, status: 'ACTIVE' } });
    second.attempt.holdsKey = true;
    await closeAs(books, second.attempt, second.request, lost(), { reserves: false });

    await books.sessions.end(first.requestId, { actor: TESTER, reason: null, endedUpstream: true });
    await conclude(books, intents, key, success());
  });

  it('is the session that was found with its token, whoever was first to find it', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const { attempt: first } = await conclude(books, intents, key, lost());
    const unknown = (await books.sessions.byId(first.requestId))!;
    const found = upstream(first.requestId, 'the token');

    // The reconciler and a retry look at the same time: to the slower one it must be the answer as well.
    const settlements = await Promise.all(
      [1, 2].map(() => books.sessions.reconcile(unknown, { session: found, hasSurplus: false })),
    );

    expect(settlements).toMatchObject([
      { isAnswer: true, session: { status: 'ACTIVE' } },
      { isAnswer: true, session: { status: 'ACTIVE' } },
    ]);
    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toMatchObject({
      is: 'REPLAY',
      conclusion: { outcome: { created: { sessionId: found.sessionId, clientToken: 'the token' } } },
    });
    expect(books.count('WebhookDelivery')).toBe(1);
    expect(books.count('SessionEvent', `"type" = 'SESSION_RECONCILED'`)).toBe(1);
  });

  it('is settled by the attempt that holds it, and by no other', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const slow = attemptAt(key);
    await intentsOf(books).recognise(slow.attempt, slow.request);
    slow.attempt.holdsKey = true;
    await books.attempts.reserve(slow.attempt, slow.request);
    slow.attempt.reserved = true;
    books.db.run('UPDATE "IdempotencyKey" SET "leaseUntil" = 0');
    const next = attemptAt(key);
    expect(await intentsElsewhere(books).recognise(next.attempt, next.request)).toMatchObject({
      is: 'UNSETTLED',
      earlier: { id: slow.attempt.requestId },
    });

    await books.attempts.close(slow.attempt, refusal(new AttemptError('CXONE_UNAVAILABLE')));

    expect(keyRow(books, key)).toMatchObject({ state: 'IN_FLIGHT', requestId: next.attempt.requestId });
  });
});

describe('a key that somebody holds', () => {
  it('of a dead process is free at once where no other process can be at work', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const dead = attemptAt(key);
    await intentsOf(books, { instanceId: 'the dead one' }).recognise(dead.attempt, dead.request);

    const { attempt, request } = attemptAt(key);
    expect(await intentsOf(books).recognise(attempt, request)).toEqual({ is: 'NEW' });
  });

  it('of a dead process has to be looked into where that had begun', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const dead = attemptAt(key);
    await intentsOf(books, { instanceId: 'the dead one' }).recognise(dead.attempt, dead.request);
    await books.attempts.reserve(dead.attempt, dead.request);

    const { attempt, request } = attemptAt(key);
    expect(await intentsOf(books).recognise(attempt, request)).toMatchObject({
      is: 'UNSETTLED',
      earlier: { id: dead.attempt.requestId, status: 'PENDING' },
    });
  });

  it('of this process is not free, alone or not', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const held = attemptAt(key);
    const intents = intentsOf(books);
    await intents.recognise(held.attempt, held.request);

    const { attempt, request } = attemptAt(key);
    expect(await intents.recognise(attempt, request)).toMatchObject({ is: 'IN_FLIGHT' });
  });

  it('of an attempt that has ended and is not written down yet is not free, however long that takes', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const held = attemptAt(key);
    const unwritten = [held.attempt.requestId];
    const intents = intentsOf(books, { unwritten: () => unwritten });
    await intents.recognise(held.attempt, held.request);
    books.db.run('UPDATE "IdempotencyKey" SET "leaseUntil" = 0');
    const { attempt, request } = attemptAt(key);

    expect(await intents.recognise(attempt, request)).toMatchObject({ is: 'IN_FLIGHT' });
    unwritten.pop();
    expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
  });

  it('of another process is free after its lease, and no sooner', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const held = attemptAt(key);
    await intentsElsewhere(books).recognise(held.attempt, held.request);
    const intents = intentsOf(books, { isAlone: false });
    const ask = () => {
      const { attempt, request } = attemptAt(key);
      return intents.recognise(attempt, request);
    };

    expect(await ask()).toEqual({ is: 'IN_FLIGHT', requestId: held.attempt.requestId });
    const { leaseUntil } = keyRow(books, key) as { leaseUntil: number };
    // As long as its deadline, and what it takes to write down how it ended.
    expect(leaseUntil - Date.now()).toBeGreaterThan(15_000);
    expect(leaseUntil - Date.now()).toBeLessThan(30_000);

    const soon = Date.now() + 500;
    books.db.run('UPDATE "IdempotencyKey" SET "leaseUntil" = ?', soon);
    expect(await ask()).toMatchObject({ is: 'IN_FLIGHT' });
    await eventually(async () => (await ask()).is === 'NEW');
    expect(Date.now()).toBeGreaterThanOrEqual(soon);
  });
});

describe('who waits for a key', () => {
  /** Whether something is over within a few turns of the event loop: sooner than any timer would have it. */
  async function isOverSoon(work: Promise<unknown>): Promise<boolean> {
    const isOver = { value: false };
    void work.then(() => {
      isOver.value = true;
    });
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    return isOver.value;
  }

  it('hears at once that the attempt has ended', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const { attempt, request } = attemptAt(randomUUID());
    await intents.recognise(attempt, request);
    await books.attempts.reserve(attempt, request);
    attempt.reserved = true;
    const waits = Promise.all([1, 2, 3].map(() => intents.closing(attempt.requestId, new Deadline(15_000))));

    await books.attempts.close(attempt, success());

    expect(await isOverSoon(waits)).toBe(true);
  });

  it('hears of one that ends in the very moment in which it asks', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const first = attemptAt(key);
    await intents.recognise(first.attempt, first.request);
    first.attempt.holdsKey = true;

    // One commit for both: the key is still held when it is asked for, and nobody waits yet when its attempt ends.
    const { attempt, request } = attemptAt(key);
    const [recognition] = await Promise.all([
      intents.recognise(attempt, request),
      books.attempts.close(first.attempt, refusal(new AttemptError('FRAUD_BLOCKED'))),
    ]);

    expect(recognition).toMatchObject({ is: 'REPLAY' });
  });

  it('hears at once of one that has found its answer in what an earlier one had left', async () => {
    const books = await openBooks();
    const intents = intentsOf(books);
    const key = randomUUID();
    const { attempt: earlier } = await conclude(books, intents, key, lost());
    const [holder, waiting] = [attemptAt(key), attemptAt(key)];
    expect(await intents.recognise(holder.attempt, holder.request)).toMatchObject({ is: 'UNSETTLED' });
    expect(await intents.recognise(waiting.attempt, waiting.request)).toMatchObject({ is: 'IN_FLIGHT' });
    const wait = intents.closing(holder.attempt.requestId, new Deadline(15_000));
    const unknown = (await books.sessions.byId(earlier.requestId))!;
    const found = upstream(earlier.requestId, 'the token');
    await books.sessions.reconcile(unknown, { session: found, hasSurplus: false });

    expect(await intents.recognise(holder.attempt, holder.request)).toMatchObject({ is: 'REPLAY' });

    expect(await isOverSoon(wait)).toBe(true);
    expect(await intents.recognise(waiting.attempt, waiting.request)).toMatchObject({ is: 'REPLAY' });
  });

  it.each([
    ['soon', 15_000, 200, 1_500],
    ['no later than at its deadline', 30, 20, 240],
  ])('looks again where it hears of nothing: %s', async (_when, deadlineMs, leastMs, mostMs) => {
    const books = await openBooks();
    const startedAtMs = performance.now();

    await intentsOf(books).closing(randomUUID(), new Deadline(deadlineMs));

    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(leastMs);
    expect(performance.now() - startedAtMs).toBeLessThan(mostMs);
  });
});

describe('a key whose time is over', () => {
  it('is as good as new, for any input', async () => {
    const books = await openBooks();
    const key = randomUUID();
    await conclude(books, intentsOf(books, { ttlMs: 0 }), key, success());

    const intents = intentsOf(books);
    const { attempt, request } = attemptAt(key, { deviceFingerprint: 'another device' });
    expect(await intents.recognise(attempt, request)).toEqual({ is: 'NEW' });
    const again = attemptAt(key, { deviceFingerprint: 'another device' });
    expect(await intents.recognise(again.attempt, again.request)).toMatchObject({ is: 'IN_FLIGHT' });
  });

  it('is not over while its attempt is at work', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const held = attemptAt(key);
    await intentsOf(books, { ttlMs: 0 }).recognise(held.attempt, held.request);

    const { attempt, request } = attemptAt(key);
    expect(await intentsOf(books).recognise(attempt, request)).toMatchObject({ is: 'IN_FLIGHT' });
    expect(await keyExpiry(books.writer, books.db).expireDue(10)).toBe(0);
  });

  it('is deleted by the sweep, the oldest first and no more than asked for; those that live are not', async () => {
    const books = await openBooks({ maxConcurrentSessions: 10 });
    for (const ageMs of [3, 1, 5, 2, 4])
      await conclude(books, intentsOf(books, { ttlMs: -ageMs * 1_000 }), `${ageMs}`, success());
    await conclude(books, intentsOf(books), 'live', refusal(new AttemptError('CXONE_UNAVAILABLE')));
    const abandoned = attemptAt('abandoned');
    await intentsOf(books, { ttlMs: -9_000 }).recognise(abandoned.attempt, abandoned.request);
    books.db.run('UPDATE "IdempotencyKey" SET "leaseUntil" = 0 WHERE "key" = ?', blindKey(books, 'abandoned'));
    const expiry = keyExpiry(books.writer, books.db);
    const left = () => ['1', '2', '3', '4', '5', 'abandoned', 'live'].filter((key) => keyRow(books, key) !== undefined);

    expect(await expiry.expireDue(3)).toBe(3);
    expect(left()).toEqual(['1', '2', '3', 'live']);
    expect(await expiry.expireDue(10)).toBe(3);
    expect(await expiry.expireDue(10)).toBe(0);
    expect(left()).toEqual(['live']);
    expect(books.count('GuestSession')).toBe(5 + 1);
  });
});

describe('after a change of the encryption key', () => {
  const [OLD, NEW] = [randomBytes(32), randomBytes(32)];

  it('the same input is the same still, and another one another', async () => {
    const books = await openBooks();
    const key = randomUUID();
    await conclude(books, intentsOf(books, { inputKeys: [OLD] }), key, success());
    const intents = intentsOf(books, { inputKeys: [NEW, OLD] });

    const same = attemptAt(key);
    expect(await intents.recognise(same.attempt, same.request)).toMatchObject({ is: 'REPLAY' });
    const other = attemptAt(key, { crmId: 'crm-2' });
    expect(await intents.recognise(other.attempt, other.request)).toEqual({ is: 'CONFLICT' });
  });

  it('a key that is claimed anew needs the old one no more', async () => {
    const books = await openBooks();
    const key = randomUUID();
    const failed = refusal(new AttemptError('CXONE_UNAVAILABLE'));
    await conclude(books, intentsOf(books, { inputKeys: [OLD] }), key, failed);
    await conclude(books, intentsOf(books, { inputKeys: [NEW, OLD] }), key, success());

    const { attempt, request } = attemptAt(key);
    expect(await intentsOf(books, { inputKeys: [NEW] }).recognise(attempt, request)).toMatchObject({ is: 'REPLAY' });
  });

  it('an input whose key is missing is not taken for another one, nor for the same', async () => {
    const books = await openBooks();
    const key = randomUUID();
    await conclude(books, intentsOf(books, { inputKeys: [OLD] }), key, success());
    const before = keyRow(books, key);

    for (const input of [{}, { crmId: 'crm-2' }]) {
      const { attempt, request } = attemptAt(key, input);
      await expect(intentsOf(books, { inputKeys: [NEW] }).recognise(attempt, request)).rejects.toThrow(
        'ENCRYPTION_KEYS_OLD',
      );
    }
    expect(keyRow(books, key)).toEqual(before);
  });
});
