import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import type { Outcome } from '../../src/guest-session/ports.js';
import { steadyNow } from '../../src/guest-session/steady-clock.js';
import { erase } from './erasures.js';
import { attemptFor, type Books, openBooks, success, TESTER } from './ledger.js';

const BLOCKED: Outcome = { status: 'REJECTED', error: new AttemptError('FRAUD_BLOCKED'), stage: 'FRAUD' };

describe('idempotency keys of a guest that is erased', () => {
  const claim = (books: Books, requestId: string, key: string) =>
    books.writer.execute('claimKey', {
      callerName: TESTER.name,
      actor: TESTER,
      guestId: randomUUID(),
      crmId: null,
      key: books.vault.blind('idempotency key', key),
      inputHmacs: ['k.input'],
      requestId,
      leaseOwner: 'us',
      isAlone: true,
      unwritten: [],
      now: steadyNow(),
      leaseUntil: new Date(Date.now() + 60_000),
      expiresAt: new Date(Date.now() + 60_000),
    });

  /** An attempt with a key, up to its end. */
  async function withKey(books: Books, guestId: string, key: string, outcome: Outcome) {
    const { attempt, request } = attemptFor(guestId, { idempotencyKey: key });
    await claim(books, attempt.requestId, key);
    attempt.holdsKey = true;
    if (outcome.status === 'SUCCESS') {
      await books.attempts.reserve(attempt, request);
      attempt.reserved = true;
    }
    await books.attempts.close(attempt, outcome);
    return attempt.requestId;
  }

  it('are forgotten, also that of an attempt that never had a place; those of others are not', async () => {
    const books = await openBooks();
    const [guestId, other] = [randomUUID(), randomUUID()];
    const opened = await withKey(books, guestId, 'opened', success());
    await withKey(books, guestId, 'blocked', BLOCKED);
    await withKey(books, other, 'of another', BLOCKED);
    await books.sessions.end(opened, { actor: TESTER, reason: null, endedUpstream: true });
    expect(books.count('IdempotencyKey')).toBe(3);

    await erase(books, guestId);

    expect(books.outside.all('SELECT "key" FROM "IdempotencyKey"')).toEqual([
      { key: books.vault.blind('idempotency key', 'of another') },
    ]);
    expect(await claim(books, randomUUID(), 'opened')).toEqual({ is: 'NEW' });
  });

  it('stay with a request under way that holds one: it is a new one', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    const key = books.vault.blind('idempotency key', 'again');
    const first = await withKey(books, guestId, 'again', success());
    await books.sessions.end(first, { actor: TESTER, reason: null, endedUpstream: true });
    const second = randomUUID();
    books.db.run(
      `UPDATE "IdempotencyKey" SET "state" = 'IN_FLIGHT', "requestId" = ?, "unsettledRequestId" = ?`,
      second,
      first,
    );

    await erase(books, guestId);

    expect(books.outside.all('SELECT "key", "requestId", "unsettledRequestId" FROM "IdempotencyKey"')).toEqual([
      { key, requestId: second, unsettledRequestId: null },
    ]);
  });
});
