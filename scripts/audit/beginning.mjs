import { signatureFaultOf } from './checkpoint.mjs';
import { Broken } from './verdict.mjs';

const ARCHIVED = /^entries 1 to ([1-9][0-9]*) were archived: ([0-9a-f]{64}); sha256 of the archive ([0-9a-f]{64})$/;

/**
 * What has to vouch for a trail that does not begin with the first entry of all: a checkpoint of the last entry that is gone, and
 * an entry that says that it was archived. An archive has the checkpoint alone: the entry that tells of the archive before it is
 * younger than what is in it.
 */
export class Beginning {
  #trail;
  #checkpoint;
  /** Of the entries that say so the newest. */
  #archived;

  /** @param {{ firstSequence: number, previousHash: string, isArchive: boolean }} trail */
  constructor(trail) {
    this.#trail = trail;
  }

  /** The last entry that is not there any more. */
  get last() {
    return this.#trail.firstSequence - 1;
  }

  get isLater() {
    return this.last > 0;
  }

  /** What an entry tells of the archive that ends here; undefined where none does. */
  get archived() {
    return this.#archived;
  }

  /** @throws Broken when this is not the checkpoint that the trail goes on from */
  meetCheckpoint(checkpoint, source, keys) {
    const what = `the checkpoint of entry ${this.last} in ${source}`;
    if (checkpoint.hash !== this.#trail.previousHash) throw this.#broken(`its previousHash is not the one of ${what}`);
    const fault = keys.size === 0 ? null : signatureFaultOf(checkpoint, keys);
    if (fault !== null) throw this.#broken(`${what} ${fault}`);
    this.#checkpoint = checkpoint;
  }

  /** @throws Broken when entries are missing before this first one, and no checkpoint tells of them */
  assertVouchedFor() {
    if (!this.isLater || this.#checkpoint !== undefined) return;
    throw this.#broken(`there is no checkpoint of entry ${this.last}: those before it were removed`);
  }

  meetEntry({ sequence, text }) {
    if (!this.isLater || !text.includes('"kind":"TRAIL_ARCHIVED"')) return;
    const { kind, reason } = JSON.parse(text);
    const [, last, hash, sha256] = (kind === 'TRAIL_ARCHIVED' && ARCHIVED.exec(reason)) || [];
    if (Number(last) === this.last) this.#archived = { sequence, hash, sha256 };
  }

  /** @throws Broken when no entry says that those before were archived */
  assertArchived() {
    this.assertVouchedFor();
    if (!this.isLater || this.#trail.isArchive) return;
    if (this.#archived === undefined) throw this.#broken('no entry says that those before it were archived');
    const { sequence, hash } = this.#archived;
    if (hash !== this.#trail.previousHash)
      throw this.#broken(`entry ${sequence} says that they ended with another hash`);
  }

  #broken(reason) {
    return new Broken(this.last + 1, `the trail begins with it, but ${reason}`);
  }
}
