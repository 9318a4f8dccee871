import { AttemptError } from '../errors.js';
import type { Attempt } from './attempt.js';
import { clearAway } from './clear-away.js';
import type { Conclusion } from './ledger-ports.js';
import type { Ports, ValidRequest } from './ports.js';

/**
 * The same intent gets the same answer. A key that is settled gives that answer; one that another attempt holds is waited
 * for; one that left something at CXone, nobody knows what, is cleared up first.
 *
 * @returns the answer to be repeated; null where this attempt is the one that has to open the session
 * @throws AttemptError IDEMPOTENCY_CONFLICT, IDEMPOTENCY_IN_FLIGHT, OUTCOME_UNKNOWN
 */
export async function recogniseIntent(
  attempt: Attempt,
  request: ValidRequest,
  ports: Ports,
): Promise<Conclusion | null> {
  if (request.idempotencyKey === null) return null;
  const { deadline } = attempt;
  for (;;) {
    const recognition = await ports.intents.recognise(attempt, request);
    switch (recognition.is) {
      case 'NEW':
        attempt.holdsKey = true;
        return null;
      case 'REPLAY':
        return recognition.conclusion;
      case 'CONFLICT':
        throw new AttemptError('IDEMPOTENCY_CONFLICT');
      case 'IN_FLIGHT':
        if (deadline.hasPassed) throw new AttemptError('IDEMPOTENCY_IN_FLIGHT', { retryAfterSeconds: 1 });
        await ports.intents.closing(recognition.requestId, deadline);
        break;
      case 'UNSETTLED':
        attempt.holdsKey = true;
        // What was found with its token settles the key: the next look gives it as the answer.
        if ((await clearAway(recognition.earlier, deadline, ports)) === 'CLEAR') return null;
        attempt.holdsKey = false;
    }
  }
}
