import { loadSettings, type Settings } from './config.js';
import { StartupError } from './errors.js';
import { withDatabaseBesideServer } from './store/open-beside-server.js';
import { type Rewrapped, rotateKeys } from './store/rotate-keys.js';
import { progressOf, reportRotation } from './store/rotation-report.js';

const SHOWN_EVERY_MS = 1_000;

/** `npm run keys:rotate`: with the settings of the server, which may run meanwhile. */
async function main({ config, secrets }: Settings): Promise<void> {
  const { encryptionKey, encryptionKeysOld } = secrets;
  if (!encryptionKey) {
    throw new StartupError(
      'ENCRYPTION_KEY is not set: there is nothing to rotate to. Set it to a new key, and ENCRYPTION_KEYS_OLD to the one in ' +
        'use, which in sandbox mode is in the file beside the database that ends in .key.',
    );
  }
  const rotation = await withDatabaseBesideServer(config.databaseUrl, (db) =>
    rotateKeys(db, [encryptionKey, ...encryptionKeysOld], progressMeter()),
  );
  const { lines, problems } = reportRotation(rotation, encryptionKeysOld.length > 0);
  for (const line of lines) console.log(line);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

/** Tells those who watch, and no log file. */
function progressMeter(): (keys: Rewrapped) => void {
  let shownAt = performance.now();
  return (keys) => {
    if (!process.stderr.isTTY || performance.now() - shownAt < SHOWN_EVERY_MS) return;
    shownAt = performance.now();
    console.error(progressOf(keys));
  };
}

try {
  await main(loadSettings());
} catch (error) {
  console.error(error instanceof StartupError ? error.message : error);
  process.exitCode = 1;
}
