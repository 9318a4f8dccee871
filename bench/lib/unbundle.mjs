import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * A profile with the files that a bundle was made of in place of the bundle, as far as its source map knows them.
 *
 * @template {import('./self-times.mjs').CpuProfile} Profile
 * @param {Profile} profile
 * @returns {Profile}
 */
export function unbundle(profile) {
  const maps = new Map();
  const mapOf = (url) => {
    if (!maps.has(url)) maps.set(url, readMap(url));
    return maps.get(url);
  };
  const nodes = profile.nodes.map((node) => {
    const { url, lineNumber, columnNumber } = node.callFrame;
    const origin = mapOf(url)?.findEntry(lineNumber, columnNumber);
    if (!origin?.originalSource) return node;
    const callFrame = {
      ...node.callFrame,
      url: new URL(origin.originalSource, url).href,
      lineNumber: origin.originalLine,
      columnNumber: origin.originalColumn,
    };
    return { ...node, callFrame };
  });
  return { ...profile, nodes };
}

/** What is installed runs as it is, and its maps lead to sources that are not. */
function readMap(url) {
  if (!url.startsWith('file:') || url.includes('/node_modules/')) return null;
  const file = `${fileURLToPath(url)}.map`;
  return existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : null;
}
