import type { ThreadedLedger } from './threaded-ledger.js';

interface Log {
  warn(message: string): void;
  error(fields: object, message: string): void;
}

/** Tells operations of what keeps the ledger from its work. */
export function logTrouble(ledger: Pick<ThreadedLedger, 'onStorageChange' | 'onLogKept'>, log: Log): void {
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
