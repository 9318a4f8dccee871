import type { Admission, Admitted, Arrival } from '../access/gate.js';
import { forbidden, unauthenticated } from './error-format.js';

/** Tells who asks; throws for nobody. */
export type Authenticate = (authorization: string | undefined, arrival: Arrival) => Admitted;

/** Says in GraphQL's errors why the gate lets somebody not in. */
export const authenticateAt =
  (gate: { admit(authorization: string | undefined, arrival: Arrival): Admission }): Authenticate =>
  (authorization, arrival) => {
    const admission = gate.admit(authorization, arrival);
    if (admission.caller) return admission.caller;
    if (admission.isForeign)
      throw forbidden('This API key may not be used from here: it is for certain web pages.', 403);
    throw unauthenticated('Send a valid API key: "Authorization: Bearer …".');
  };
