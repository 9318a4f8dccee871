// `node scripts/run.mjs FILE [args…]`: builds what is missing or stale, then runs a built file or a script.
import { buildAndRun } from './lib/build-and-run.mjs';

const [file, ...args] = process.argv.slice(2);
if (file) {
  process.exitCode = await buildAndRun(file, args);
} else {
  process.stderr.write('usage: node scripts/run.mjs FILE [args…]\n');
  process.exitCode = 64;
}
