// The canonical form of an audit entry and its link in the chain, written from docs/audit.md alone: what verifies the server's
// trail has to share nothing with the server.
import { hash } from 'node:crypto';

/** What the first entry is chained to. */
export const GENESIS_HASH = '0'.repeat(64);

/** hex SHA-256 over the hash of the entry before and this one's canonical form. */
export const link = (previousHash, text) => hash('sha256', previousHash + text);

// How the value of a column is written; `undefined` where no entry can have such a value.
const text = (value, quote) => (typeof value === 'string' ? quote(value) : undefined);
const integer = (value) => (Number.isSafeInteger(value) ? `${value}` : undefined);
// JSON has neither Infinity nor a zero below zero, and would let both pass as something else.
const real = (value) => (Number.isFinite(value) && !Object.is(value, -0) ? `${value}` : undefined);
const time = (value) => (Number.isInteger(value) ? isoTime(value) : undefined);
const flag = (value) => (value === 1 ? 'true' : value === 0 ? 'false' : undefined);
const orNull = (write) => (value, quote) => (value === null ? 'null' : write(value, quote));
const textOrNull = orNull(text);

/**
 * The members of an entry in each version of the format, in the order of RFC 8785, and how each is written. The columns of the
 * table tell the version. A version that adds columns is another list; where one table then holds entries of both, it is the
 * column that tells them apart by which `canonicalForm` has to choose.
 */
const VERSIONS = [
  {
    actor: text,
    attempts: orNull(integer),
    capacityCheck: textOrNull,
    crmSynced: orNull(flag),
    durationMs: orNull(real),
    errorCode: textOrNull,
    fraudScore: orNull(integer),
    guestId: textOrNull,
    id: text,
    kind: text,
    reason: textOrNull,
    requestId: text,
    sequence: integer,
    sessionId: textOrNull,
    status: text,
    timestamp: time,
  },
];

/**
 * The form of entries with these members.
 *
 * @param {readonly string[]} names in any order, without `previousHash` and `hash`
 * @returns {CanonicalForm | undefined} undefined for no version that we know
 *
 * @typedef {object} CanonicalForm
 * @property {readonly string[]} names in the order of the form
 * @property {readonly string[]} texts those that hold text
 * @property {(values: readonly unknown[], quote?: (text: string) => string) => string} write gets the values as the columns have
 * them, in the order of `names`; throws a TypeError that names a member with a value that no entry can have
 */
export function canonicalForm(names) {
  const wanted = [...names].sort().join();
  const members = VERSIONS.find((version) => Object.keys(version).join() === wanted);
  if (members === undefined) return undefined;
  const known = Object.keys(members);
  const writers = Object.values(members);
  const openings = known.map((name, i) => `${i === 0 ? '{' : ','}"${name}":`);
  const write = (values, quote = JSON.stringify) => {
    let form = '';
    for (let i = 0; i < writers.length; i++) {
      const value = writers[i](values[i], quote);
      if (value === undefined) throw new TypeError(`${known[i]} has a value that no entry can have`);
      form += openings[i] + value;
    }
    return `${form}}`;
  };
  return { names: known, texts: known.filter((_, i) => writers[i] === text || writers[i] === textOrNull), write };
}

/** The farthest that ECMAScript's time goes. */
const MAX_MS = 8.64e15;
const MILLISECONDS = Array.from({ length: 1000 }, (_, ms) => `${String(ms).padStart(3, '0')}Z`);

let lastSecond = Number.NaN;
let lastSecondText = '';

/** As `toISOString`, which is asked once for each second only: entries come in the order of time. */
function isoTime(ms) {
  if (Math.abs(ms) > MAX_MS) return undefined;
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastSecondText = `"${new Date(second * 1000).toISOString().slice(0, -4)}`;
    lastSecond = second;
  }
  return `${lastSecondText}${MILLISECONDS[ms - second * 1000]}"`;
}
