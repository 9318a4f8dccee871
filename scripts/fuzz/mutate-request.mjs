import { fits } from './envelope.mjs';
import { hostileJson } from './hostile-values.mjs';
import { ROLES } from './server-under-test.mjs';

/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {import('./hostile-requests.mjs').HostileRequest} HostileRequest */

/** Tokens and what stands in braces: where a document can be cut so that something is left. */
const PIECES = /\{[^{}]*\}|\([^()]*\)|"(?:[^"\\\n]|\\.)*"|\.\.\.|[$@]?\w+|[^\s\w]/g;

/** A piece of a document, and where it is. @param {Random} random @param {string} text */
function pieceOf(random, text) {
  const pieces = [...text.slice(0, 20_000).matchAll(PIECES)];
  const piece = pieces.length > 0 ? random.pick(pieces) : null;
  return { text: piece?.[0] ?? '', start: piece?.index ?? 0, end: (piece?.index ?? 0) + (piece?.[0].length ?? 0) };
}

const splice = (text, { start, end }, replacement) => text.slice(0, start) + replacement + text.slice(end);

/** Each makes another request of one, with the help of a second. */
const MUTATIONS = [
  (random, request) => {
    const piece = pieceOf(random, request.query);
    const times = 1 + random.sizeUpTo(60);
    return { ...request, query: splice(request.query, piece, `${piece.text} `.repeat(times)) };
  },
  (random, request, other) => ({
    ...request,
    query: splice(request.query, pieceOf(random, request.query), pieceOf(random, other.query).text),
  }),
  (random, request) => ({ ...request, query: splice(request.query, pieceOf(random, request.query), '') }),
  // What is ignored costs no tokens, but has to be counted in lines by whoever tells where an error is.
  (random, request) => ({
    ...request,
    query:
      random.pick(['\n', '\r', '#\n', ',', '\ufeff']).repeat(random.pick([100, 1_000, 10_000, 30_000, 45_000])) +
      request.query,
  }),
  (random, request) => ({
    ...request,
    query: request.query.replace(/\d+/g, () => String(random.pick([0, 1, 10, 100, 101]))),
  }),
  (_random, request, other) => ({ ...request, variables: other.variables ?? request.variables }),
  (random, request) => ({ ...request, variables: `{"v":${hostileJson(random)},"a":${hostileJson(random, 500)}}` }),
  (random, request) => ({ ...request, role: random.pick(ROLES) }),
  (_random, request) => ({ ...request, via: request.via === 'http' ? 'socket' : 'http' }),
  (random, request) => ({
    ...request,
    query: request.query.replace(/^\s*(query|mutation|subscription)/, () =>
      random.pick(['query', 'mutation', 'subscription']),
    ),
  }),
];

/**
 * A request that differs a little from one that is known.
 *
 * @param {Random} random
 * @param {HostileRequest} request
 * @param {HostileRequest} other
 * @returns {HostileRequest}
 */
export function mutate(random, request, other) {
  let mutant = request;
  for (let step = random.sizeUpTo(4); step > 0; step -= 1) {
    const next = random.pick(MUTATIONS)(random, mutant, other);
    if (fits(next)) mutant = next;
  }
  return mutant;
}
