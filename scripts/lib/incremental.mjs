import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fingerprint, sizesOf } from './files.mjs';
import { withLock } from './lock.mjs';

/**
 * One thing that a build makes.
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {() => string[]} inputs the files whose content decides whether it is stale
 * @property {() => string} [version] what else decides it
 * @property {Step} [needs] the step that has to be done before
 * @property {(signal?: AbortSignal) => Promise<string[]>} run makes it, and names the files that it made
 */

/**
 * Runs the steps that are missing or stale, those that do not need each other side by side, and remembers what it did in `state`.
 *
 * A step is fresh while its inputs have the content they had when it last ran and its outputs are there in the size it
 * left them. All that is looked at without the lock, so that a fresh build writes nothing and waits for nobody.
 *
 * @param {Step[]} steps
 * @param {{ root: string, state: string, force?: boolean, signal?: AbortSignal, report?: (line: string) => void }} options
 */
export async function runSteps(steps, { root, state, force = false, signal, report = toStandardError }) {
  const stampFile = join(state, 'stamp.json');
  if (!force && staleSteps(steps, readStamp(stampFile), root).size === 0) return;
  await withLock(join(state, 'lock'), async () => {
    // Another process may have built while we waited for it.
    const stamp = readStamp(stampFile);
    const stale = force ? new Map(steps.map((step) => [step, inputsOf(step, root)])) : staleSteps(steps, stamp, root);
    const runs = new Map();
    for (const step of steps) if (stale.has(step)) runs.set(step, run(step));

    async function run(step) {
      await runs.get(step.needs);
      const startedAt = performance.now();
      const outputs = sizesOf(await step.run(signal), root);
      if (!outputs) throw new Error(`${step.name}: an output vanished while it was built`);
      // The inputs as they were before: an edit during the build makes the next one build again.
      stamp[step.name] = { inputs: stale.get(step), outputs };
      writeStamp(stampFile, stamp);
      report(`built ${step.name} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    }

    // All of them are waited for, so that none still writes when the lock is gone.
    const results = await Promise.allSettled(runs.values());
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  });
}

const toStandardError = (line) => process.stderr.write(`${line}\n`);

const inputsOf = (step, root) => fingerprint(step.inputs(), root, step.version?.());

/** The steps to run, each with the fingerprint of its inputs. */
function staleSteps(steps, stamp, root) {
  const stale = new Map();
  for (const step of steps) {
    const inputs = inputsOf(step, root);
    const last = stamp[step.name];
    if (last?.inputs !== inputs || !isThere(last.outputs, root)) stale.set(step, inputs);
  }
  return stale;
}

function isThere(outputs, root) {
  const files = Object.keys(outputs).map((file) => resolve(root, file));
  const sizes = sizesOf(files, root);
  return sizes !== undefined && Object.entries(outputs).every(([file, size]) => sizes[file] === size);
}

/** What earlier builds left; nothing if there is none, or if it cannot be read: then everything is built. */
function readStamp(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}

function writeStamp(file, stamp) {
  mkdirSync(join(file, '..'), { recursive: true });
  const next = `${file}.${process.pid}`;
  writeFileSync(next, JSON.stringify(stamp));
  renameSync(next, file);
}
