import { Beginning } from './beginning.mjs';
import { Chain } from './chain.mjs';
import { faultOf, signatureFaultOf } from './checkpoint.mjs';
import { Broken } from './verdict.mjs';

const PROGRESS_EVERY = 50_000;

/**
 * Follows a trail from its first entry to its last, and holds it against its checkpoints.
 *
 * @param {{ name: string, hasCheckpoints: boolean, firstSequence: number, previousHash: string, isArchive: boolean,
 * items(): Iterable<object> }} trail
 * @param {{ outside?: { next?: object, advance(): void }, keys: Map<string, object>, onProgress?: (entries: number) => void }} options
 * `outside`: the checkpoints that were kept elsewhere; without `keys` no signature is checked
 * @returns {{ first: number, last: number, head: string, inside: number, outside: number, lastCheckpoint: number,
 * archived?: { sequence: number, sha256: string } }} `archived`: what the trail says of the archive that it goes on from
 * @throws Broken
 */
export function followTrail(trail, { outside, keys, onProgress = () => {} }) {
  const chain = new Chain(trail);
  const beginning = new Beginning(trail);
  const counts = { inside: 0, outside: 0 };
  /** The newest entry that a checkpoint has vouched for. */
  let lastCheckpoint = beginning.last;
  /** The last checkpoint that came with the trail, and the first that has no entry (yet). */
  let latest;
  let beyond;
  let trailer;

  const check = (checkpoint, source) => {
    if (beginning.isLater && checkpoint.sequence === beginning.last) {
      return beginning.meetCheckpoint(checkpoint, source, keys);
    }
    const fail = (reason) => new Broken(checkpoint.sequence, `its checkpoint in ${source} ${reason}`);
    if (checkpoint.hash !== chain.head) {
      throw fail(`has another hash: the chain was written anew, from entry ${lastCheckpoint + 1} or a later one on`);
    }
    const fault = keys.size === 0 ? null : signatureFaultOf(checkpoint, keys);
    if (fault !== null) throw fail(fault);
  };

  const meetInside = (checkpoint) => {
    const fault = faultOf(checkpoint);
    if (fault !== null)
      throw new Broken(checkpoint.sequence ?? chain.last + 1, `its checkpoint is no checkpoint: ${fault}`);
    if (checkpoint.sequence < chain.last) throw new Broken(checkpoint.sequence, 'its checkpoint is out of its place');
    latest = checkpoint;
    if (checkpoint.sequence > chain.last) {
      beyond ??= checkpoint;
      return;
    }
    check(checkpoint, trail.name);
    counts.inside += 1;
    // What was kept outside is compared first with what the last of those has vouched for.
    if (outside === undefined) lastCheckpoint = checkpoint.sequence;
  };

  /** Those of the file that belong to the last entry. */
  const meetOutside = () => {
    for (; outside?.next !== undefined && outside.next.sequence <= chain.last; outside.advance()) {
      const checkpoint = outside.next;
      if (checkpoint.sequence < beginning.last) continue; // of an entry that was archived
      check(checkpoint, 'the file');
      if (trail.hasCheckpoints && !isSame(checkpoint, latest)) {
        const reason = latest?.sequence === checkpoint.sequence ? 'is another one than in' : 'is missing in';
        throw new Broken(checkpoint.sequence, `its checkpoint in the file ${reason} ${trail.name}`);
      }
      lastCheckpoint = checkpoint.sequence;
      counts.outside += 1;
    }
  };

  try {
    for (const item of trail.items()) {
      if (item.type === 'checkpoint') meetInside(item);
      else {
        meetOutside();
        if (item.type === 'trailer') trailer = item;
        else {
          if (chain.last === beginning.last && item.sequence > chain.last) beginning.assertVouchedFor();
          chain.add(item);
          beginning.meetEntry(item);
          if (chain.last % PROGRESS_EVERY === 0) onProgress(chain.last);
        }
      }
    }
  } catch (error) {
    // What cannot be read comes after the last entry, whose checkpoint may be wrong.
    if (error instanceof Broken) meetOutside();
    throw error;
  }
  meetOutside();
  // Those of entries that came after an archive are none of its own.
  const beyondOutside = trail.isArchive ? undefined : outside?.next;
  assertWhole(chain, { beyond, beyondOutside, trailer, trail });
  beginning.assertArchived();
  const { last, head } = chain;
  return { first: trail.firstSequence, last, head, ...counts, lastCheckpoint, archived: beginning.archived };
}

const isSame = (one, other) =>
  ['sequence', 'hash', 'timestamp', 'keyId', 'signature'].every((member) => one[member] === other?.[member]);

/** Nothing can be missing at the end that something else knows of. */
function assertWhole({ last, head }, { beyond, beyondOutside, trailer, trail }) {
  if (beyond !== undefined && beyond.sequence <= last) {
    throw new Broken(beyond.sequence, 'its checkpoint is out of its place');
  }
  const known = beyondOutside ?? beyond;
  if (known !== undefined) {
    const where = beyondOutside ? 'the file' : trail.name;
    throw new Broken(last + 1, `the end was cut off: ${where} has a checkpoint of entry ${known.sequence}`);
  }
  if (trailer === undefined) return;
  const before = trail.firstSequence - 1;
  if (trailer.entries !== last - before) {
    throw new Broken(
      Math.min(last, before + trailer.entries) + 1,
      `the export has ${last - before} entries, its trailer says ${trailer.entries}`,
    );
  }
  if (trailer.head !== head) throw new Broken(last, 'its hash is not the head that the trailer says');
}
