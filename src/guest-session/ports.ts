import type { AttemptError, ErrorCode, InternalError, PipelineStage, RefusalStatus } from '../errors.js';
import type { Actor, ActorRole } from './actor.js';
import type { GuestConnection } from './believed-connection.js';
import type { Deadline } from './deadline.js';
import type { AttemptLedger, IntentLedger, SessionLedger } from './ledger-ports.js';
import type { RequestIdEcho } from './request-id-echo.js';
import type { SettledAttempt } from './settle-attempt.js';
import type { SingleFlight } from './single-flight.js';

export const Channel = { WEBCHAT: 'WEBCHAT', SMS: 'SMS', WHATSAPP: 'WHATSAPP' } as const;
export type Channel = keyof typeof Channel;

export const RoutingPriority = { LOW: 'LOW', NORMAL: 'NORMAL', HIGH: 'HIGH' } as const;
export type RoutingPriority = keyof typeof RoutingPriority;

export const SessionStatus = {
  PENDING: 'PENDING',
  ACTIVE: 'ACTIVE',
  ENDED: 'ENDED',
  EXPIRED: 'EXPIRED',
  FAILED: 'FAILED',
  UNKNOWN: 'UNKNOWN',
} as const;
export type SessionStatus = keyof typeof SessionStatus;

export const CrmSyncStatus = {
  DISABLED: 'DISABLED',
  PENDING: 'PENDING',
  DELIVERED: 'DELIVERED',
  FAILED: 'FAILED',
} as const;
export type CrmSyncStatus = keyof typeof CrmSyncStatus;

/** What a caller asks for, before anything about it is believed. */
export interface CreateGuestSessionRequest {
  readonly guestId: string;
  readonly deviceFingerprint: string;
  readonly crmId?: string | null | undefined;
  readonly channel?: Channel | null | undefined;
  readonly priority?: RoutingPriority | null | undefined;
  readonly queueId?: string | null | undefined;
  readonly languagePreference?: string | null | undefined;
  readonly ipMetadata?:
    | { readonly isProxy?: boolean | null | undefined; readonly country?: string | null | undefined }
    | null
    | undefined;
  /** Names the caller's intent: however often it is sent, it opens one session. */
  readonly idempotencyKey?: string | null | undefined;
  /** The same, from the HTTP header `Idempotency-Key`. */
  readonly idempotencyKeyHeader?: string | null | undefined;
  /** What the server itself knows of the guest's connection, where it is the guest who asks. */
  readonly connection?: GuestConnection | undefined;
}

/** Which session to end, and why. */
export interface EndGuestSessionRequest {
  /** Our id; or give `sessionId`. */
  readonly id?: string | null | undefined;
  /** The id at CXone; or give `id`. */
  readonly sessionId?: string | null | undefined;
  readonly reason?: string | null | undefined;
}

/** A guest's id in its one form (lower case); minted by `guestIdOf` alone. */
export type GuestId = string & { readonly __brand: 'GuestId' };

/** A request that passed validation, with every default filled in. */
export interface ValidRequest {
  readonly guestId: GuestId;
  readonly deviceFingerprint: string;
  readonly crmId: string | null;
  readonly channel: Channel;
  readonly priority: RoutingPriority;
  readonly queueId: string;
  readonly languagePreference: string;
  readonly isProxy: boolean;
  readonly country: string | null;
  readonly idempotencyKey: string | null;
}

/** Who asks: `local` where the server runs without keys, and may do everything. */
export interface Caller extends Actor {
  readonly role: ActorRole;
}

/** What the fraud check is told. */
export interface RiskSignal {
  readonly guestId: string;
  readonly deviceFingerprint: string;
  readonly isProxy: boolean;
  readonly country: string | null;
  readonly channel: Channel;
}

export interface RiskAssessment {
  /** 0 (harmless) to 100. */
  readonly score: number;
  readonly reasons: readonly string[];
  readonly provider: string;
  /** True when the provider did not answer and the fail mode let the request pass. */
  readonly degraded: boolean;
}

export interface RiskScorer {
  /** @throws AttemptError FRAUD_CHECK_UNAVAILABLE */
  score(signal: RiskSignal, deadline: Deadline): Promise<RiskAssessment>;
}

/** The body of CXone's POST, exactly as it goes over the wire. */
export interface SessionPayload {
  readonly guestId: string;
  readonly channel: string;
  readonly routing: {
    readonly queueId: string;
    readonly priority: string;
    readonly attributes: {
      readonly sourceChannel: 'automated_gateway';
      readonly crmAccountId: string | null;
      readonly deviceFingerprint: string;
      readonly timestamp: string;
      /** Ours: finds a session again whose answer was lost. */
      readonly requestId: string;
    };
  };
  readonly metadata: {
    readonly sessionType: 'guest_initiated';
    readonly complianceFlag: 'recorded';
    readonly languagePreference: string;
  };
}

/** A session as CXone answered it. */
export interface CreatedSession {
  readonly sessionId: string;
  /** The guest's credential. */
  readonly clientToken: string;
  readonly expiresAt: Date;
}

/** A live session as CXone lists it; null is what CXone does not say. */
export interface UpstreamSession {
  readonly sessionId: string;
  /** Ours, where CXone echoes the attributes that it was given. */
  readonly requestId: string | null;
  readonly createdAt: Date | null;
  readonly expiresAt: Date | null;
  readonly clientToken: string | null;
  /** Whether CXone says that it is this guest's; some tenants list without saying. */
  readonly namesGuest: boolean;
}

/** What the pipeline does around the POSTs that open one session. */
export interface CreateSteps {
  /** Hears of every POST before it is sent. */
  onPost(): void;
  /**
   * Asked when an answer was lost: the session that the POST has opened after all, or null where there is none, so that the
   * request may be sent again.
   * @throws AttemptError OUTCOME_UNKNOWN when neither can be said, or the session has lost its token
   */
  findLost(): Promise<CreatedSession | null>;
}

/** How CXone took the order to end a session: it ended it, knew of no live one (404, 410), or cannot end any (405). */
export type UpstreamEnd = 'ENDED' | 'NOT_THERE' | 'UNSUPPORTED';

/** CXone. Every method throws AttemptError and nothing else, and none of them carries a credential. */
export interface Cxone {
  /** Makes sure of a bearer token before anything depends on it. */
  authenticate(deadline: Deadline): Promise<void>;
  /** The guest's live sessions, or `SKIPPED` where CXone does not let us ask (403, 404). */
  listActiveSessions(guestId: GuestId, deadline: Deadline): Promise<readonly UpstreamSession[] | 'SKIPPED'>;
  /** Opens one session. After an answer that was lost it asks `findLost` before it sends again. */
  createSession(payload: SessionPayload, deadline: Deadline, steps: CreateSteps): Promise<CreatedSession>;
  /** Ends one session. */
  endSession(sessionId: string, deadline: Deadline): Promise<UpstreamEnd>;
}

export const CapacityCheck = { CHECKED: 'CHECKED', SKIPPED: 'SKIPPED' } as const;
export type CapacityCheck = keyof typeof CapacityCheck;

/** A session as it is answered. */
export interface OpenedSession extends Omit<CreatedSession, 'clientToken'> {
  /** Null where the answer is a replay and the session is over. */
  readonly clientToken: string | null;
}

/** How one attempt ended: exactly one of these, written once. */
export type Outcome =
  | { readonly status: 'SUCCESS'; readonly created: OpenedSession }
  | {
      readonly status: RefusalStatus;
      readonly error: AttemptError | InternalError;
      /** The step that refused. */
      readonly stage: PipelineStage;
    };

/** A session as we keep it. */
export interface GuestSessionRecord {
  /** The request id of the attempt that opened it. */
  readonly id: string;
  /** Who asked for it. */
  readonly callerName: string;
  /** `erased` once the guest is. */
  readonly guestId: string;
  readonly crmId: string | null;
  readonly channel: Channel;
  readonly status: SessionStatus;
  readonly createdAt: Date;
  readonly sessionId: string | null;
  readonly expiresAt: Date | null;
  readonly endedAt: Date | null;
  /** Whether CXone has ended it as well; null while it has not been ended. */
  readonly endedUpstream: boolean | null;
  readonly durationMs: number | null;
  readonly attempts: number;
  readonly crmSync: CrmSyncStatus;
  readonly fraudScore: number | null;
  readonly failureCode: ErrorCode | null;
  /** Whether the guest was erased: then nobody knows whose session it was. */
  readonly erased: boolean;
}

/** Everything that the pipeline needs from the world. */
export interface Ports {
  readonly scorer: RiskScorer;
  readonly cxone: Cxone;
  /** Remembers, from list to list. */
  readonly echo: RequestIdEcho;
  readonly settling: SingleFlight<SettledAttempt>;
  readonly intents: IntentLedger;
  readonly ledger: AttemptLedger;
  readonly sessions: SessionLedger;
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
  readonly rules: {
    readonly fraudThreshold: number;
    readonly maxConcurrentSessions: number;
    readonly createDeadlineMs: number;
    /** Where a request without a queue goes. */
    readonly defaultQueueId: string;
    /** Whether sessions are ended at CXone, or here alone. */
    readonly endsUpstream: boolean;
    /** So far CXone's list may be behind CXone's own answers: a session that is younger is not missed in it. */
    readonly listLagMs: number;
  };
}
