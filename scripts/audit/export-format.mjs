// The lines of an export, as docs/audit.md has them.
import { isKnownForm } from './canonical.mjs';

export const HEADER = 'header';
export const EXPORT_VERSION = 1;

const ENTRY = /^\{"type":"entry","previousHash":("(?:[^"\\]|\\.)*"),"hash":("(?:[^"\\]|\\.)*"),"entry":(\{.*\})\}$/;

/** An entry has its canonical form in it as it was hashed: nobody who reads it has to make it again. */
export const entryLine = ({ previousHash, hash, text }) =>
  `{"type":"entry","previousHash":${JSON.stringify(previousHash)},"hash":${JSON.stringify(hash)},"entry":${text}}`;

/**
 * The entry of such a line; undefined where it is none, or where its form is not the canonical one of a version that we know:
 * somebody who parses it must not see another entry than the one that was hashed.
 */
export function parseEntryLine(line) {
  const [, previousHash, hash, text] = line.match(ENTRY) ?? [];
  if (text === undefined) return undefined;
  try {
    const entry = JSON.parse(text);
    if (JSON.stringify(entry) !== text || !isKnownForm(Object.keys(entry))) return undefined;
    return {
      type: 'entry',
      sequence: entry.sequence,
      previousHash: JSON.parse(previousHash),
      hash: JSON.parse(hash),
      text,
    };
  } catch {
    return undefined;
  }
}
