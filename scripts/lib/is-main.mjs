import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Whether the module at `url` is the one that Node was asked to run. */
export function isMain(url) {
  const entry = process.argv[1];
  return entry !== undefined && realpathSync(entry) === fileURLToPath(url);
}
