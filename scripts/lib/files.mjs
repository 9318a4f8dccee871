import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Every file in a folder and the folders in it, in a stable order; none if there is no such folder. */
export function filesUnder(folder, ...except) {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .map((entry) => ({ path: join(folder, entry.name), isFolder: entry.isDirectory() }))
    .filter(({ path }) => !except.includes(path))
    .flatMap(({ path, isFolder }) => (isFolder ? filesUnder(path, ...except) : [path]))
    .sort();
}

/** A hash over names and contents: times mean nothing after a checkout, a copy or a restored cache. */
export function fingerprint(files, root, version = '') {
  const hash = createHash('sha256').update(version);
  for (const file of files) {
    const content = contentOf(file);
    hash.update(`\0${relative(root, file)}\0${content?.length ?? 'missing'}\0`);
    if (content) hash.update(content);
  }
  return hash.digest('hex');
}

function contentOf(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The sizes of files by their path, or undefined if one of them is not there. */
export function sizesOf(files, root) {
  const sizes = {};
  for (const file of files) {
    const size = statSync(file, { throwIfNoEntry: false })?.size;
    if (size === undefined) return undefined;
    sizes[relative(root, file)] = size;
  }
  return sizes;
}

/** Deletes every file in a folder that is not one of `kept`, and the folders that this leaves empty. */
export function removeAllBut(kept, folder, except = []) {
  const keep = new Set(kept);
  for (const file of filesUnder(folder, ...except)) if (!keep.has(file)) rmSync(file, { force: true });
  removeEmptyFolders(folder, except);
}

function removeEmptyFolders(folder, except) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory() || except.includes(path)) continue;
    removeEmptyFolders(path, except);
    if (readdirSync(path).length === 0) rmdirSync(path);
  }
}
