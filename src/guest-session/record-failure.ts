import { AttemptError, loggable } from '../errors.js';
import type { FailedOrder } from './ledger-ports.js';
import type { Ports } from './ports.js';

/** Writes down that an order came to nothing, and why. Never throws: what was ordered is still to be answered. */
export async function recordFailure(failed: FailedOrder, { sessions, log }: Ports): Promise<void> {
  const { requestId, kind, error } = failed;
  if (error instanceof AttemptError && error.status === 'FAILED')
    log.warn({ requestId, kind, ...loggable(error) }, 'an order came to nothing');
  try {
    await sessions.recordFailure(failed);
  } catch (unwritten) {
    const why = unwritten instanceof AttemptError ? { reason: unwritten.detail } : { err: unwritten };
    log.error(
      { ...why, requestId, kind, failure: error.message },
      'that an order came to nothing could not be written',
    );
  }
}
