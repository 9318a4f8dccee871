import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Unusable } from './verdict.mjs';

const CHUNK_BYTES = 256 * 1024;
/** Far more than any line that is written: what is longer is no file of ours, and must not fill the memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** A text file, line by line, as long as it was when it was opened. */
export class LineFile {
  #path;
  #file;
  #bytesLeft;

  /** @throws Unusable when it cannot be opened */
  constructor(path) {
    this.#path = path;
    try {
      this.#file = openSync(path, 'r');
      const { size } = fstatSync(this.#file);
      this.#bytesLeft = size;
    } catch (error) {
      throw new Unusable(`${path} cannot be read: ${error.message}`);
    }
  }

  /** Lines with their numbers; `text` is null where it is not UTF-8, `isWhole` false where the newline is missing. */
  *lines() {
    let number = 1;
    let rest = Buffer.alloc(0);
    for (let chunk = this.#read(); chunk.length > 0; chunk = this.#read()) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let to = bytes.indexOf(NEWLINE); to !== -1; to = bytes.indexOf(NEWLINE, from)) {
        yield { number, text: decode(bytes.subarray(from, to)), isWhole: true };
        number += 1;
        from = to + 1;
      }
      rest = bytes.subarray(from);
      if (rest.length > MAX_LINE_BYTES) throw new Unusable(`${this.#path}: line ${number} is too long.`);
    }
    if (rest.length > 0) yield { number, text: decode(rest), isWhole: false };
  }

  #read() {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, this.#bytesLeft));
    try {
      const length = readSync(this.#file, chunk);
      this.#bytesLeft -= length;
      return chunk.subarray(0, length);
    } catch (error) {
      throw new Unusable(`${this.#path} cannot be read: ${error.message}`);
    }
  }

  close() {
    closeSync(this.#file);
  }
}

const decode = (bytes) => (isUtf8(bytes) ? bytes.toString('utf8') : null);

/** What a line of JSON says; undefined where it is none. */
export function parseLine(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
