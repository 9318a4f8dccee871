import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_BYTES = 256 * 1024;

/** hex SHA-256 of a file, which may be larger than the memory. */
export function sha256Of(path) {
  const sum = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const file = openSync(path, 'r');
  try {
    for (let length = readSync(file, chunk); length > 0; length = readSync(file, chunk)) {
      sum.update(chunk.subarray(0, length));
    }
  } finally {
    closeSync(file);
  }
  return sum.digest('hex');
}
