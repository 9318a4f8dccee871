// npm run audit:export -- --database FILE [--output FILE] [--public-key FILE]
//
// Writes the audit trail as JSON Lines (docs/audit.md), for whoever keeps it or verifies it elsewhere. What is broken is exported
// as it stands, but for what no JSON can say: then it ends with 1, without the trailer.
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { DatabaseTrail } from './audit/database-trail.mjs';
import { exportChunks } from './audit/export-lines.mjs';
import { readPublicKeys } from './audit/public-keys.mjs';
import { exitCodeOf, Unusable } from './audit/verdict.mjs';
import { isMain } from './lib/is-main.mjs';

const USAGE = `npm run audit:export -- --database FILE [--output FILE] [--public-key FILE]

  --database FILE    the server's database; it may be running
  --output FILE      where to write to (standard output)
  --public-key FILE  PEM, JWK or JWK Set, to go with the export`;

function parseOptions(args) {
  const option = { type: 'string' };
  let values;
  try {
    ({ values } = parseArgs({ args, options: { database: option, output: option, 'public-key': option } }));
  } catch ({ message }) {
    throw new Unusable(`${message}\n\n${USAGE}`);
  }
  if (values.database === undefined) throw new Unusable(`Name a database.\n\n${USAGE}`);
  return values;
}

async function exportTrail(args, stdout) {
  const { database, output, 'public-key': publicKey } = parseOptions(args);
  const keys = publicKey === undefined ? new Map() : readPublicKeys(publicKey);
  const trail = new DatabaseTrail(database);
  try {
    // Personal data: for the owner alone.
    const target = output === undefined ? stdout : createWriteStream(output, { mode: 0o600 });
    await pipeline(Readable.from(exportChunks(trail, { keys })), target);
  } catch (error) {
    throw error.syscall === undefined ? error : new Unusable(`The export cannot be written: ${error.message}`);
  } finally {
    trail.close();
  }
}

/**
 * @param {string[]} args
 * @param {{ stdout: NodeJS.WritableStream, complain: (text: string) => void }} output
 * @returns {Promise<number>} the exit code
 */
export const main = (args, { stdout, complain }) => exitCodeOf(() => exportTrail(args, stdout), complain, complain);

if (isMain(import.meta.url)) {
  const complain = (text) => process.stderr.write(text);
  process.exitCode = await main(process.argv.slice(2), { stdout: process.stdout, complain });
}
