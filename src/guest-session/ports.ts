import type { AttemptError, ErrorCode, InternalError, PipelineStage, RefusalStatus } from '../errors.js';
import type { Attempt } from './attempt.js';
import type { Deadline } from './deadline.js';

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
}

/** A guest's id in its one form (lower case); minted by {@link validateRequest} alone. */
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
}

/** Who asks: the name of its API key, or `local` where the server runs without keys. */
export interface Caller {
  readonly name: string;
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
  /** The guest's credential: answered once, kept nowhere. */
  readonly clientToken: string;
  readonly expiresAt: Date;
}

/** A live session as CXone lists it; `requestId` is null where CXone does not echo our attributes. */
export interface UpstreamSession {
  readonly sessionId: string;
  readonly requestId: string | null;
}

/** CXone. Every method throws AttemptError and nothing else, and none of them carries a credential. */
export interface Cxone {
  /** Makes sure of a bearer token before anything depends on it. */
  authenticate(deadline: Deadline): Promise<void>;
  /** The guest's live sessions, or `SKIPPED` where CXone does not let us ask (403, 404). */
  listActiveSessions(guestId: GuestId, deadline: Deadline): Promise<readonly UpstreamSession[] | 'SKIPPED'>;
  /** Opens one session. `onAttempt` hears of every POST before it is sent. */
  createSession(payload: SessionPayload, deadline: Deadline, onAttempt: () => void): Promise<CreatedSession>;
}

/** A row of ours that holds one of the guest's places: a live session, or a reservation in flight. */
export interface HeldPlace {
  readonly requestId: string;
  /** Null while the attempt is in flight or its outcome unknown. */
  readonly sessionId: string | null;
}

export const CapacityCheck = { CHECKED: 'CHECKED', SKIPPED: 'SKIPPED' } as const;
export type CapacityCheck = keyof typeof CapacityCheck;

/** How one attempt ended: exactly one of these, written once. */
export type Outcome =
  | { readonly status: 'SUCCESS'; readonly created: CreatedSession }
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
  readonly guestId: string;
  readonly crmId: string | null;
  readonly channel: Channel;
  readonly status: SessionStatus;
  readonly createdAt: Date;
  readonly sessionId: string | null;
  readonly expiresAt: Date | null;
  readonly endedAt: Date | null;
  readonly durationMs: number | null;
  readonly attempts: number;
  readonly crmSync: CrmSyncStatus;
  readonly fraudScore: number | null;
  readonly failureCode: ErrorCode | null;
}

/** What the ledger made of a closed attempt. */
export interface Closed {
  readonly session: GuestSessionRecord | null;
  /** Sequence of the lifecycle event that tells of the outcome; null when it could not be written. */
  readonly eventSequence: number | null;
}

/** The books. What writes is one transaction, and resolves after its commit. */
export interface AttemptLedger {
  /**
   * Takes one of the guest's places, if one is free, by writing the PENDING row.
   * @throws AttemptError CAPACITY_EXCEEDED
   */
  reserve(attempt: Attempt, request: ValidRequest): Promise<void>;
  /** The places that this guest holds now, oldest reservation first. */
  heldPlaces(guestId: GuestId): readonly HeldPlace[];
  /** Writes the outcome: session, audit entry, lifecycle event, outbox row and metrics. */
  close(attempt: Attempt, outcome: Outcome): Promise<Closed>;
}

/** Everything that the pipeline needs from the world. */
export interface Ports {
  readonly scorer: RiskScorer;
  readonly cxone: Cxone;
  readonly ledger: AttemptLedger;
  readonly log: { error(fields: object, message: string): void };
  readonly rules: {
    readonly fraudThreshold: number;
    readonly maxConcurrentSessions: number;
    readonly createDeadlineMs: number;
    /** Where a request without a queue goes. */
    readonly defaultQueueId: string;
  };
}
