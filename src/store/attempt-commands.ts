import type { PipelineStage } from '../errors.js';
import type { Actor, ActorRole } from '../guest-session/actor.js';
import type { AttemptEnding } from '../guest-session/attempt-ending.js';
import type { CapacityCheck, Channel, RoutingPriority } from '../guest-session/ports.js';
import type { AuditStatus } from './audit-chain.js';
import { type KeySettlement, settleKey } from './idempotency-commands.js';
import type { LedgerTransaction, NewSessionEvent } from './ledger-transaction.js';
import { sealSession } from './sealed-rows.js';

/**
 * How long an attempt in flight, or one whose outcome is unknown, holds its place when nothing else is learned of it: longer
 * than any attempt takes, and short enough that a crash does not lock a guest out for a day.
 */
export const UNCERTAIN_PLACE_MS = 3_600_000;

/**
 * Which of a guest's rows hold a place; to be asked with the name of the guest's key and the time. Whoever gives a place up sets the time
 * back, so that the index finds what is live and nothing else.
 */
export const HOLDS_A_PLACE = `"guestId" = ? AND "placeHeldUntil" > ? AND "status" IN ('PENDING', 'ACTIVE', 'UNKNOWN')`;

/** The PENDING row to be. */
export interface Reservation {
  readonly maxConcurrentSessions: number;
  readonly event: NewSessionEvent;
  readonly sourceAddress: string | null;
  readonly session: {
    readonly id: string;
    readonly callerName: string;
    readonly callerRole: ActorRole;
    readonly guestId: string;
    readonly crmId: string | null;
    readonly channel: Channel;
    readonly priority: RoutingPriority;
    readonly queueId: string;
    readonly languagePreference: string;
    readonly fingerprintHmac: string;
    readonly createdAt: Date;
    readonly fraudScore: number | null;
    /** Keyed hash. */
    readonly idempotencyKey: string | null;
    /** The lease of the attempt. */
    readonly reconcileAt: Date;
  };
}

/** Takes a place by writing the PENDING row, if one is free. @returns how many were taken before */
export function reservePlace(transaction: LedgerTransaction, reservation: Reservation): number {
  const { session, event, sourceAddress, maxConcurrentSessions } = reservation;
  const { guestId, crmId } = session;
  const sealed = sealSession(transaction.vault, session.id, { guestId, crmId, sourceAddress });
  const now = new Date();
  const sql = `SELECT count(*) AS "places" FROM "GuestSession" WHERE ${HOLDS_A_PLACE}`;
  const places = transaction.db.get<{ places: number }>(sql, sealed.guestId, now)?.places ?? 0;
  if (places >= maxConcurrentSessions) return places;
  const placeHeldUntil = new Date(now.getTime() + UNCERTAIN_PLACE_MS);
  transaction.insert('GuestSession', { ...session, ...sealed, status: 'PENDING', placeHeldUntil });
  transaction.appendEvent(event);
  return places;
}

/** All that one attempt writes at its end. */
export interface AttemptClose {
  readonly ending: AttemptEnding;
  readonly status: AuditStatus;
  /** Whether there is a row to update. */
  readonly reserved: boolean;
  readonly actor: Actor;
  readonly fraudScore: number | null;
  readonly posts: number;
  readonly capacityCheck: CapacityCheck | null;
  readonly stageDurationsMs: ReadonlyMap<PipelineStage, number>;
  /** When CXone is to be asked what became of it; null where that is known. */
  readonly reconcileAt: Date | null;
  /** What its idempotency key stands for now; null where it holds none. */
  readonly key: KeySettlement | null;
  readonly event: NewSessionEvent;
}

/** Closes an attempt: session, event, webhook, audit entry and metrics. @returns the sequence of the event */
export function closeAttempt(transaction: LedgerTransaction, close: AttemptClose): number {
  const { ending, status, event, posts, fraudScore } = close;
  const { requestId } = event;
  if (close.reserved) updateSession(transaction, close);
  const { sequence } = transaction.appendEvent(event);
  transaction.appendAudit({
    requestId,
    kind: 'SESSION_INITIATION',
    status,
    reason: ending.reason,
    errorCode: ending.errorCode,
    guestId: event.guestId,
    crmId: event.crmId,
    sessionId: ending.sessionId,
    actor: close.actor,
    durationMs: ending.durationMs,
    fraudScore,
    attempts: posts,
    capacityCheck: close.capacityCheck,
    crmSynced: null,
  });
  if (close.key) settleKey(transaction, requestId, close.key, sequence);
  const { durationMs, errorCode } = ending;
  const { stageDurationsMs } = close;
  transaction.measurements.push({
    of: 'attempt',
    at: event.occurredAt,
    status,
    errorCode,
    durationMs,
    stageDurationsMs,
  });
  return sequence;
}

function updateSession({ db, vault, tellsCrm }: LedgerTransaction, close: AttemptClose): void {
  const { ending, posts, event, reconcileAt } = close;
  const { requestId, guestId, crmId } = event;
  if (guestId === null) throw new Error(`the attempt ${requestId} has a place and no guest`);
  const { sessionId, personal } = sealSession(vault, requestId, { guestId, crmId, sessionId: ending.sessionId });
  const updated = db.run(
    `UPDATE "GuestSession" SET "status" = ?, "sessionId" = ?, "personal" = ?, "expiresAt" = ?, "placeHeldUntil" = ?,
       "durationMs" = ?, "attempts" = ?, "failureCode" = ?, "crmSync" = ?, "reconcileAt" = ? WHERE "id" = ? AND "status" = 'PENDING'`,
    ending.sessionStatus,
    sessionId,
    personal,
    ending.expiresAt,
    placeHeldUntil(ending),
    ending.durationMs,
    posts,
    ending.errorCode,
    crmSyncOf(close.status, tellsCrm),
    reconcileAt,
    requestId,
  );
  if (updated !== 1) throw new Error(`the attempt ${requestId} was closed before`);
}

/** Whether the CRM is to be told of a session: of those that are opened. */
export const crmSyncOf = (status: AuditStatus, tellsCrm: boolean): 'PENDING' | 'DISABLED' =>
  status === 'SUCCESS' && tellsCrm ? 'PENDING' : 'DISABLED';

function placeHeldUntil({ sessionStatus, expiresAt }: AttemptEnding): Date {
  const now = new Date();
  if (sessionStatus === 'ACTIVE') return expiresAt ?? now;
  if (sessionStatus !== 'UNKNOWN') return now;
  return expiresAt ?? new Date(now.getTime() + UNCERTAIN_PLACE_MS);
}
