import type { Admission, Admitted, Arrival } from '../access/gate.js';
import { KeySetUnavailableError } from '../access/remote-key-set.js';
import type { RequestRates } from '../access/request-rates.js';
import { forbidden, tooManyRequests, unauthenticated, unavailable } from './error-format.js';

/** Tells who asks, and counts that; rejects for nobody, and for who asks too often. */
export type Authenticate = (authorization: string | undefined, arrival: Arrival) => Promise<Admitted>;

/** Says in GraphQL's errors why the gate lets somebody not in. */
export const authenticateAt =
  (
    gate: { admit(authorization: string | undefined, arrival: Arrival): Promise<Admission> },
    rates: Pick<RequestRates, 'countRequest' | 'countRefused'>,
  ): Authenticate =>
  async (authorization, arrival) => {
    const admission = await gate.admit(authorization, arrival).catch((error: unknown) => {
      if (error instanceof KeySetUnavailableError) return null;
      throw error;
    });
    // A good key is told apart before anything is counted: it gets in from an address that others flood from.
    const waitSeconds = admission?.caller
      ? await rates.countRequest(admission.caller, arrival.client)
      : await rates.countRefused(arrival.client);
    if (waitSeconds !== null) throw tooManyRequests(waitSeconds, 'HTTP');
    if (!admission) throw unavailable('Tokens cannot be checked at the moment. Try again later.');
    if (admission.caller) return admission.caller;
    if (admission.isForeign)
      throw forbidden('This API key or token may not be used from here: it is for certain web pages.', 403);
    throw unauthenticated('Send a valid API key or token: "Authorization: Bearer …".');
  };
