// npm run audit:verify -- --database FILE [--checkpoints FILE] [--public-key FILE]
// npm run audit:verify -- --export FILE [--checkpoints FILE] [--public-key FILE]
//
// Says whether the audit trail is what it was. It shares nothing with the server: it was written from docs/audit.md. Ends with 0
// where the trail is good, 1 where it is broken, 2 where nothing can be said.
import { parseArgs } from 'node:util';
import { DatabaseTrail } from './audit/database-trail.mjs';
import { ExportTrail } from './audit/export-trail.mjs';
import { followTrail } from './audit/follow-trail.mjs';
import { OutsideCheckpoints } from './audit/outside-checkpoints.mjs';
import { readPublicKeys } from './audit/public-keys.mjs';
import { exitCodeOf, Unusable } from './audit/verdict.mjs';
import { isMain } from './lib/is-main.mjs';

const CLEAR_LINE = '\u001b[K';
const USAGE = `npm run audit:verify -- --database FILE [--checkpoints FILE] [--public-key FILE]
npm run audit:verify -- --export FILE [--checkpoints FILE] [--public-key FILE]

  --database FILE     the server's database; it may be running
  --export FILE       what npm run audit:export has written
  --checkpoints FILE  the checkpoints that were kept outside the database
  --public-key FILE   PEM, JWK or JWK Set, to check the signatures with`;

function parseOptions(args) {
  const option = { type: 'string' };
  let values;
  try {
    const options = { database: option, export: option, checkpoints: option, 'public-key': option };
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
  const { database, export: exported, checkpoints, 'public-key': publicKey } = parseOptions(args);
  const given = publicKey === undefined ? undefined : readPublicKeys(publicKey);
  // Opened before the database: what it has then, the database has, too.
  const outside = checkpoints === undefined ? undefined : new OutsideCheckpoints(checkpoints);
  let trail;
  try {
    trail = database === undefined ? new ExportTrail(exported) : new DatabaseTrail(database);
    const keys = given ?? trail.keys;
    const outcome = followTrail(trail, { outside, keys, onProgress });
    say(report(outcome, { trail, checkpoints, keys, areKeysGiven: given !== undefined }));
  } finally {
    trail?.close();
    outside?.close();
  }
}

function report(outcome, { trail, checkpoints, keys, areKeysGiven }) {
  const { entries, head, lastCheckpoint } = outcome;
  const lines = [`good: ${entries} entries, head ${head}`];
  if (checkpoints !== undefined) lines.push(`${outcome.outside} checkpoints in ${checkpoints}, kept outside: trusted`);
  const inside = `${outcome.inside} checkpoints in ${trail.name}`;
  lines.push(
    trail.hasCheckpoints
      ? `${inside}: whoever could change the trail could remove these, too`
      : `no checkpoints in ${trail.name}`,
  );
  lines.push(`signatures: ${signatures(outcome, keys, areKeysGiven)}`);
  const last =
    lastCheckpoint === 0 ? 'no checkpoint vouches for them' : `the last checkpoint is of entry ${lastCheckpoint}`;
  if (lastCheckpoint < entries) lines.push(`entries ${lastCheckpoint + 1} to ${entries} have the chain alone: ${last}`);
  return `${lines.join('\n')}\n`;
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
