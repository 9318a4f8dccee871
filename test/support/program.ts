import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A program as a process of its own, and what it has printed. Killed when the test is over. */
export interface Program {
  readonly child: ChildProcess;
  readonly out: string;
  readonly err: string;
}

/** Runs a file with Node, with no environment but this. */
export function run(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [file, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const program = { child, out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    program.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    program.err += chunk;
  });
  return program;
}

/** Sends a signal, and waits for the end. */
export async function end({ child }: Program, signal: NodeJS.Signals): Promise<void> {
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}
