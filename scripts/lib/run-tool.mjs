import { spawn } from 'node:child_process';

/** A step of the build that failed for a reason that its output tells. */
export class BuildError extends Error {
  constructor(message, output = '', options) {
    super(message, options);
    this.name = 'BuildError';
    this.output = output;
  }
}

/**
 * Runs a Node program without a word, and gives what it printed.
 *
 * @throws {BuildError} with all that it printed, when it fails
 */
export async function runTool(script, args, { name, cwd, env = process.env, signal }) {
  signal?.throwIfAborted();
  const child = spawn(process.execPath, [script, ...args], { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.on('data', (chunk) => chunks.push(chunk));
  const [code, killedBy] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...end) => resolve(end));
  });
  const output = Buffer.concat(chunks).toString();
  if (code === 0) return output;
  throw new BuildError(`${name} failed (${killedBy ?? `exit code ${code}`})`, output);
}
