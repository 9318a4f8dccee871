import { faultOf } from './checkpoint.mjs';
import { LineFile, parseLine } from './lines.mjs';
import { Unusable } from './verdict.mjs';

/** The checkpoints that were kept in a file outside the database, one at a time in the order of their entries. */
export class OutsideCheckpoints {
  #path;
  #file;
  #checkpoints;
  /** The next one; undefined after the last. */
  next;

  constructor(path) {
    this.#path = path;
    const late = this.#readLate();
    this.#file = new LineFile(path);
    this.#checkpoints = inOrder(this.#read(this.#file), late);
    this.advance();
  }

  advance() {
    this.next = this.#checkpoints.next().value;
  }

  /** Those that stand behind one of a later entry: an archive ends with an entry that is old when it is signed. They are few. */
  #readLate() {
    const file = new LineFile(this.#path);
    try {
      const late = [];
      for (const { checkpoint, isLate } of this.#read(file)) if (isLate) late.push(checkpoint);
      return late;
    } finally {
      file.close();
    }
  }

  *#read(file) {
    let newest = 0;
    for (const { number, text, isWhole } of file.lines()) {
      const checkpoint = parseLine(text ?? '');
      // The server is about to write it, or died over it.
      if (checkpoint === undefined && !isWhole) return;
      const isObject = typeof checkpoint === 'object' && checkpoint !== null;
      const fault = isObject ? faultOf(checkpoint) : 'it is no JSON object';
      if (fault !== null) throw new Unusable(`${this.#path}: line ${number} is no checkpoint: ${fault}.`);
      const isLate = checkpoint.sequence < newest;
      newest = Math.max(newest, checkpoint.sequence);
      yield { checkpoint, isLate };
    }
  }

  close() {
    this.#file.close();
  }
}

/** Puts those that were late where they belong. */
function* inOrder(lines, late) {
  const waiting = late.sort((a, b) => a.sequence - b.sequence);
  for (const { checkpoint, isLate } of lines) {
    if (isLate) continue;
    while (waiting[0]?.sequence < checkpoint.sequence) yield waiting.shift();
    yield checkpoint;
  }
}
