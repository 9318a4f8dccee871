import { setImmediate } from 'node:timers/promises';
import { type AuditRow, hashEntry } from './audit-chain.js';
import type { AuditSigner } from './audit-signer.js';
import { beginningOf } from './trail-beginning.js';
import { checkpointFault, TrailFault } from './trail-fault.js';
import type { FaultyRow, StoredCheckpoint, TrailBatch, TrailRows } from './trail-rows.js';

/** What came of verifying the chain and its checkpoints. */
export interface AuditVerification {
  readonly ok: boolean;
  /** Entries whose links were found good. */
  readonly checked: number;
  readonly firstBrokenSequence: number | null;
  /** What is broken; where nothing is, the checkpoints that could not be checked. */
  readonly reason: string | null;
  /** Hash of the last good entry; null where there is none. */
  readonly head: string | null;
  /** Checkpoints that were found good. */
  readonly checkpoints: number;
  /** Sequence of the last of them: up to here the trail is what was signed. */
  readonly lastCheckpoint: number | null;
}

const BATCH_SIZE = 500;

/**
 * Follows the chain from one sequence to another, both inclusive, and checks the checkpoints on the way. What was archived is not
 * there to be followed: the first entry that is left is the first to be checked, and so is what vouches for its place.
 */
export async function verifyAuditTrail(
  rows: TrailRows,
  signer: AuditSigner | null,
  from: number,
  to: number,
): Promise<AuditVerification> {
  for (;;) {
    const walk = new Walk(rows, signer, to);
    const first = rows.firstSequence();
    const fault = await walk.run(Math.max(1, from), first);
    // What was missed may have been archived meanwhile.
    if (fault === null || rows.firstSequence() === first) return walk.tell(fault);
  }
}

class Walk {
  readonly #rows: TrailRows;
  readonly #signer: AuditSigner | null;
  readonly #to: number;
  /** The next sequence. */
  #expected = 1;
  #head: string | null = null;
  #checked = 0;
  #checkpoints = 0;
  #lastCheckpoint: number | null = null;
  /** How many checkpoints each key has signed that is not ours. */
  readonly #unknownKeys = new Map<string, number>();

  constructor(rows: TrailRows, signer: AuditSigner | null, to: number) {
    this.#rows = rows;
    this.#signer = signer;
    this.#to = to;
  }

  /** @returns what is broken; null where nothing is */
  async run(from: number, first: number | null): Promise<TrailFault | null> {
    if (first === null) return new TrailFault(1, 'the table AuditTrail does not say where the trail begins');
    this.#expected = Math.max(from, first);
    // Read before the entries: what is signed while they are read may be beyond those that were seen.
    const newest = this.#rows.newestCheckpoint(this.#expected);
    const before = this.#expected - 1;
    let previousHash = before < first ? this.#begin(first) : this.#rows.hashAt(before);
    if (previousHash instanceof TrailFault) return previousHash;
    if (previousHash === null && isEmpty(this.#rows.after(before, 1))) {
      return this.#checkEnd(newest); // all of it lies behind the end
    }
    if (previousHash === null) return new TrailFault(before, 'the entry before the first is missing');

    while (this.#expected <= this.#to) {
      const limit = Math.min(BATCH_SIZE, this.#to - this.#expected + 1);
      const { rows, faulty } = this.#rows.after(this.#expected - 1, limit);
      const checkpoints = this.#checkpointsOf(rows);
      for (const entry of rows) {
        const fault = this.#checkEntry(previousHash, entry, checkpoints.get(entry.sequence));
        if (fault) return fault;
        previousHash = entry.hash;
      }
      if (faulty) return this.#tellFaulty(faulty);
      if (rows.length < limit) return this.#checkEnd(newest);
      // Reading and hashing hold up everything else.
      await setImmediate();
    }
    return null;
  }

  /** @returns what the first entry has to be chained to */
  #begin(first: number): string | TrailFault {
    const beginning = beginningOf(this.#rows, this.#signer, first);
    if (beginning instanceof TrailFault) return beginning;
    if (beginning.checkpoint) this.#count(beginning.checkpoint);
    return beginning.hash;
  }

  #checkpointsOf(entries: readonly AuditRow[]): Map<number, StoredCheckpoint> {
    const last = entries.at(-1);
    const checkpoints = last ? this.#rows.checkpoints(this.#expected - 1, last.sequence) : [];
    return new Map(checkpoints.map((checkpoint) => [checkpoint.sequence, checkpoint]));
  }

  #tellFaulty({ sequence, column }: FaultyRow): TrailFault {
    if (sequence !== this.#expected) return new TrailFault(this.#expected, 'the entry is missing');
    return new TrailFault(sequence, `the entry was changed: ${column} has a value that no entry can have`);
  }

  #checkEntry(previousHash: string, entry: AuditRow, checkpoint: StoredCheckpoint | undefined): TrailFault | null {
    const expected = this.#expected;
    if (entry.sequence !== expected) return new TrailFault(expected, 'the entry is missing');
    if (entry.previousHash !== previousHash) {
      return new TrailFault(expected, 'the entry is not chained to the one before it');
    }
    if (hashEntry(previousHash, entry) !== entry.hash) return new TrailFault(expected, 'the entry was changed');
    const fault = checkpoint && this.#checkCheckpoint(checkpoint, entry.hash);
    if (fault) return fault;
    this.#head = entry.hash;
    this.#expected += 1;
    this.#checked += 1;
    return null;
  }

  #checkCheckpoint(checkpoint: StoredCheckpoint, hash: string): TrailFault | null {
    const { sequence } = checkpoint;
    const fault = checkpointFault(checkpoint, this.#signer);
    if (fault) return new TrailFault(sequence, fault);
    if (checkpoint.hash !== hash) {
      const since = this.#lastCheckpoint === null ? '' : ` after ${this.#lastCheckpoint}`;
      return new TrailFault(
        sequence,
        `the entry is not the one that its checkpoint was made of: it, or one before it${since}, was changed and the chain computed again`,
      );
    }
    this.#count(checkpoint);
    return null;
  }

  #count({ sequence, keyId }: StoredCheckpoint): void {
    if (keyId === this.#signer?.keyId) {
      this.#checkpoints += 1;
      this.#lastCheckpoint = sequence;
    } else {
      this.#unknownKeys.set(keyId, (this.#unknownKeys.get(keyId) ?? 0) + 1);
    }
  }

  /** A checkpoint of an entry that is not there tells that there was one. */
  #checkEnd(newest: StoredCheckpoint | null): TrailFault | null {
    if (!newest || newest.sequence < this.#expected) return null;
    const fault = checkpointFault(newest, this.#signer);
    if (fault) return new TrailFault(newest.sequence, fault);
    const missing = `the entry is missing: the trail was cut off, since there is a checkpoint at ${newest.sequence}`;
    return new TrailFault(this.#expected, missing);
  }

  tell(fault: TrailFault | null): AuditVerification {
    return {
      ok: fault === null,
      checked: this.#checked,
      firstBrokenSequence: fault?.sequence ?? null,
      reason: fault?.reason ?? this.#unknown(),
      head: this.#head,
      checkpoints: this.#checkpoints,
      lastCheckpoint: this.#lastCheckpoint,
    };
  }

  #unknown(): string | null {
    if (this.#unknownKeys.size === 0) return null;
    const counts = [...this.#unknownKeys].map(([keyId, count]) => `${count} of the key ${JSON.stringify(keyId)}`);
    return `checkpoints of a key that this server does not have were not checked: ${counts.join(', ')}`;
  }
}

const isEmpty = ({ rows, faulty }: TrailBatch): boolean => rows.length === 0 && faulty === null;
