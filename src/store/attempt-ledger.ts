import { createHmac } from 'node:crypto';
import { AttemptError } from '../errors.js';
import type { Attempt } from '../guest-session/attempt.js';
import { type AttemptEnding, endingOf, recordOf } from '../guest-session/attempt-ending.js';
import type { AttemptLedger, Closed, GuestId, HeldPlace, Outcome, ValidRequest } from '../guest-session/ports.js';
import type { LedgerTransaction } from './ledger-transaction.js';
import type { LedgerWriter } from './ledger-writer.js';
import type { Outbox } from './outbox.js';
import type { SqliteConnection } from './sqlite-connection.js';

/**
 * How long an attempt in flight, or one whose outcome is unknown, holds its place when nothing else is learned of it: longer
 * than any attempt takes, and short enough that a crash does not lock a guest out for a day.
 */
const UNCERTAIN_PLACE_MS = 3_600_000;

// Whoever gives a place up sets the time back, so that the index finds what is live and nothing else.
const HOLDS_A_PLACE = `"guestId" = ? AND "placeHeldUntil" > ? AND "status" IN ('PENDING', 'ACTIVE', 'UNKNOWN')`;

export interface AttemptLedgerSettings {
  readonly maxConcurrentSessions: number;
  /** Keys the HMAC that stands in for device fingerprints. */
  readonly fingerprintKey: Buffer;
}

/** The books of the attempts, in SQLite: what one attempt writes at its end is one transaction. */
export class SqliteAttemptLedger implements AttemptLedger {
  readonly #writer: LedgerWriter;
  readonly #db: SqliteConnection;
  readonly #outbox: Outbox | null;
  readonly #settings: AttemptLedgerSettings;

  /** @param outbox null where no CRM is told */
  constructor(writer: LedgerWriter, db: SqliteConnection, outbox: Outbox | null, settings: AttemptLedgerSettings) {
    this.#writer = writer;
    this.#db = db;
    this.#outbox = outbox;
    this.#settings = settings;
  }

  reserve(attempt: Attempt, request: ValidRequest): Promise<void> {
    return this.#writer.submit((transaction) => {
      this.#refuseAtCap(request.guestId);
      const { guestId, crmId, channel, priority, queueId, languagePreference } = request;
      transaction.insert('GuestSession', {
        id: attempt.requestId,
        callerName: attempt.caller.name,
        guestId,
        crmId,
        channel,
        priority,
        queueId,
        languagePreference,
        fingerprintHmac: this.#hmac(request.deviceFingerprint),
        status: 'PENDING',
        createdAt: attempt.openedAt,
        placeHeldUntil: new Date(Date.now() + UNCERTAIN_PLACE_MS),
        fraudScore: attempt.risk?.score ?? null,
      });
      appendEvent(transaction, attempt, { type: 'SESSION_REQUESTED', status: 'PENDING' });
    });
  }

  // On the writer's connection, which between its groups sees what is committed and nothing else, in microseconds.
  heldPlaces(guestId: GuestId): readonly HeldPlace[] {
    const sql = `SELECT rowid AS "place", "id" AS "requestId", "sessionId" FROM "GuestSession" WHERE ${HOLDS_A_PLACE}`;
    return this.#db.all<HeldPlace & { place: number }>(sql, guestId, new Date()).sort((a, b) => a.place - b.place);
  }

  close(attempt: Attempt, outcome: Outcome): Promise<Closed> {
    const ending = endingOf(attempt, outcome);
    const isTold = outcome.status === 'SUCCESS' && this.#outbox !== null;
    const crmSync = isTold ? 'PENDING' : 'DISABLED';
    return this.#writer.submit((transaction) => {
      if (attempt.reserved) updateSession(transaction, attempt, ending, crmSync);
      const event = appendEvent(transaction, attempt, {
        type: ending.eventType,
        sessionId: ending.sessionId,
        status: attempt.reserved ? ending.sessionStatus : null,
        reason: ending.errorCode,
        expiresAt: ending.expiresAt,
      });
      appendAudit(transaction, attempt, outcome, ending);
      if (isTold) this.#outbox?.enqueue(event, transaction);
      transaction.measurements.push({
        of: 'attempt',
        at: event.occurredAt,
        status: outcome.status,
        errorCode: ending.errorCode,
        durationMs: ending.durationMs,
        stageDurationsMs: attempt.stageDurationsMs,
      });
      return { session: recordOf(attempt, ending, crmSync), eventSequence: event.sequence };
    });
  }

  #refuseAtCap(guestId: GuestId): void {
    const { maxConcurrentSessions } = this.#settings;
    const sql = `SELECT count(*) AS "places" FROM "GuestSession" WHERE ${HOLDS_A_PLACE}`;
    const places = this.#db.get<{ places: number }>(sql, guestId, new Date())?.places ?? 0;
    if (places < maxConcurrentSessions) return;
    throw new AttemptError('CAPACITY_EXCEEDED', { detail: `${places} of ${maxConcurrentSessions} places are taken` });
  }

  #hmac(fingerprint: string): string {
    return createHmac('sha256', this.#settings.fingerprintKey).update(fingerprint).digest('hex');
  }
}

function placeHeldUntil({ sessionStatus, expiresAt }: AttemptEnding): Date {
  const now = new Date();
  if (sessionStatus === 'ACTIVE') return expiresAt ?? now;
  return sessionStatus === 'UNKNOWN' ? new Date(now.getTime() + UNCERTAIN_PLACE_MS) : now;
}

function updateSession(
  transaction: LedgerTransaction,
  attempt: Attempt,
  ending: AttemptEnding,
  crmSync: 'PENDING' | 'DISABLED',
): void {
  transaction.db.run(
    `UPDATE "GuestSession" SET "status" = ?, "sessionId" = ?, "expiresAt" = ?, "placeHeldUntil" = ?,
       "durationMs" = ?, "attempts" = ?, "failureCode" = ?, "crmSync" = ? WHERE "id" = ?`,
    ending.sessionStatus,
    ending.sessionId,
    ending.expiresAt,
    placeHeldUntil(ending),
    ending.durationMs,
    attempt.posts,
    ending.errorCode,
    crmSync,
    attempt.requestId,
  );
}

function appendEvent(
  transaction: LedgerTransaction,
  attempt: Attempt,
  news: Pick<Parameters<LedgerTransaction['appendEvent']>[0], 'type' | 'status'> &
    Partial<Parameters<LedgerTransaction['appendEvent']>[0]>,
) {
  return transaction.appendEvent({
    occurredAt: new Date(),
    requestId: attempt.requestId,
    guestId: attempt.request?.guestId ?? null,
    crmId: attempt.request?.crmId ?? null,
    channel: attempt.request?.channel ?? null,
    sessionId: null,
    reason: null,
    expiresAt: null,
    ...news,
  });
}

function appendAudit(transaction: LedgerTransaction, attempt: Attempt, outcome: Outcome, ending: AttemptEnding): void {
  transaction.appendAudit({
    requestId: attempt.requestId,
    kind: 'SESSION_INITIATION',
    status: outcome.status,
    reason: ending.reason,
    errorCode: ending.errorCode,
    guestId: attempt.request?.guestId ?? null,
    sessionId: ending.sessionId,
    actor: attempt.caller.name,
    durationMs: ending.durationMs,
    fraudScore: attempt.risk?.score ?? null,
    attempts: attempt.posts,
    capacityCheck: attempt.capacityCheck,
    crmSynced: null,
  });
}
