import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DatabaseTrail } from './database-trail.mjs';
import { exportChunks } from './export-lines.mjs';
import { ExportTrail } from './export-trail.mjs';
import { followTrail } from './follow-trail.mjs';
import { keysById } from './public-keys.mjs';
import { sha256Of } from './sha256-of.mjs';
import { Unusable } from './verdict.mjs';

/**
 * Writes the trail of a database up to an entry to a new file, and waits until it is on the disk.
 *
 * @param {{ last: number, checkpoint: object | null, keys: readonly object[] }} end `checkpoint`: the one of the last entry, where
 * the database has none; `keys`: JSON Web Keys that go with it
 */
export async function writeArchive(database, output, { last, checkpoint, keys }) {
  const file = await create(output);
  try {
    const trail = new DatabaseTrail(database);
    try {
      const archive = { last, checkpoint: checkpoint === null ? undefined : toLine(checkpoint) };
      const chunks = exportChunks(trail, { keys: keysById(keys), archive });
      await pipeline(Readable.from(chunks), file.createWriteStream({ flush: true }));
    } finally {
      trail.close();
    }
    syncDirectory(dirname(output));
  } catch (error) {
    rmSync(output, { force: true });
    throw error.syscall === undefined ? error : new Unusable(`The archive cannot be written: ${error.message}`);
  }
}

/** Personal data: for the owner alone. */
async function create(output) {
  try {
    return await open(output, 'wx', 0o600);
  } catch (error) {
    if (error.code !== 'EEXIST') throw new Unusable(`The archive cannot be written: ${error.message}`);
    throw new Unusable(
      `${output} is there already, and an archive is never written over. Name another file; if that one is of a run that was ` +
        'interrupted, npm run audit:verify -- --export says what it covers.',
    );
  }
}

const toLine = ({ sequence, hash, timestamp, keyId, signature }) => ({
  type: 'checkpoint',
  version: 1,
  sequence,
  hash,
  timestamp: timestamp.toISOString(),
  keyId,
  signature,
});

/** The name of a new file is kept by its directory. */
function syncDirectory(path) {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** @throws Broken when the archive is not good; it is removed then */
export function verifyArchive(path) {
  try {
    const trail = new ExportTrail(path);
    try {
      const { first, last, head } = followTrail(trail, { keys: trail.keys });
      return { first, last, hash: head, sha256: sha256Of(path) };
    } finally {
      trail.close();
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}
