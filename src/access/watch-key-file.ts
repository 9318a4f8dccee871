import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { unreadable } from '../key-formats.js';

/** Whoever replaces a file writes it in several steps: they are one change. */
const SETTLE_MS = 50;
/** For file systems that tell of nothing, and links whose target changes: a key that is taken out is refused within a second. */
const POLL_MS = 500;

/** What a file holds now, or why nobody can say. */
export type FileState = { readonly text: string } | { readonly problem: string };

/**
 * Tells what a file holds each time that this has changed. Its directory is watched and not the file, since editors, and
 * the mounts that secrets come in, replace it; and it is read again now and then, since not every file system tells.
 *
 * @param hear of what it holds now; not of what it held at the start
 */
export function watchKeyFile(path: string, hear: (state: FileState) => void, pollMs = POLL_MS): Disposable {
  let last: string | null = null;
  let settling: NodeJS.Timeout | undefined;
  let isOver = false;
  let reading = Promise.resolve();

  const look = async () => {
    const state = await readFile(path, 'utf8').then(
      (text): FileState => ({ text }),
      (error: unknown): FileState => ({ problem: unreadable(error) }),
    );
    const seen = JSON.stringify(state);
    if (isOver || seen === last) return;
    last = seen;
    hear(state);
  };
  const lookInTurn = () => {
    reading = reading.then(look);
  };
  const settle = () => {
    // Not begun anew by each event: where much is written, it would never end.
    settling ??= setTimeout(() => {
      settling = undefined;
      lookInTurn();
    }, SETTLE_MS);
  };

  const watcher = watchDirectory(path, settle);
  const poll = setInterval(lookInTurn, pollMs);
  lookInTurn(); // it may have changed since it was read for the start
  return {
    [Symbol.dispose]() {
      isOver = true;
      watcher?.close();
      clearInterval(poll);
      clearTimeout(settling);
    },
  };
}

/** Null where nothing can be watched: looking now and then is enough. */
function watchDirectory(path: string, hear: () => void): FSWatcher | null {
  // Kubernetes puts another link `..data` in place. A database may be beside the file: of that nobody need hear.
  const concerns = (name: string | null) => name === null || name === basename(path) || name.startsWith('..');
  try {
    return watch(dirname(path), (_event, name) => concerns(name) && hear()).on('error', () => undefined);
  } catch {
    return null;
  }
}
