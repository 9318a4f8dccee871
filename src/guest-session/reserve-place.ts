import { AttemptError } from '../errors.js';
import type { Attempt } from './attempt.js';
import { isMissable, lookUpstream } from './look-upstream.js';
import type { Ports, ValidRequest } from './ports.js';

/**
 * Takes one of the guest's places. Where our books say that all are taken, CXone is asked whether they still are: sessions
 * end there without our knowing.
 *
 * @throws AttemptError CAPACITY_EXCEEDED
 */
export async function reservePlace(attempt: Attempt, request: ValidRequest, ports: Ports): Promise<void> {
  try {
    await ports.ledger.reserve(attempt, request);
  } catch (error) {
    const isFull = error instanceof AttemptError && error.code === 'CAPACITY_EXCEEDED';
    if (!isFull || !(await hasEndedAny(attempt, request, ports))) throw error;
    await ports.ledger.reserve(attempt, request);
  }
}

async function hasEndedAny({ deadline }: Attempt, { guestId }: ValidRequest, ports: Ports): Promise<boolean> {
  const { listLagMs } = ports.rules;
  // Where all are too young to be missed CXone could tell us nothing.
  if (!ports.ledger.heldPlaces(guestId).some((place) => isMissable(place, listLagMs))) return false;
  try {
    return (await lookUpstream(guestId, deadline, ports)).ended > 0;
  } catch (error) {
    if (error instanceof AttemptError) return false; // what our books say then stands
    throw error;
  }
}
