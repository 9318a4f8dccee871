// npm run audit:verify -- --database FILE [--checkpoints FILE] [--public-key FILE] [--after FILE]
// npm run audit:verify -- --export FILE [--checkpoints FILE] [--public-key FILE] [--after FILE]
//
// Says whether the audit trail is what it was. It shares nothing with the server: it was written from docs/audit.md. Ends with 0
// where the trail is good, 1 where it is broken, 2 where nothing can be said.
import { parseArgs } from 'node:util';
import { DatabaseTrail } from './audit/database-trail.mjs';
import { ExportTrail } from './audit/export-trail.mjs';
import { followTrail } from './audit/follow-trail.mjs';
import { OutsideCheckpoints } from './audit/outside-checkpoints.mjs';
import { readPublicKeys } from './audit/public-keys.mjs';
import { sha256Of } from './audit/sha256-of.mjs';
import { Broken, exitCodeOf, Unusable } from './audit/verdict.mjs';
import { isMain } from './lib/is-main.mjs';

const CLEAR_LINE = '\u001b[K';
const USAGE = `npm run audit:verify -- --database FILE [--checkpoints FILE] [--public-key FILE] [--after FILE]
npm run audit:verify -- --export FILE [--checkpoints FILE] [--public-key FILE] [--after FILE]

  --database FILE     the server's database; it may be running
  --export FILE       what npm run audit:export or audit:archive has written
  --checkpoints FILE  the checkpoints that were kept outside the database
  --public-key FILE   PEM, JWK or JWK Set, to check the signatures with
  --after FILE        the archive that the trail goes on from: it is verified, too`;

function parseOptions(args) {
  const option = { type: 'string' };
  let values;
  try {
    const options = { database: option, export: option, checkpoints: option, 'public-key': option, after: option };
    ({ values } = parseArgs({ args, options }));
  } catch ({ message }) {
    throw new Unusable(`${message}\n\n${USAGE}`);
  }
  if ((values.database === undefined) === (values.export === undefined)) {
    throw new Unusable(`Name either a database or an export.\n\n${USAGE}`);
  }
  return values;
}

function verifyTrail(args, say, onProgress) {
  const { database, export: exported, checkpoints, 'public-key': publicKey, after } = parseOptions(args);
  const given = publicKey === undefined ? undefined : readPublicKeys(publicKey);
  // Opened before the database: what it has then, the database has, too.
  const outside = checkpoints === undefined ? undefined : new OutsideCheckpoints(checkpoints);
  let trail;
  try {
    trail = database === undefined ? new ExportTrail(exported) : new DatabaseTrail(database);
    const keys = given ?? trail.keys;
    const outcome = followTrail(trail, { outside, keys, onProgress });
    const archive = after === undefined ? undefined : verifyArchive(after, given, outcome, trail);
    say(report(outcome, { trail, checkpoints, keys, areKeysGiven: given !== undefined, archive }));
  } finally {
    trail?.close();
    outside?.close();
  }
}

/**
 * @throws Broken when the trail does not go on where the archive ends
 * @throws Unusable when there is another archive between the two
 */
function verifyArchive(path, given, { first, archived }, { previousHash }) {
  const archive = new ExportTrail(path);
  try {
    const { last, head } = followTrail(archive, { keys: given ?? archive.keys });
    // Nothing is wrong with either of them.
    if (last < first - 1) throw new Unusable(needed(path, last, first));
    if (last !== first - 1) throw new Broken(first, `the trail begins with it, and ${path} ends with entry ${last}`);
    if (head !== previousHash) throw new Broken(first, `it is not chained to the last entry of ${path}`);
    if (archived !== undefined && archived.sha256 !== sha256Of(path)) {
      throw new Broken(archived.sequence, `it tells of another archive than ${path}: the SHA-256 is not the same`);
    }
    return { path, first: archive.firstSequence, last };
  } finally {
    archive.close();
  }
}

const needed = (path, last, first) =>
  `The trail begins with entry ${first}, and ${path} ends with entry ${last}: name the archive whose last entry is ${first - 1}. ` +
  `Without it nothing can be said of the entries ${last + 1} to ${first - 1}.`;

function report(outcome, { trail, checkpoints, keys, areKeysGiven, archive }) {
  const { first, last, head, lastCheckpoint } = outcome;
  const isWhole = first === 1 && !trail.isArchive;
  const what = trail.isArchive ? 'an archive of entries' : 'entries';
  const lines = [isWhole ? `good: ${last} entries, head ${head}` : `good: ${what} ${first} to ${last}, head ${head}`];
  if (first > 1) lines.push(beginning(outcome, trail, archive));
  if (checkpoints !== undefined) lines.push(`${outcome.outside} checkpoints in ${checkpoints}, kept outside: trusted`);
  const inside = `${outcome.inside} checkpoints in ${trail.name}`;
  lines.push(
    trail.hasCheckpoints
      ? `${inside}: whoever could change the trail could remove these, too`
      : `no checkpoints in ${trail.name}`,
  );
  lines.push(`signatures: ${signatures(outcome, keys, areKeysGiven)}`);
  const vouched =
    lastCheckpoint < first ? 'no checkpoint vouches for them' : `the last checkpoint is of entry ${lastCheckpoint}`;
  if (lastCheckpoint < last) lines.push(`entries ${lastCheckpoint + 1} to ${last} have the chain alone: ${vouched}`);
  return `${lines.join('\n')}\n`;
}

function beginning({ first, archived }, trail, archive) {
  const before = `entries 1 to ${first - 1} are not in ${trail.name}`;
  const origin = archived
    ? `: entry ${archived.sequence} says that they were archived`
    : ': an archive before has them';
  if (archive === undefined) return `${before}${origin}; to verify those as well, name that archive with --after`;
  return `${before}${origin}; ${archive.path} is good, and has entries ${archive.first} to ${archive.last}`;
}

function signatures({ inside, outside }, keys, areKeysGiven) {
  if (keys.size === 0) return 'not checked (no --public-key)';
  const origin = areKeysGiven ? '' : ', which came with the export: compare it with the server’s';
  return `${inside + outside} checked with ${[...keys.keys()].join(', ')}${origin}`;
}

/**
 * @param {string[]} args
 * @param {{ say: (text: string) => void, complain: (text: string) => void, isTerminal: boolean }} output
 * @returns {Promise<number>} the exit code
 */
export function main(args, { say, complain, isTerminal }) {
  // The line is written over by the next one, and cleared for the verdict.
  const onProgress = isTerminal ? (entries) => complain(`${entries} entries\r`) : undefined;
  const clear = isTerminal ? () => complain(CLEAR_LINE) : () => {};
  const verdict = (text) => {
    clear();
    say(text);
  };
  return exitCodeOf(() => verifyTrail(args, verdict, onProgress), verdict, complain);
}

if (isMain(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), {
    say: (text) => process.stdout.write(text),
    complain: (text) => process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
  });
}
