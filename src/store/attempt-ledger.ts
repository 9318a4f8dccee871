import { createHmac } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { AttemptError } from '../errors.js';
import { actorOf } from '../guest-session/actor.js';
import type { Attempt } from '../guest-session/attempt.js';
import { type AttemptEnding, endingOf, recordOf } from '../guest-session/attempt-ending.js';
import type { AttemptLedger, Closed, HeldPlace } from '../guest-session/ledger-ports.js';
import type { GuestId, Outcome, ValidRequest } from '../guest-session/ports.js';
import { steadyNow } from '../guest-session/steady-clock.js';
import { crmSyncOf, HOLDS_A_PLACE } from './attempt-commands.js';
import type { GuestVault } from './guest-vault.js';
import type { KeySettlement } from './idempotency-commands.js';
import type { Ledger } from './ledger.js';
import type { NewSessionEvent } from './ledger-transaction.js';
import type { OpenedDatabase } from './open-database.js';
import type { PersonalReader, SealedRow } from './personal-reader.js';
import { sessionContext } from './sealed-rows.js';
import { OWNED_BY_ANOTHER } from './session-row.js';
import type { SqliteConnection } from './sqlite-connection.js';
import type { TokenCipher } from './token-cipher.js';

/** What an attempt may need beyond its deadline to be closed: one that lets its lease pass is dead. */
export const LEASE_MARGIN_MS = 10_000;
/** When CXone is asked about an answer that was lost. */
const LOOK_SOON_MS = 2_000;
/** How often it is tried to write down what could not be written. */
const CLOSE_AGAIN_MS = 1_000;

/** Of those that have no place, so many are kept for their audit entry while nothing can be written. */
const MOST_UNWRITTEN = 500;

export interface AttemptLedgerSettings {
  readonly maxConcurrentSessions: number;
  /** Keys the HMAC that stands in for device fingerprints. */
  readonly fingerprintKey: Buffer;
  /** Whether the CRM hears of sessions that are opened. */
  readonly tellsCrm: boolean;
}

/** The books of the attempts, in SQLite: what one attempt writes at its end is one transaction. */
export class SqliteAttemptLedger implements AttemptLedger, AsyncDisposable {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #vault: GuestVault;
  readonly #cipher: TokenCipher;
  readonly #settings: AttemptLedgerSettings;
  readonly #underWay = new Set<string>();
  /** What has ended and could not be written down, by request id. */
  readonly #unwritten = new Map<string, { readonly timer: NodeJS.Timeout; readonly close: () => Promise<unknown> }>();
  #isEnding = false;

  constructor(
    ledger: Ledger,
    { reader, vault }: Pick<OpenedDatabase, 'reader' | 'vault'>,
    cipher: TokenCipher,
    settings: AttemptLedgerSettings,
  ) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#vault = vault;
    this.#cipher = cipher;
    this.#settings = settings;
  }

  /** Whether an attempt holds a place and is still at work in this process, whatever its lease says. */
  isUnderWay(requestId: string): boolean {
    return this.#underWay.has(requestId);
  }

  /** Attempts that have ended and could not be written down yet. */
  get unwritten(): readonly string[] {
    return [...this.#unwritten.keys()];
  }

  async reserve(attempt: Attempt, request: ValidRequest): Promise<void> {
    const { maxConcurrentSessions } = this.#settings;
    const { guestId, crmId, channel, priority, queueId, languagePreference } = request;
    const taken = await this.#ledger.execute('reservePlace', {
      maxConcurrentSessions,
      event: eventOf(attempt, { type: 'SESSION_REQUESTED', status: 'PENDING' }),
      sourceAddress: attempt.caller.sourceAddress,
      session: {
        id: attempt.requestId,
        callerName: attempt.caller.name,
        callerRole: attempt.caller.role,
        guestId,
        crmId,
        channel,
        priority,
        queueId,
        languagePreference,
        fingerprintHmac: this.#hmac(request.deviceFingerprint),
        createdAt: attempt.openedAt,
        fraudScore: attempt.risk?.score ?? null,
        idempotencyKey: this.#vault.blindOrNull('idempotency key', request.idempotencyKey),
        reconcileAt: fromNow(attempt.deadline.remainingMs + LEASE_MARGIN_MS),
      },
    });
    if (taken < maxConcurrentSessions) {
      this.#underWay.add(attempt.requestId);
      return;
    }
    throw new AttemptError('CAPACITY_EXCEEDED', { detail: `${taken} of ${maxConcurrentSessions} places are taken` });
  }

  heldPlaces(guestId: GuestId): readonly HeldPlace[] {
    const name = this.#vault.nameOf(guestId);
    if (name === null) return [];
    const sql = `SELECT rowid AS "place", "id", "guestId", "personal", "createdAt" + coalesce("durationMs", 0) AS "since"
      FROM "GuestSession" WHERE ${HOLDS_A_PLACE}`;
    const places = this.#reader.all<PlaceRow>(sql, name, new Date());
    const persons = this.#vault.reader();
    return places
      .sort((a, b) => a.place - b.place)
      .map((row) => ({ requestId: row.id, sessionId: sessionIdOf(row, persons), since: new Date(row.since) }));
  }

  ownedByOthers(requestId: string, sessionIds: readonly string[]): ReadonlySet<string> {
    const isOwned = (sessionId: string) =>
      this.#reader.get(OWNED_BY_ANOTHER, this.#vault.blind('session id', sessionId), requestId);
    return new Set(sessionIds.filter(isOwned));
  }

  countOpen(guestId: GuestId, exceptRequestId: string): number {
    const sql = `SELECT count(*) AS "open" FROM "GuestSession"
      WHERE "guestId" = ? AND "id" <> ? AND "status" IN ('PENDING', 'UNKNOWN') AND "sessionId" IS NULL`;
    return this.#reader.get<{ open: number }>(sql, this.#vault.nameOf(guestId), exceptRequestId)?.open ?? 0;
  }

  someLiveSession(): { readonly guestId: GuestId; readonly sessionId: string } | null {
    const sql = `SELECT "id", "guestId", "personal" FROM "GuestSession" WHERE "status" = 'ACTIVE' ORDER BY "id" DESC LIMIT 1`;
    const row = this.#reader.get<SealedRow & { id: string }>(sql);
    const { guestId, sessionId } = (row && this.#vault.personalOf(row, sessionContext(row.id))) ?? {};
    return guestId && sessionId ? { guestId: guestId as GuestId, sessionId } : null;
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
    const eventSequence = await this.#ledger.execute('closeAttempt', {
      ending,
      status: outcome.status,
      reserved: attempt.reserved,
      actor: actorOf(attempt.caller),
      fraudScore: attempt.risk?.score ?? null,
      posts: attempt.posts,
      capacityCheck: attempt.capacityCheck,
      stageDurationsMs: attempt.stageDurationsMs,
      reconcileAt: hasToBeLookedUp(attempt, ending) ? fromNow(LOOK_SOON_MS) : null,
      key: this.#settlementOf(attempt, outcome, ending),
      event,
    });
    this.#underWay.delete(attempt.requestId);
    const crmSync = crmSyncOf(outcome.status, this.#settings.tellsCrm);
    return { session: recordOf(attempt, ending, crmSync), eventSequence };
  }

  closeLater(attempt: Attempt, outcome: Outcome): void {
    const { requestId, reserved } = attempt;
    if (!reserved && this.#unwritten.size >= MOST_UNWRITTEN) return;
    const close = async () => {
      try {
        await this.close(attempt, outcome);
      } catch (error) {
        const isForNow = error instanceof AttemptError && error.code === 'LEDGER_UNAVAILABLE';
        if (isForNow && !this.#isEnding) return this.closeLater(attempt, outcome);
        // Else it never can be: it is looked up at CXone like any that was interrupted.
        this.#underWay.delete(requestId);
      }
      this.#unwritten.delete(requestId);
    };
    this.#unwritten.set(requestId, { close, timer: setTimeout(close, CLOSE_AGAIN_MS).unref() });
  }

  /** Tries once more. What cannot be written even now, the next process finds out from CXone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    const unwritten = [...this.#unwritten.values()];
    for (const { timer } of unwritten) clearTimeout(timer);
    await Promise.all(unwritten.map(({ close }) => close()));
  }

  #settlementOf(attempt: Attempt, outcome: Outcome, ending: AttemptEnding): KeySettlement | null {
    const { request, caller, holdsKey, requestId, reserved } = attempt;
    if (!holdsKey || !request?.idempotencyKey) return null;
    const succeeded = outcome.status === 'SUCCESS';
    const token = succeeded ? outcome.created.clientToken : null;
    return {
      callerName: caller.name,
      key: this.#vault.blind('idempotency key', request.idempotencyKey),
      state: succeeded ? 'SUCCEEDED' : ending.errorCode === 'FRAUD_BLOCKED' ? 'BLOCKED' : 'OPEN',
      clientToken: token === null ? null : this.#cipher.encrypt(token, requestId),
      isUnsettled: reserved && !succeeded && hasToBeLookedUp(attempt, ending),
    };
  }

  #hmac(fingerprint: string): string {
    return createHmac('sha256', this.#settings.fingerprintKey).update(fingerprint).digest('hex');
  }
}

interface PlaceRow extends SealedRow {
  /** In the order of the reservations. */
  readonly place: number;
  readonly id: string;
  readonly since: number;
}

const sessionIdOf = (row: PlaceRow, persons: PersonalReader): string | null =>
  persons.personalOf(row, sessionContext(row.id))?.sessionId ?? null;

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

/** An outcome that is unknown is looked up; a POST that was given up for lost may arrive late. */
const hasToBeLookedUp = ({ lostAnswers }: Attempt, { sessionStatus }: AttemptEnding): boolean =>
  sessionStatus === 'UNKNOWN' || lostAnswers > 0;

const fromNow = (ms: number): Date => new Date(steadyNow().getTime() + ms);
