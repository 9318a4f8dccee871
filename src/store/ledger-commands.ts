import { closeAttempt, reservePlace } from './attempt-commands.js';
import { recordCheckpoint } from './checkpoint-commands.js';
import { claimDeliveries, releaseAbandonedDeliveries, releaseDelivery } from './delivery-queue.js';
import { replayDeliveries, replayDelivery } from './delivery-replays.js';
import { removeOldDeliveries } from './delivery-retention.js';
import { buryDeliveries, recordTry } from './delivery-tries.js';
import { eraseGuest } from './erase-guest-commands.js';
import { removeOldEvents } from './event-retention.js';
import { expireSessions } from './expiry-commands.js';
import { claimKey, forgetKeys } from './idempotency-commands.js';
import { meetEndpoint, resumeEndpoint, reviveDeliveries } from './resume-endpoint.js';
import {
  endSession,
  postponeReconciliation,
  reconcileAttempt,
  recordSurplus,
  releaseAbandonedAttempts,
} from './session-commands.js';
import { removeOldSessions } from './session-retention.js';
import { recordFailure, recordKeyChange, recordRefusals, recordStart } from './trail-commands.js';

/**
 * All that is ever written. A command is a function of the transaction and one argument of plain data, so that it can be sent
 * to the thread that writes.
 */
export const LEDGER_COMMANDS = {
  reservePlace,
  closeAttempt,
  claimKey,
  forgetKeys,
  endSession,
  eraseGuest,
  expireSessions,
  reconcileAttempt,
  recordSurplus,
  postponeReconciliation,
  releaseAbandonedAttempts,
  claimDeliveries,
  releaseDelivery,
  releaseAbandonedDeliveries,
  recordTry,
  buryDeliveries,
  replayDelivery,
  replayDeliveries,
  meetEndpoint,
  resumeEndpoint,
  reviveDeliveries,
  removeOldEvents,
  removeOldDeliveries,
  removeOldSessions,
  recordCheckpoint,
  recordFailure,
  recordKeyChange,
  recordRefusals,
  recordStart,
} as const;

type Commands = typeof LEDGER_COMMANDS;
export type CommandName = keyof Commands;
export type CommandArguments<Name extends CommandName> = Parameters<Commands[Name]>[1];
export type CommandResult<Name extends CommandName> = ReturnType<Commands[Name]>;
