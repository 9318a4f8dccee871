// `npm start`: builds what is missing or stale, then runs the server until a signal ends it.
import { buildAndRun } from './lib/build-and-run.mjs';

process.exitCode = await buildAndRun('dist/main.js', process.argv.slice(2));
