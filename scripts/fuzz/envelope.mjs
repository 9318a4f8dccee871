/** What the server takes over HTTP, and in a frame. */
const MOST_BYTES = 100_000;

/** @typedef {import('./hostile-requests.mjs').HostileRequest} HostileRequest */

/**
 * The JSON of a request. Documents that were found good are remembered by the server: the nonce makes each a new one.
 *
 * @param {HostileRequest} request
 * @param {number} nonce
 */
export function jsonOf({ query, variables, more, isBatch = false }, nonce) {
  // First, since what comes later in an object stands.
  const members = [`"query":${JSON.stringify(`${query}#${nonce}`)}`];
  if (variables !== undefined) members.push(`"variables":${variables}`);
  if (more !== undefined) members.push(more);
  const one = `{${members.join(',')}}`;
  return isBatch ? `[${one},${one}]` : one;
}

/** Room for what a frame has beside the payload, and for the nonce. */
const MARGIN = 100;

/** Whether the server would look at it at all. @param {HostileRequest} request */
export const fits = (request) => Buffer.byteLength(jsonOf(request, 0)) + MARGIN <= MOST_BYTES;
