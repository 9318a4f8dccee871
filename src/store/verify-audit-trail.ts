import { type AuditRow, GENESIS_HASH, hashEntry } from './audit-chain.js';
import type { AuditCheckpoint, AuditSigner } from './audit-signer.js';

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

/** Where a trail is read from. */
export interface TrailSource {
  /** Entries after a sequence, oldest first. */
  rowsAfter(sequence: number, limit: number): Promise<readonly AuditRow[]>;
  at(sequence: number): Promise<Pick<AuditRow, 'hash'> | null>;
  /** Those after a sequence, up to another, oldest first. */
  checkpoints(after: number, to: number): Promise<readonly AuditCheckpoint[]>;
  /** From a sequence on; null where there is none. */
  newestCheckpoint(from: number): Promise<AuditCheckpoint | null>;
}

const BATCH_SIZE = 1_000;

/** What is wrong, and where first. */
class Broken {
  constructor(
    readonly sequence: number,
    readonly reason: string,
  ) {}
}

/** Follows the chain from one sequence to another, both inclusive, and checks the checkpoints on the way. */
export async function verifyAuditTrail(
  source: TrailSource,
  signer: AuditSigner | null,
  from: number,
  to: number,
): Promise<AuditVerification> {
  const walk = new Walk(source, signer, Math.max(1, from), to);
  const broken = await walk.run();
  return walk.tell(broken);
}

class Walk {
  readonly #source: TrailSource;
  readonly #signer: AuditSigner | null;
  readonly #to: number;
  /** The next sequence. */
  #expected: number;
  #head: string | null = null;
  #checked = 0;
  #checkpoints = 0;
  #lastCheckpoint: number | null = null;
  /** How many checkpoints each key has signed that is not ours. */
  readonly #unknownKeys = new Map<string, number>();

  constructor(source: TrailSource, signer: AuditSigner | null, from: number, to: number) {
    this.#source = source;
    this.#signer = signer;
    this.#to = to;
    this.#expected = from;
  }

  /** @returns what is broken; null where nothing is */
  async run(): Promise<Broken | null> {
    // Read before the entries: what is signed while they are read may be beyond those that were seen.
    const newest = await this.#source.newestCheckpoint(this.#expected);
    const from = this.#expected;
    let previousHash = from === 1 ? GENESIS_HASH : ((await this.#source.at(from - 1))?.hash ?? null);
    if (previousHash === null && (await this.#source.rowsAfter(from - 1, 1)).length === 0) {
      return this.#checkEnd(newest); // all of it lies behind the end
    }
    if (previousHash === null) return new Broken(from - 1, 'the entry before the first is missing');

    for (;;) {
      const entries = await this.#source.rowsAfter(
        this.#expected - 1,
        Math.min(BATCH_SIZE, this.#to - this.#expected + 1),
      );
      const checkpoints = await this.#checkpointsOf(entries);
      for (const entry of entries) {
        const broken = this.#checkEntry(previousHash, entry, checkpoints.get(entry.sequence));
        if (broken) return broken;
        previousHash = entry.hash;
      }
      if (this.#expected > this.#to) return null;
      if (entries.length < BATCH_SIZE) return this.#checkEnd(newest);
    }
  }

  async #checkpointsOf(entries: readonly AuditRow[]): Promise<Map<number, AuditCheckpoint>> {
    const last = entries.at(-1);
    const checkpoints = last ? await this.#source.checkpoints(this.#expected - 1, last.sequence) : [];
    return new Map(checkpoints.map((checkpoint) => [checkpoint.sequence, checkpoint]));
  }

  #checkEntry(previousHash: string, entry: AuditRow, checkpoint: AuditCheckpoint | undefined): Broken | null {
    const expected = this.#expected;
    if (entry.sequence !== expected) return new Broken(expected, 'the entry is missing');
    if (entry.previousHash !== previousHash) {
      return new Broken(expected, 'the entry is not chained to the one before it');
    }
    if (hashEntry(previousHash, entry) !== entry.hash) return new Broken(expected, 'the entry was changed');
    const broken = checkpoint && this.#checkCheckpoint(checkpoint, entry.hash);
    if (broken) return broken;
    this.#head = entry.hash;
    this.#expected += 1;
    this.#checked += 1;
    return null;
  }

  #checkCheckpoint(checkpoint: AuditCheckpoint, hash: string): Broken | null {
    const { sequence, keyId } = checkpoint;
    const forged = this.#checkSignature(checkpoint);
    if (forged) return forged;
    if (checkpoint.hash !== hash) {
      const since = this.#lastCheckpoint === null ? '' : ` after ${this.#lastCheckpoint}`;
      return new Broken(
        sequence,
        `the entry is not the one that its checkpoint was made of: it, or one before it${since}, was changed and the chain computed again`,
      );
    }
    if (keyId === this.#signer?.keyId) {
      this.#checkpoints += 1;
      this.#lastCheckpoint = sequence;
    } else {
      this.#unknownKeys.set(keyId, (this.#unknownKeys.get(keyId) ?? 0) + 1);
    }
    return null;
  }

  #checkSignature(checkpoint: AuditCheckpoint): Broken | null {
    if (checkpoint.keyId !== this.#signer?.keyId || this.#signer.hasSigned(checkpoint)) return null;
    return new Broken(checkpoint.sequence, 'the signature of the checkpoint is wrong: it was changed or forged');
  }

  /** A checkpoint of an entry that is not there tells that there was one. */
  #checkEnd(newest: AuditCheckpoint | null): Broken | null {
    if (!newest || newest.sequence < this.#expected) return null;
    const missing = `the entry is missing: the trail was cut off, since there is a checkpoint at ${newest.sequence}`;
    return this.#checkSignature(newest) ?? new Broken(this.#expected, missing);
  }

  tell(broken: Broken | null): AuditVerification {
    return {
      ok: broken === null,
      checked: this.#checked,
      firstBrokenSequence: broken?.sequence ?? null,
      reason: broken?.reason ?? this.#unknown(),
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
