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

/** What entries of every version have. */
const COMMON = {
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
  status: text,
  timestamp: time,
};

const inOrder = (members) => Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));

/** The members of an entry in each version of the format, in the order of RFC 8785, and how each is written. */
const VERSIONS = new Map([
  [1, inOrder({ ...COMMON, sessionId: textOrNull })],
  [2, inOrder({ ...COMMON, actorRole: textOrNull, personal: textOrNull, sourceAddress: textOrNull, version: integer })],
]);

const namesOf = (members) => Object.keys(members).join();
const KNOWN = new Set([...VERSIONS.values()].map(namesOf));

/** Whether an entry with these members, in this order, is of a version that we know. */
export const isKnownForm = (names) => KNOWN.has(names.join());

// A table from before version 2 has no column that tells the version: all of its entries are of the first.
const TABLES = [
  { columns: Object.keys(VERSIONS.get(1)), versions: [1] },
  { columns: [...new Set([...VERSIONS.values()].flatMap(Object.keys))].sort(), versions: [1, 2] },
];

/**
 * The form of entries in a table with these columns.
 *
 * @param {readonly string[]} names in any order, without `previousHash` and `hash`
 * @returns {CanonicalForm | undefined} undefined for no table that we know
 *
 * @typedef {object} CanonicalForm
 * @property {readonly string[]} names in the order of the form
 * @property {readonly string[]} texts those that hold text
 * @property {(values: readonly unknown[], quote?: (text: string) => string) => string} write gets the values as the columns have
 * them, in the order of `names`; throws a TypeError that names a column with a value that no entry can have
 */
export function canonicalForm(names) {
  const wanted = [...names].sort().join();
  const table = TABLES.find(({ columns }) => columns.join() === wanted);
  if (table === undefined) return undefined;
  const { columns, versions } = table;
  const writers = new Map(versions.map((version) => [version, writerOf(VERSIONS.get(version), columns)]));
  const versionAt = columns.indexOf('version');
  const write = (values, quote = JSON.stringify) => {
    const writeEntry = writers.get(versionAt === -1 ? 1 : values[versionAt]);
    if (writeEntry === undefined) throw impossible('version');
    return writeEntry(values, quote);
  };
  const isText = (name) => [...VERSIONS.values()].some((members) => [text, textOrNull].includes(members[name]));
  return { names: columns, texts: columns.filter(isText), write };
}

const impossible = (name) => new TypeError(`${name} has a value that no entry can have`);

/** Writes the entries of one version. What columns of other versions hold would not be hashed: they have to be empty. */
function writerOf(members, columns) {
  const names = Object.keys(members);
  const writers = Object.values(members);
  const places = names.map((name) => columns.indexOf(name));
  const openings = names.map((name, i) => `${i === 0 ? '{' : ','}"${name}":`);
  const foreign = columns.flatMap((name, i) => (names.includes(name) || name === 'version' ? [] : [i]));
  return (values, quote) => {
    for (const i of foreign) if (values[i] !== null) throw impossible(columns[i]);
    let form = '';
    for (let i = 0; i < writers.length; i++) {
      const value = writers[i](values[places[i]], quote);
      if (value === undefined) throw impossible(names[i]);
      form += openings[i] + value;
    }
    return `${form}}`;
  };
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
