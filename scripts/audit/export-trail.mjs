import { GENESIS_HASH } from './canonical.mjs';
import { EXPORT_VERSION, HEADER, parseEntryLine } from './export-format.mjs';
import { LineFile, parseLine } from './lines.mjs';
import { keysById } from './public-keys.mjs';
import { Broken, Unusable } from './verdict.mjs';

/** The trail in an export: the same items as from the database, and a trailer at the end. */
export class ExportTrail {
  name = 'the export';
  #file;
  #lines;

  /** @throws Unusable when the file is no export */
  constructor(path) {
    this.#file = new LineFile(path);
    this.#lines = this.#file.lines();
    const header = parseLine(this.#lines.next().value?.text ?? '');
    if (header?.type !== HEADER || header.version !== EXPORT_VERSION) {
      this.close();
      throw new Unusable(`${path} is no export of version ${EXPORT_VERSION}.`);
    }
    const { firstSequence = 1, previousHash = GENESIS_HASH } = header;
    if (!Number.isSafeInteger(firstSequence) || firstSequence < 1) {
      this.close();
      throw new Unusable(`${path} does not say where its trail begins.`);
    }
    this.firstSequence = firstSequence;
    this.previousHash = previousHash;
    this.isArchive = header.archive === true;
    this.hasCheckpoints = header.checkpoints === true;
    this.keys = keysById(Array.isArray(header.keys) ? header.keys : []);
  }

  *items() {
    let last = this.firstSequence - 1;
    for (const line of this.#lines) {
      const item = parseItem(line);
      if (item === undefined) throw new Broken(last + 1, `line ${line.number} of the export cannot be read`);
      if (item.type === 'entry') last = item.sequence;
      yield item;
      if (item.type === 'trailer') return this.#assertEnd(last);
    }
    throw new Broken(last + 1, 'the export was cut off: its trailer is missing');
  }

  #assertEnd(last) {
    if (this.#lines.next().done) return;
    throw new Broken(last + 1, 'the export goes on after its trailer');
  }

  close() {
    this.#file.close();
  }
}

function parseItem({ text, isWhole }) {
  if (text === null || !isWhole) return undefined;
  if (text.startsWith('{"type":"entry"')) return parseEntryLine(text);
  const item = parseLine(text);
  return item?.type === 'checkpoint' || item?.type === 'trailer' ? item : undefined;
}
