// npm run audit:archive -- --output FILE [--before DATE] [--keep-days N]
//
// Moves old entries of the audit trail from the database into a file (docs/audit.md). The settings are those of the server, which
// may be running. Ends with 0 also where nothing is old enough, with 1 where the trail is broken, with 2 where it refuses; nothing
// was removed then.
import { parseArgs } from 'node:util';
import { archiveConfiguredTrail } from '../dist/archive-audit-trail.js';
import { StartupError } from '../dist/errors.js';
import { verifyArchive, writeArchive } from './audit/archive-file.mjs';
import { exitCodeOf, Unusable } from './audit/verdict.mjs';
import { isMain } from './lib/is-main.mjs';

const USAGE = `npm run audit:archive -- --output FILE [--before DATE] [--keep-days N]

  --output FILE    where the archive is written to; it must not be there yet
  --before DATE    entries from then on stay: 2026-01-31, or a time with its zone
  --keep-days N    entries of the last N days stay (RETENTION_DAYS)`;

const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/;

function parseOptions(args) {
  const option = { type: 'string' };
  let values;
  try {
    ({ values } = parseArgs({ args, options: { output: option, before: option, 'keep-days': option } }));
  } catch ({ message }) {
    throw new Unusable(`${message}\n\n${USAGE}`);
  }
  const { output, before, 'keep-days': keepDays } = values;
  if (output === undefined) throw new Unusable(`Name a file for the archive.\n\n${USAGE}`);
  if (before !== undefined && keepDays !== undefined) {
    throw new Unusable(`Name either a date or a number of days.\n\n${USAGE}`);
  }
  return { output, before: dateOf(before), keepDays: daysOf(keepDays) };
}

function dateOf(text) {
  if (text === undefined) return undefined;
  const date = new Date(text);
  if (!DATE.test(text) || Number.isNaN(date.getTime())) throw new Unusable(`--before: ${text} is no date.\n\n${USAGE}`);
  return date;
}

function daysOf(text) {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text)) throw new Unusable(`--keep-days: ${text} is no number of days.\n\n${USAGE}`);
  return Number(text);
}

async function archive(args, { say, onStep, settings }) {
  const options = parseOptions(args);
  const files = { write: writeArchive, verify: verifyArchive };
  let outcome;
  try {
    outcome = await archiveConfiguredTrail({ ...options, files, onStep }, settings);
  } catch (error) {
    throw error instanceof StartupError ? new Unusable(error.message) : error;
  }
  const { archived, leftOver } = outcome;
  if (leftOver > 0) say(`removed ${leftOver} entries that an earlier run had archived and not removed any more\n`);
  if (archived === null) return say('nothing is old enough to be archived\n');
  const { first, last, hash, sha256 } = archived;
  say(`archived: entries ${first} to ${last}, head ${hash}, are in ${options.output}, and removed from the database
sha256 ${sha256}\n`);
}

/**
 * @param {string[]} args
 * @param {{ say: (text: string) => void, complain: (text: string) => void, onStep?: (step: string) => void, settings?: object }} output
 * `onStep` hears where it stands; without `settings` they are those of the environment
 * @returns {Promise<number>} the exit code
 */
export const main = (args, { say, complain, onStep, settings }) =>
  exitCodeOf(() => archive(args, { say, onStep, settings }), complain, complain);

if (isMain(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), {
    say: (text) => process.stdout.write(text),
    complain: (text) => process.stderr.write(text),
  });
}
