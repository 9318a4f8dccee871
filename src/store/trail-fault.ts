import type { AuditSigner } from './audit-signer.js';
import type { StoredCheckpoint } from './trail-rows.js';

/** What is wrong with the audit trail, and where first. */
export class TrailFault {
  constructor(
    readonly sequence: number,
    readonly reason: string,
  ) {}
}

/** What is wrong with a checkpoint by itself; null where nothing is, or it is of a key that is not ours. */
export function checkpointFault(checkpoint: StoredCheckpoint, signer: AuditSigner | null): string | null {
  const { timestamp } = checkpoint;
  if (timestamp === null) return 'the checkpoint is none: one of its columns holds what none can have';
  if (checkpoint.keyId !== signer?.keyId || signer.hasSigned({ ...checkpoint, timestamp })) return null;
  return 'the signature of the checkpoint is wrong: it was changed or forged';
}
