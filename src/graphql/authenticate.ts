import type { Admission, Admitted, Arrival } from '../access/gate.js';
import { KeySetUnavailableError } from '../access/remote-key-set.js';
import { forbidden, unauthenticated, unavailable } from './error-format.js';

/** Tells who asks; throws for nobody. */
export type Authenticate = (authorization: string | undefined, arrival: Arrival) => Promise<Admitted>;

/** Says in GraphQL's errors why the gate lets somebody not in. */
export const authenticateAt =
  (gate: { admit(authorization: string | undefined, arrival: Arrival): Promise<Admission> }): Authenticate =>
  async (authorization, arrival) => {
    const admission = await gate.admit(authorization, arrival).catch((error: unknown) => {
      throw error instanceof KeySetUnavailableError ? cannotTell() : error;
    });
    if (admission.caller) return admission.caller;
    if (admission.isForeign)
      throw forbidden('This API key or token may not be used from here: it is for certain web pages.', 403);
    throw unauthenticated('Send a valid API key or token: "Authorization: Bearer …".');
  };

const cannotTell = () => unavailable('Tokens cannot be checked at the moment. Try again later.');
