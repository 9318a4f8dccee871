import { readFileSync, writeFileSync } from 'node:fs';
import { StartupError } from '../errors.js';

/**
 * Reads a key that lies in a file of its own: made when it is first needed, readable by its owner only, and never overwritten,
 * since what it protects would be lost.
 * @param what the key, as the subject of a sentence
 * @throws StartupError when it cannot be made, and the driver's error when it cannot be read
 */
export function readKeyFile(path: string, what: string, make: () => string | Buffer): Buffer {
  try {
    writeFileSync(path, make(), { flag: 'wx', mode: 0o600 }); // 'wx' fails where there is one
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new StartupError(`${what} ${path} cannot be written: ${(error as Error).message}`);
    }
  }
  return readFileSync(path);
}
