import { link } from './canonical.mjs';
import { Broken } from './verdict.mjs';

/** How far from its place an entry is looked for, to say what has happened to it. */
const REACH = 1_000;

/** Follows the chain of hashes, entry by entry. */
export class Chain {
  /** The sequence of the last entry that was good. */
  last;
  /** Its hash. */
  head;
  #headBefore = '';

  /** @param beginning the entry that it begins with, and what that one is chained to */
  constructor({ firstSequence, previousHash }) {
    this.last = firstSequence - 1;
    this.head = previousHash;
  }

  /** @throws Broken when this is not the next entry */
  add(entry) {
    const expected = this.last + 1;
    if (entry.sequence !== expected) throw misplaced(entry.sequence, expected);
    if (entry.previousHash !== this.head) throw new Broken(expected, this.#whyNotChained(entry));
    const computed = link(this.head, entry.text);
    if (entry.hash !== computed)
      throw new Broken(expected, 'its content does not match its hash: one of them was changed');
    this.#headBefore = this.head;
    this.head = computed;
    this.last = expected;
  }

  #whyNotChained(entry) {
    const { sequence, previousHash, hash, text } = entry;
    if (link(this.head, text) === hash) return 'its previousHash was changed';
    const original = originalSequence(entry);
    if (original === sequence && previousHash === this.#headBefore) {
      return `it is chained to entry ${sequence - 2}: entry ${sequence - 1} was put in between`;
    }
    if (original !== undefined && original !== sequence) {
      return `entry ${original} has been given its number: entries were swapped, removed or put in`;
    }
    return 'it is not chained to the entry before it';
  }
}

function misplaced(sequence, expected) {
  if (sequence > expected) return new Broken(expected, `it is missing: the next entry is ${sequence}`);
  return new Broken(Math.min(sequence, expected), `it stands where entry ${expected} should`);
}

/** The number that an entry had when it was hashed; undefined where its content or its hash was changed, too. */
function originalSequence({ sequence, previousHash, hash, text }) {
  // In a text the quotes would be escaped: this is the member.
  const [head, tail] = text.split(`,"sequence":${sequence},`);
  for (let distance = 0; distance <= REACH; distance++) {
    for (const number of [sequence - distance, sequence + distance]) {
      if (link(previousHash, `${head},"sequence":${number},${tail}`) === hash) return number;
    }
  }
  return undefined;
}
