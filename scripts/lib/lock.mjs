// A lock between processes, as a directory: it appears and disappears by renames, which are atomic, and its holder
// touches it every two seconds. One that nobody touches any more is taken over.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError } from './run-tool.mjs';

const HEARTBEAT_MS = 2_000;
const ABANDONED_AFTER_MS = 30_000;
const POLL_MS = 50;

/** Renaming a directory onto one that has something in it fails with one of these, depending on the system. */
const TAKEN = new Set(['EEXIST', 'ENOTEMPTY', 'EPERM', 'EACCES']);

/**
 * Runs `work` while no other process runs its own under the same lock.
 *
 * @param {string} lock the path of the lock directory
 * @param {() => Promise<T>} work
 * @param {{ maxWaitMs?: number, what?: string }} [options] how long to wait for another holder (5 minutes), and what it does
 * @returns {Promise<T>}
 * @template T
 */
export async function withLock(lock, work, { maxWaitMs = 300_000, what = 'building' } = {}) {
  const giveUpAt = Date.now() + maxWaitMs;
  mkdirSync(dirname(lock), { recursive: true });
  while (!take(lock)) {
    if (breakIfAbandoned(lock)) continue;
    if (Date.now() > giveUpAt) {
      const { pid, host } = ownerOf(lock);
      throw new BuildError(`process ${pid ?? '?'} on ${host ?? '?'} has been ${what} for too long (its lock: ${lock})`);
    }
    await sleep(POLL_MS);
  }
  const heartbeat = setInterval(() => touch(lock), HEARTBEAT_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    release(lock);
  }
}

/** Makes the lock with its owner already in it, so that it is never seen empty; false if another one is there. */
function take(lock) {
  if (existsSync(lock)) return false;
  const candidate = mkdtempSync(`${lock}.candidate-`);
  writeFileSync(join(candidate, 'owner.json'), JSON.stringify({ pid: process.pid, host: hostname() }));
  try {
    renameSync(candidate, lock);
    return true;
  } catch (error) {
    rmSync(candidate, { recursive: true, force: true });
    if (TAKEN.has(error.code)) return false;
    throw error;
  }
}

/**
 * Removes a lock whose holder is dead or silent; true if it is gone.
 *
 * Of two that judge it abandoned at once, the slower must not remove the faster one's new lock: the name it is moved to
 * belongs to that one lock, and stays taken until the new lock is released, so that the slower one's rename fails.
 */
function breakIfAbandoned(lock) {
  const found = statSync(lock, { throwIfNoEntry: false });
  if (!found) return true;
  const { pid, host } = ownerOf(lock);
  const isDead = host === hostname() && pid !== undefined && !isAlive(pid);
  if (!isDead && Date.now() - found.mtimeMs < ABANDONED_AFTER_MS) return false;
  const grave = `${lock}.abandoned-${found.ino}`;
  try {
    renameSync(lock, grave);
  } catch {
    return false;
  }
  return true;
}

function release(lock) {
  const owner = ownerOf(lock);
  // Taken over while we were suspended: it is somebody else's now.
  if (owner.pid !== process.pid || owner.host !== hostname()) return;
  const released = `${lock}.released-${process.pid}`;
  renameSync(lock, released);
  for (const name of readdirSync(dirname(lock))) {
    if (name === basename(released) || name.startsWith(`${basename(lock)}.abandoned-`)) {
      rmSync(join(dirname(lock), name), { recursive: true, force: true });
    }
  }
}

function ownerOf(lock) {
  try {
    return JSON.parse(readFileSync(join(lock, 'owner.json'), 'utf8'));
  } catch {
    return {};
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function touch(lock) {
  try {
    utimesSync(lock, new Date(), new Date());
  } catch {
    // Whoever took it over holds it now; the build ends either way.
  }
}
