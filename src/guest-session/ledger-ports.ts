import type { AttemptError, InternalError } from '../errors.js';
import type { Actor } from './actor.js';
import type { Attempt } from './attempt.js';
import type { Deadline } from './deadline.js';
import type { GuestId, GuestSessionRecord, Outcome, SessionStatus, UpstreamSession, ValidRequest } from './ports.js';

/** A row of ours that holds one of the guest's places: a live session, or a reservation in flight. */
export interface HeldPlace {
  readonly requestId: string;
  /** Null while the attempt is in flight or its outcome unknown. */
  readonly sessionId: string | null;
  /** When the session was opened, or the attempt begun. */
  readonly since: Date;
}

/** What the ledger made of a closed attempt. */
export interface Closed {
  readonly session: GuestSessionRecord | null;
  /** Sequence of the lifecycle event that tells of the outcome; null when it could not be written. */
  readonly eventSequence: number | null;
}

/** How an attempt ended, and what the books made of it. */
export interface Conclusion extends Closed {
  readonly requestId: string;
  readonly outcome: Outcome;
  /** True when this is the answer to an earlier request with the same idempotency key. */
  readonly replayed: boolean;
}

/** What the books know of an idempotency key when an attempt asks for it. */
export type Recognition =
  /** The attempt holds the key now. */
  | { readonly is: 'NEW' }
  /** Settled: this is the answer. */
  | { readonly is: 'REPLAY'; readonly conclusion: Conclusion }
  /** Used for another input. */
  | { readonly is: 'CONFLICT' }
  /** Another attempt holds it. */
  | { readonly is: 'IN_FLIGHT'; readonly requestId: string }
  /** The attempt holds the key now, and has to find out first what an earlier one has left at CXone. */
  | { readonly is: 'UNSETTLED'; readonly earlier: GuestSessionRecord };

/** What was found at CXone of an attempt whose outcome was not known. */
export interface Finding {
  /** Null where there is none. */
  readonly session: UpstreamSession | null;
  /** Whether there are others beside it: then it is looked at again. */
  readonly hasSurplus: boolean;
}

/** What has become of an attempt. */
export interface Settlement {
  readonly session: GuestSessionRecord;
  /** Whether its idempotency key gives the session and its token as the answer now. */
  readonly isAnswer: boolean;
}

/** Why and how a session was ended. */
export interface SessionEnd {
  /** For everybody who sees the session's events. */
  readonly reason: string | null;
  /** For operations. */
  readonly detail?: string | null;
  /** Who wanted it. */
  readonly actor: Actor;
  readonly endedUpstream: boolean;
}

/** An order that came to nothing. */
export type FailedOrder = {
  /** Names the order. */
  readonly requestId: string;
  readonly actor: Actor;
  readonly error: AttemptError | InternalError;
} & (
  | {
      readonly kind: 'SESSION_ENDED';
      /** The session that was meant, also if the caller may not know of it; null where there is none. */
      readonly session: GuestSessionRecord | null;
    }
  | { readonly kind: 'GUEST_ERASED'; readonly guestId: GuestId }
);

/** What there is of a guest that keeps it from being erased. */
export interface OpenAttempt {
  readonly id: string;
  readonly status: SessionStatus;
  /** In how many milliseconds CXone is to be asked what became of it, or whether anything arrived late; null where it is not. */
  readonly lookInMs: number | null;
}

/** What came of the order to forget a guest. */
export type Erasure = {
  /** Audit entries from before personal data was sealed: they hold the guest's id, and cannot be changed. */
  readonly entriesInTheClear: number;
} & (
  | { readonly is: 'ERASED' }
  /** Nobody has heard of the guest, or it was erased before: the two cannot be told apart. */
  | { readonly is: 'UNKNOWN_GUEST' }
  /** Nothing was changed. */
  | { readonly is: 'OPEN'; readonly attempts: readonly OpenAttempt[] }
);

/** The books of the intents that callers have named with idempotency keys. */
export interface IntentLedger {
  /** Claims the request's idempotency key for this attempt, unless it is settled or held. */
  recognise(attempt: Attempt, request: ValidRequest): Promise<Recognition>;
  /** Resolves when an attempt has been closed, or may have been. */
  closing(requestId: string, deadline: Deadline): Promise<void>;
}

/** The books of attempts. What writes is one transaction, and resolves after its commit. */
export interface AttemptLedger {
  /**
   * Takes one of the guest's places, if one is free, by writing the PENDING row.
   * @throws AttemptError CAPACITY_EXCEEDED
   */
  reserve(attempt: Attempt, request: ValidRequest): Promise<void>;
  /** The places that this guest holds now, oldest reservation first. */
  heldPlaces(guestId: GuestId): readonly HeldPlace[];
  /** Which of these sessions of CXone belong to an attempt other than this one. */
  ownedByOthers(requestId: string, sessionIds: readonly string[]): ReadonlySet<string>;
  /** How many attempts of the guest, other than this one, may have a session that the books do not know. */
  countOpen(guestId: GuestId, exceptRequestId: string): number;
  /** A session of ours that is live, of whichever guest; null where there is none. */
  someLiveSession(): { readonly guestId: GuestId; readonly sessionId: string } | null;
  /** Writes the outcome: session, audit entry, lifecycle event, outbox row, metrics and what the idempotency key stands for. */
  close(attempt: Attempt, outcome: Outcome): Promise<Closed>;
  /** Goes on trying to write an outcome that could not be written, for as long as the process lives. */
  closeLater(attempt: Attempt, outcome: Outcome): void;
}

/** The books of sessions that are there, or may be. */
export interface SessionLedger {
  byId(id: string): Promise<GuestSessionRecord | null>;
  bySessionId(sessionId: string): Promise<GuestSessionRecord | null>;
  /**
   * Writes down what became of an attempt that was interrupted or whose answer was lost.
   * @returns how it stands then: also when somebody else was faster
   */
  reconcile(attempt: GuestSessionRecord, finding: Finding): Promise<Settlement>;
  /** Writes down that sessions which an attempt had opened beside its own are over. */
  recordSurplus(id: string, sessionIds: readonly string[]): Promise<void>;
  /** Ends a session in the books. @returns the session as it stands then: also when it was over before */
  end(id: string, end: SessionEnd): Promise<GuestSessionRecord>;
  /** Writes down that an order came to nothing, and why. */
  recordFailure(failed: FailedOrder): Promise<void>;
  /**
   * Forgets who a guest is, for good, unless something of it is live or open: in one transaction, so that nothing can be opened in
   * between.
   * @param requestId names the act in the audit trail
   */
  eraseGuest(guestId: GuestId, requestId: string, actor: Actor): Promise<Erasure>;
}
