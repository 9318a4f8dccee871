import type { ErasedGuest, SessionEventRecord } from '../guest-session/session-event.js';
import type { ClaimedDelivery } from './delivery-queue.js';
import type { CommandArguments, CommandName, CommandResult } from './ledger-commands.js';

/** What a commit has made known. */
export interface Committed {
  readonly events: readonly SessionEventRecord[];
  /** New deliveries, claimed for this process. */
  readonly deliveries: readonly ClaimedDelivery[];
  /** Guests that were forgotten: what is kept of them in memory has to go as well. */
  readonly erased: readonly ErasedGuest[];
}

export interface ExecuteOptions {
  /** True where nobody waits: the command then shares a commit with others if any come soon. */
  readonly linger?: boolean;
}

/** The books, to be written in: each command is applied whole or not at all, and answered after its commit. */
export interface Ledger {
  /** Sequence of the newest committed event. */
  readonly eventSequence: number;
  /** @throws AttemptError `LEDGER_UNAVAILABLE` when the storage does not take it: nothing of it was written then */
  execute<Name extends CommandName>(
    command: Name,
    argument: CommandArguments<Name>,
    options?: ExecuteOptions,
  ): Promise<CommandResult<Name>>;
  /** Hears of every commit, in commit order, before its commands are answered. */
  onCommit(listener: (committed: Committed) => void): void;
}
