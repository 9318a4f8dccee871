import { closeSync, existsSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StartupError } from '../errors.js';

/**
 * The file that a URL names, as an absolute path.
 * @throws StartupError when it names none
 */
export function fileOf(url: string): string {
  if (/^postgres(ql)?:/i.test(url)) {
    throw new StartupError(
      'DATABASE_URL: postgresql:// is not supported yet. Name a file: file:./data/guest-sessions.db',
    );
  }
  // The value stays out of the message: it may hold a password.
  const [, name] = /^file:([^?#]+)$/.exec(url) ?? [];
  if (name === undefined || name.includes(':memory:')) {
    throw new StartupError('DATABASE_URL must name a file, without parameters: file:./data/guest-sessions.db');
  }
  if (!name.startsWith('//')) return resolve(name);
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw unopenable(resolve(name), error);
  }
}

/**
 * The same with links followed, since two names of one file must meet at one lock. Makes the directory.
 * @throws StartupError also when there can be no such file
 */
export function makeWayTo(url: string): string {
  const path = fileOf(url);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) return join(realpathSync(dirname(path)), basename(path));
    if (statSync(path).isDirectory()) throw new Error('it is a directory');
    return realpathSync(path);
  } catch (error) {
    throw unopenable(path, error);
  }
}

/**
 * Makes the file where there is none, for its owner alone: SQLite would let everybody on the machine read it, and gives the
 * files beside it the rights of this one. One that is there keeps those that it has.
 */
export function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
}

/** What keeps a database from being opened, told to who has tried. */
export function unopenable(path: string, error: unknown): StartupError {
  if (error instanceof StartupError) return error;
  return new StartupError(`The database ${path} cannot be opened: ${(error as Error).message}`, { cause: error });
}
