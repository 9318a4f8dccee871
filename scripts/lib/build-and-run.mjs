import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildForCommandLine } from '../build.mjs';
import { exitCodeOfSignal, runProgram } from './run-program.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Builds, runs one file of this repository with Node, and gives the exit code to end with. */
export async function buildAndRun(file, args) {
  const interrupted = await buildUnlessInterrupted();
  if (interrupted !== 0) return interrupted;
  const path = resolve(root, file);
  if (!existsSync(path)) {
    process.stderr.write(`${file} does not exist, and the build does not make it\n`);
    return 66;
  }
  return await runProgram(path, args);
}

/** Until there is a program to pass signals to, a signal ends the build, and takes the running tools with it. */
async function buildUnlessInterrupted() {
  const stop = new AbortController();
  const onSignal = (signal) => stop.abort(signal);
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, onSignal);
  try {
    const code = await buildForCommandLine({ signal: stop.signal });
    return stop.signal.aborted ? exitCodeOfSignal(stop.signal.reason) : code;
  } catch (error) {
    if (stop.signal.aborted) return exitCodeOfSignal(stop.signal.reason);
    throw error;
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT']) process.removeListener(signal, onSignal);
  }
}
