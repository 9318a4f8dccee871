import { createHmac } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { AttemptError } from '../errors.js';
import type { Attempt } from '../guest-session/attempt.js';
import { endingOf, recordOf } from '../guest-session/attempt-ending.js';
import type { AttemptLedger, Closed, GuestId, HeldPlace, Outcome, ValidRequest } from '../guest-session/ports.js';
import { HOLDS_A_PLACE } from './attempt-commands.js';
import type { Ledger } from './ledger.js';
import type { NewSessionEvent } from './ledger-transaction.js';
import type { Outbox } from './outbox.js';
import type { SqliteConnection } from './sqlite-connection.js';

export interface AttemptLedgerSettings {
  readonly maxConcurrentSessions: number;
  /** Keys the HMAC that stands in for device fingerprints. */
  readonly fingerprintKey: Buffer;
}

/** The books of the attempts, in SQLite: what one attempt writes at its end is one transaction. */
export class SqliteAttemptLedger implements AttemptLedger {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #outbox: Outbox | null;
  readonly #settings: AttemptLedgerSettings;

  /** @param outbox null where no CRM is told */
  constructor(ledger: Ledger, reader: SqliteConnection, outbox: Outbox | null, settings: AttemptLedgerSettings) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#outbox = outbox;
    this.#settings = settings;
  }

  async reserve(attempt: Attempt, request: ValidRequest): Promise<void> {
    const { maxConcurrentSessions } = this.#settings;
    const { guestId, crmId, channel, priority, queueId, languagePreference } = request;
    const taken = await this.#ledger.execute('reservePlace', {
      maxConcurrentSessions,
      event: eventOf(attempt, { type: 'SESSION_REQUESTED', status: 'PENDING' }),
      session: {
        id: attempt.requestId,
        callerName: attempt.caller.name,
        guestId,
        crmId,
        channel,
        priority,
        queueId,
        languagePreference,
        fingerprintHmac: this.#hmac(request.deviceFingerprint),
        createdAt: attempt.openedAt,
        fraudScore: attempt.risk?.score ?? null,
      },
    });
    if (taken < maxConcurrentSessions) return;
    throw new AttemptError('CAPACITY_EXCEEDED', { detail: `${taken} of ${maxConcurrentSessions} places are taken` });
  }

  heldPlaces(guestId: GuestId): readonly HeldPlace[] {
    const sql = `SELECT rowid AS "place", "id" AS "requestId", "sessionId" FROM "GuestSession" WHERE ${HOLDS_A_PLACE}`;
    const places = this.#reader.all<HeldPlace & { place: number }>(sql, guestId, new Date());
    return places.sort((a, b) => a.place - b.place);
  }

  async close(attempt: Attempt, outcome: Outcome): Promise<Closed> {
    const ending = endingOf(attempt, outcome);
    const event = eventOf(attempt, {
      type: ending.eventType,
      sessionId: ending.sessionId,
      status: attempt.reserved ? ending.sessionStatus : null,
      reason: ending.errorCode,
      expiresAt: ending.expiresAt,
    });
    const delivery = outcome.status === 'SUCCESS' && this.#outbox ? this.#outbox.deliveryOf(event) : null;
    const eventSequence = await this.#ledger.execute('closeAttempt', {
      ending,
      status: outcome.status,
      reserved: attempt.reserved,
      actor: attempt.caller.name,
      guestId: attempt.request?.guestId ?? null,
      fraudScore: attempt.risk?.score ?? null,
      posts: attempt.posts,
      capacityCheck: attempt.capacityCheck,
      stageDurationsMs: attempt.stageDurationsMs,
      event,
      delivery,
    });
    return { session: recordOf(attempt, ending, delivery ? 'PENDING' : 'DISABLED'), eventSequence };
  }

  #hmac(fingerprint: string): string {
    return createHmac('sha256', this.#settings.fingerprintKey).update(fingerprint).digest('hex');
  }
}

function eventOf(
  { requestId, request }: Attempt,
  news: Pick<NewSessionEvent, 'type' | 'status'> & Partial<NewSessionEvent>,
): NewSessionEvent {
  return {
    id: uuidv7(),
    occurredAt: new Date(),
    requestId,
    guestId: request?.guestId ?? null,
    crmId: request?.crmId ?? null,
    channel: request?.channel ?? null,
    sessionId: null,
    reason: null,
    expiresAt: null,
    ...news,
  };
}
