import { loadSettings } from './config.js';
import { createEngine, type Engine } from './engine.js';
import { AttemptError, type ErrorCode, StartupError } from './errors.js';
import type { Caller, CreateGuestSessionRequest } from './guest-session/ports.js';
import type { AuditRecord } from './store/audit-chain.js';

export { AttemptError, type AuditRecord, type ErrorCode };

const PAGE_SIZE = 1_000;

/** A session that was opened for a guest. */
export interface InitiatedSession {
  /** Names the attempt in the audit trail, and in the `X-Request-Id` that CXone got. */
  readonly requestId: string;
  readonly sessionId: string;
  /** The guest's credential; null when an idempotency key was sent again and the session is over. */
  readonly clientToken: string | null;
  readonly expiresAt: Date;
  readonly durationMs: number;
}

/** The settings of README's table, as in the environment: `{ CXONE_BASE_URL: '…', DATABASE_URL: 'file:…' }`. */
export type SessionInitiatorConfig = Readonly<Record<string, string>>;

/**
 * The pipeline without the server: the same rules, retries, books and webhooks, called from your own code.
 *
 * ```ts
 * const initiator = await SessionInitiator.create({ DATABASE_URL: 'file:./data/guest-sessions.db' });
 * const { sessionId, clientToken } = await initiator.initiateGuestSession(guestId, fingerprint, crmId, { isProxy: false });
 * ```
 */
export class SessionInitiator implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #caller: Caller;

  private constructor(engine: Engine, callerName: string) {
    this.#engine = engine;
    this.#caller = { name: callerName, role: 'BACKEND', sourceAddress: null };
  }

  /**
   * Opens the books and whatever else it takes. Without `CXONE_BASE_URL` it runs on the embedded sandbox.
   * @param config settings; the environment is not read
   * @param callerName who the audit trail shall say it was
   * @throws StartupError with all that is wrong with the settings, or when the database cannot be opened
   */
  static async create(config: SessionInitiatorConfig = {}, callerName = 'library'): Promise<SessionInitiator> {
    if (!/^[\x20-\x7e]{1,100}$/.test(callerName)) {
      throw new StartupError('callerName must be 1 to 100 plain characters: it is the actor in the audit trail');
    }
    return new SessionInitiator(await createEngine(loadSettings({ LOG_LEVEL: 'warn', ...config })), callerName);
  }

  /**
   * Opens one session.
   * @param idempotencyKey names the intent: sent again with the same input it gives the same session
   * @throws AttemptError when it is refused or fails: `code` says why, `retryable` and `retryAfterSeconds` whether to try again
   */
  async initiateGuestSession(
    guestId: string,
    deviceFingerprint: string,
    crmId?: string | null,
    ipMetadata?: CreateGuestSessionRequest['ipMetadata'],
    idempotencyKey?: string,
  ): Promise<InitiatedSession> {
    const request = { guestId, deviceFingerprint, crmId, ipMetadata, idempotencyKey };
    const { requestId, outcome, session } = await this.#engine.services.open(request, this.#caller);
    if (outcome.status !== 'SUCCESS') throw outcome.error;
    return { requestId, ...outcome.created, durationMs: session?.durationMs ?? 0 };
  }

  /**
   * Ends a session, at CXone and in the books. To end one that is over changes nothing.
   * @param sessionId the id at CXone
   * @throws AttemptError when it could not be ended
   */
  async endGuestSession(sessionId: string, reason?: string): Promise<void> {
    const { error } = await this.#engine.services.end({ sessionId, reason }, this.#caller);
    if (error) throw error;
  }

  /** The whole audit trail, oldest first. */
  async getAuditTrail(): Promise<AuditRecord[]> {
    const { audits } = this.#engine.services;
    const trail: AuditRecord[] = [];
    for (;;) {
      const page = await audits.after(trail.at(-1)?.sequence ?? 0, PAGE_SIZE);
      trail.push(...page);
      if (page.length < PAGE_SIZE) return trail;
    }
  }

  /** Finishes what is under way and closes the books. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
  }
}
