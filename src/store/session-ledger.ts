import { AttemptError } from '../errors.js';
import { type Actor, actorOf } from '../guest-session/actor.js';
import type {
  Erasure,
  FailedOrder,
  Finding,
  SessionEnd,
  SessionLedger,
  Settlement,
} from '../guest-session/ledger-ports.js';
import type { GuestId, GuestSessionRecord } from '../guest-session/ports.js';
import { steadyNow } from '../guest-session/steady-clock.js';
import { UNCERTAIN_PLACE_MS } from './attempt-commands.js';
import type { Ledger } from './ledger.js';
import { IS_DUE_FOR_RECONCILIATION } from './session-commands.js';
import type { SessionReader } from './session-reader.js';
import type { SqliteConnection } from './sqlite-connection.js';
import type { TokenCipher } from './token-cipher.js';

/** The books of sessions that are there, or may be. */
export class SqliteSessionLedger implements SessionLedger {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #sessions: SessionReader;
  readonly #cipher: TokenCipher;

  constructor(ledger: Ledger, reader: SqliteConnection, sessions: SessionReader, cipher: TokenCipher) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#sessions = sessions;
    this.#cipher = cipher;
  }

  byId(id: string): Promise<GuestSessionRecord | null> {
    return this.#sessions.byId(id);
  }

  bySessionId(sessionId: string): Promise<GuestSessionRecord | null> {
    return this.#sessions.bySessionId(sessionId);
  }

  async reconcile(attempt: GuestSessionRecord, { session, hasSurplus }: Finding): Promise<Settlement> {
    const { id } = attempt;
    const expiresAt = session?.expiresAt ?? attempt.expiresAt ?? new Date(Date.now() + UNCERTAIN_PLACE_MS);
    const token = session?.clientToken ?? null;
    const found = session && {
      sessionId: session.sessionId,
      expiresAt,
      clientToken: token === null ? null : this.#cipher.encrypt(token, id),
    };
    const isAnswer = await this.#ledger.execute('reconcileAttempt', {
      id,
      was: attempt.status,
      found,
      hasSurplus,
      reason: found ? `CXone has the session ${found.sessionId}` : 'CXone has no session of this attempt',
      now: steadyNow(),
    });
    return { session: await this.#current(id), isAnswer };
  }

  async recordSurplus(id: string, sessionIds: readonly string[]): Promise<void> {
    await this.#ledger.execute('recordSurplus', { id, sessionIds });
  }

  async end(id: string, end: SessionEnd): Promise<GuestSessionRecord> {
    await this.#ledger.execute('endSession', { id, ...end });
    return this.#current(id);
  }

  async recordFailure({ requestId, actor, error, ...order }: FailedOrder): Promise<void> {
    const isBug = !(error instanceof AttemptError);
    await this.#ledger.execute('recordFailure', {
      kind: order.kind,
      sessionOf: order.kind === 'SESSION_ENDED' ? (order.session?.id ?? null) : null,
      guestId: order.kind === 'GUEST_ERASED' ? order.guestId : null,
      requestId,
      actor: actorOf(actor),
      status: isBug ? 'FAILED' : error.status,
      errorCode: isBug ? null : error.code,
      reason: isBug ? `internal error ${requestId}` : (error.detail ?? error.message),
    });
  }

  eraseGuest(guestId: GuestId, requestId: string, actor: Actor): Promise<Erasure> {
    return this.#ledger.execute('eraseGuest', { guestId, requestId, actor: actorOf(actor), now: steadyNow() });
  }

  /** Makes due what an earlier process has left open, whatever its clock said. @returns how many attempts */
  releaseAbandoned(): Promise<number> {
    return this.#ledger.execute('releaseAbandonedAttempts', { now: steadyNow() });
  }

  /** Attempts that have to be looked up at CXone, the longest waiting first. */
  async dueForReconciliation(limit: number): Promise<GuestSessionRecord[]> {
    const sql = `SELECT "id" FROM "GuestSession" WHERE ${IS_DUE_FOR_RECONCILIATION} ORDER BY "reconcileAt" LIMIT ?`;
    const due = this.#reader.all<{ id: string }>(sql, steadyNow(), limit);
    if (due.length === 0) return [];
    const sessions = new Map(
      (await this.#sessions.byIds(due.map(({ id }) => id))).map((session) => [session.id, session]),
    );
    return due.flatMap(({ id }) => sessions.get(id) ?? []);
  }

  /** Puts off the next look at an attempt, or gives up finding out. @returns whether it was given up */
  postpone({ id }: GuestSessionRecord): Promise<boolean> {
    return this.#ledger.execute('postponeReconciliation', { id, now: steadyNow() });
  }

  async #current(id: string): Promise<GuestSessionRecord> {
    const session = await this.#sessions.byId(id);
    if (!session) throw new Error(`there is no session ${id}`);
    return session;
  }
}
