import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** Two signals closer than this are one wish: npm passes on the Ctrl-C that the terminal has already sent to everyone. */
const ECHO_MS = 1000;

/** How often to look whether npm is still there. */
const ORPHAN_POLL_MS = 250;

const parent = process.ppid;

/** The exit code by which shells report a death by signal. */
export const exitCodeOfSignal = (signal) => 128 + (constants.signals[signal] ?? 0);

/**
 * Runs one file with Node on our own terminal, passes SIGTERM and SIGINT on, and gives the exit code to end with.
 *
 * The program stays in our process group, so that whatever ends the group ends it too. So a Ctrl-C reaches it without
 * us, and must not reach it twice: a second signal commonly means "stop at once", and would cut a drain short.
 */
export async function runProgram(path, args) {
  const child = spawn(process.execPath, ['--enable-source-maps', path, ...args], { stdio: 'inherit' });
  const lastSeen = new Map();
  const pass = (signal) => {
    const now = performance.now();
    const before = lastSeen.get(signal);
    const isEcho = before !== undefined && now - before < ECHO_MS;
    const isFirst = before === undefined;
    lastSeen.set(signal, now);
    if (isEcho || (isFirst && signal === 'SIGINT' && holdsTheTerminal())) return;
    child.kill(signal);
  };
  // npm signals the shell that it started us with, which dies without a word to us: nobody could stop the program then.
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, ORPHAN_POLL_MS);
  if (process.env.npm_lifecycle_event === undefined) clearInterval(watch);
  const signals = ['SIGTERM', 'SIGINT'];
  for (const signal of signals) process.on(signal, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)));
    });
  } finally {
    clearInterval(watch);
    for (const signal of signals) process.removeListener(signal, pass);
  }
}

/** Whether our process group is in the foreground of a terminal, so that a Ctrl-C goes to all of it. */
function holdsTheTerminal() {
  try {
    // proc(5): after the command in parentheses come state, ppid, pgrp, session, tty_nr, tpgid.
    const [, , group, , , foregroundGroup] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return group === foregroundGroup;
  } catch {
    return process.stdin.isTTY === true;
  }
}
