import type { ThreadedLedger } from './threaded-ledger.js';

interface Log {
  warn(message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}

/** Whether anything can be written, and the log of when that changes. */
export class LedgerHealth {
  readonly #ledger: ThreadedLedger;
  #isAlive = true;

  /** @param onDeath called when the ledger's thread has died: until then it may recover */
  constructor(ledger: ThreadedLedger, log: Log, onDeath: () => void) {
    this.#ledger = ledger;
    ledger.onFailure((error) => {
      this.#isAlive = false;
      log.fatal({ err: error }, 'the ledger thread died: nothing can be written any more');
      onDeath();
    });
    ledger.onStorageChange((failure) => {
      if (failure) log.error({ failure }, 'the database cannot be written: not ready until it can');
      else log.warn('the database can be written again');
    });
    ledger.onLogKept(() =>
      log.warn(
        'somebody has been reading the database for a minute: until they have finished, what an erased guest left in the ' +
          'write-ahead log (-wal), its key included, cannot be removed from it',
      ),
    );
  }

  get isHealthy(): boolean {
    return this.#isAlive && this.#ledger.isWritable;
  }
}
