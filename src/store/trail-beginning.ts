import { AuditKind, GENESIS_HASH } from './audit-chain.js';
import type { AuditSigner } from './audit-signer.js';
import { checkpointFault, TrailFault } from './trail-fault.js';
import type { StoredCheckpoint, TrailRows } from './trail-rows.js';

const ARCHIVED = /^entries 1 to ([1-9][0-9]*) were archived: ([0-9a-f]{64}); sha256 of the archive [0-9a-f]{64}$/;

/** What the entry of an archive says, for those who verify the trail without it. */
export const archivedReason = (last: number, hash: string, archiveSha256: string): string =>
  `entries 1 to ${last} were archived: ${hash}; sha256 of the archive ${archiveSha256}`;

/** What a trail goes on from. */
export interface TrailBeginning {
  /** What the first entry is chained to. */
  readonly hash: string;
  /** The one that vouches for it; null where the trail begins with the first entry of all. */
  readonly checkpoint: StoredCheckpoint | null;
}

/**
 * What the first entry of the trail has to be chained to. Where the trail does not begin with the first entry of all, two things
 * have to vouch for that: a checkpoint of the last entry that is gone, and an entry that says that it was archived.
 */
export function beginningOf(rows: TrailRows, signer: AuditSigner | null, first: number): TrailBeginning | TrailFault {
  if (rows.hasRowBeforeFirst()) return new TrailFault(0, 'an entry stands before the first, where none can be');
  if (first === 1) return { hash: GENESIS_HASH, checkpoint: null };
  const last = first - 1;
  const broken = (reason: string) => new TrailFault(first, `the trail begins with this entry, but ${reason}`);
  const [checkpoint] = rows.checkpoints(last - 1, last);
  if (!checkpoint) return broken(`there is no checkpoint of entry ${last}: those before it were removed`);
  const fault = checkpointFault(checkpoint, signer);
  if (fault) return broken(`of the one before it ${fault}`);
  const { faulty, rows: found } = rows.after(last, 1);
  if ((faulty ?? found[0])?.sequence !== first) return new TrailFault(first, 'the entry is missing');
  if (found[0] && found[0].previousHash !== checkpoint.hash) {
    return broken(`it is not chained to the entry ${last} that the checkpoint was made of`);
  }
  const said = rows.reasonsOf(AuditKind.TRAIL_ARCHIVED, first).find((reason) => lastOf(reason) === last);
  if (said === undefined) return broken('no entry says that those before it were archived');
  if (ARCHIVED.exec(said)?.[2] !== checkpoint.hash) {
    return broken('the entry that says that those before it were archived says that they ended with another hash');
  }
  return { hash: checkpoint.hash, checkpoint };
}

const lastOf = (reason: string): number => Number(ARCHIVED.exec(reason)?.[1]);
