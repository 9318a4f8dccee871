import { faultOf } from './checkpoint.mjs';
import { LineFile, parseLine } from './lines.mjs';
import { Unusable } from './verdict.mjs';

/** The checkpoints that were kept in a file outside the database, one at a time in their order. */
export class OutsideCheckpoints {
  #path;
  #file;
  #checkpoints;
  /** The next one; undefined after the last. */
  next;

  constructor(path) {
    this.#path = path;
    this.#file = new LineFile(path);
    this.#checkpoints = this.#read();
    this.advance();
  }

  advance() {
    this.next = this.#checkpoints.next().value;
  }

  *#read() {
    let last = 0;
    for (const { number, text, isWhole } of this.#file.lines()) {
      const checkpoint = parseLine(text ?? '');
      // The server is about to write it, or died over it.
      if (checkpoint === undefined && !isWhole) return;
      const isObject = typeof checkpoint === 'object' && checkpoint !== null;
      const fault = isObject ? faultOf(checkpoint) : 'it is no JSON object';
      if (fault !== null) throw new Unusable(`${this.#path}: line ${number} is no checkpoint: ${fault}.`);
      if (checkpoint.sequence < last) throw new Unusable(`${this.#path}: line ${number} is out of order.`);
      last = checkpoint.sequence;
      yield checkpoint;
    }
  }

  close() {
    this.#file.close();
  }
}
