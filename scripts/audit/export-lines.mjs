import { EXPORT_VERSION, entryLine, HEADER } from './export-format.mjs';
import { toJwk } from './public-keys.mjs';

const CHUNK_CHARACTERS = 64 * 1024;

/**
 * The text of an export, in pieces.
 *
 * @param {import('./database-trail.mjs').DatabaseTrail} trail
 * @param {{ keys: Map<string, import('node:crypto').KeyObject>, archive?: { last: number, checkpoint?: object } }} options
 * `archive`: with which entry it ends, and the checkpoint of that one where the database has none yet
 */
export const exportChunks = (trail, options) => chunksOf(linesOf(trail, options));

function* linesOf(trail, { keys, archive }) {
  const { firstSequence, previousHash, hasCheckpoints } = trail;
  yield JSON.stringify({
    type: HEADER,
    version: EXPORT_VERSION,
    exportedAt: new Date().toISOString(),
    ...(archive && { archive: true }),
    firstSequence,
    previousHash,
    checkpoints: hasCheckpoints,
    keys: [...keys.values()].map(toJwk),
  });
  const trailer = { type: 'trailer', entries: 0, head: null };
  for (const item of trail.items({ upTo: archive?.last })) {
    if (item.type === 'entry') {
      trailer.entries += 1;
      trailer.head = item.hash;
    }
    yield item.type === 'entry' ? entryLine(item) : JSON.stringify(item);
  }
  if (archive?.checkpoint !== undefined) yield JSON.stringify(archive.checkpoint);
  yield JSON.stringify(trailer);
}

/** Many lines at a time: a stream has its price for each piece. */
function* chunksOf(lines) {
  let chunk = '';
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  yield chunk;
}
