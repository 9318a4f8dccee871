import type { WebhookEventType } from '../guest-session/session-event.js';
import type { GuestVault } from './guest-vault.js';
import type { ExecuteOptions, Ledger } from './ledger.js';
import { type CommandArguments, type CommandName, type CommandResult, LEDGER_COMMANDS } from './ledger-commands.js';
import { LedgerTransaction, readHeads } from './ledger-transaction.js';
import type { MinuteCounter } from './minute-counter.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { ledgerUnavailable, storageFailureOf } from './storage-failure.js';
import { type StorageListener, StorageWatch } from './storage-watch.js';
import { WriteAheadLog } from './write-ahead-log.js';

/** Above this a group is committed and the event loop gets its turn, before the next one begins. */
const MAX_GROUP_SIZE = 64;
/** How long a job that nobody waits for may wait for company. */
const LINGER_MS = 20;

interface Job {
  run(transaction: LedgerTransaction): unknown;
  resolve(value: never): void;
  reject(error: unknown): void;
}

interface WrittenGroup {
  readonly transaction: LedgerTransaction;
  /** Answers the jobs. */
  readonly settle: readonly (() => void)[];
}

/**
 * The one writer. Jobs that have gathered since the last turn of the event loop are committed as one transaction (group
 * commit: one fsync for all of them), each within a savepoint of its own, so that one that fails takes no other with it.
 * A promise resolves after the commit, never before. A group that the storage does not take is refused as a whole.
 */
export class LedgerWriter implements Ledger, AsyncDisposable {
  readonly #db: SqliteConnection;
  readonly #vault: GuestVault;
  readonly #counter: MinuteCounter;
  readonly #webhookEvents: readonly WebhookEventType[];
  readonly #listeners: ((committed: LedgerTransaction) => void)[] = [];
  readonly #storage: StorageWatch;
  readonly #log: WriteAheadLog;
  #heads;
  /** What SQLite said when the heads were read: it says something else once another connection has written. */
  #dataVersion: number | undefined;
  #queue: Job[] = [];
  #turn: NodeJS.Immediate | null = null;
  #linger: NodeJS.Timeout | null = null;

  /**
   * @param vault on the same connection
   * @param webhookEvents those that the CRM is told of; none where there is no CRM
   */
  constructor(
    db: SqliteConnection,
    vault: GuestVault,
    counter: MinuteCounter,
    webhookEvents: readonly WebhookEventType[],
  ) {
    this.#db = db;
    this.#vault = vault;
    this.#counter = counter;
    this.#webhookEvents = webhookEvents;
    this.#storage = new StorageWatch(db);
    this.#log = new WriteAheadLog(db);
    this.#heads = readHeads(db);
  }

  /** Sequence of the newest committed event. */
  get eventSequence(): number {
    return this.#heads.eventSequence;
  }

  /** False from the first group that the storage does not take until a probe can write again. Jobs are tried all the same. */
  get isWritable(): boolean {
    return this.#storage.failure === null;
  }

  /** Hears when that changes, before the jobs of the group are refused. */
  onStorageChange(listener: StorageListener): void {
    this.#storage.onChange(listener);
  }

  /** Hears when the write-ahead log cannot be emptied after an erasure: it is still tried. */
  onLogKept(listener: () => void): void {
    this.#log.onKept(listener);
  }

  /** Hears of every group after its commit, in commit order. */
  onCommit(listener: (committed: LedgerTransaction) => void): void {
    this.#listeners.push(listener);
  }

  execute<Name extends CommandName>(
    command: Name,
    argument: CommandArguments<Name>,
    options?: ExecuteOptions,
  ): Promise<CommandResult<Name>> {
    const run = LEDGER_COMMANDS[command] as (
      transaction: LedgerTransaction,
      argument: CommandArguments<Name>,
    ) => CommandResult<Name>;
    return this.submit((transaction) => run(transaction, argument), options);
  }

  /**
   * Queues a job. It runs synchronously inside the group's transaction; what it throws rolls back its own writes alone.
   * @param linger true where nobody waits: the job then shares a commit with others if any come soon
   */
  submit<T>(run: (transaction: LedgerTransaction) => T, { linger = false }: ExecuteOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run, resolve, reject });
      if (!linger || this.#queue.length >= MAX_GROUP_SIZE) this.#turn ??= setImmediate(() => this.#commitGroup());
      else this.#linger ??= setTimeout(() => this.#commitGroup(), LINGER_MS);
    });
  }

  #commitGroup(): void {
    if (this.#linger) clearTimeout(this.#linger);
    this.#linger = null;
    this.#turn = null;
    const group = this.#queue.splice(0, MAX_GROUP_SIZE);
    if (this.#queue.length > 0) this.#turn = setImmediate(() => this.#commitGroup());
    if (group.length === 0) return;

    let written: WrittenGroup;
    try {
      written = this.#write(group);
    } catch (error) {
      this.#refuse(group, error);
      return;
    }
    this.#heads = written.transaction.heads;
    if (written.transaction.erased.length > 0) this.#log.empty();
    for (const listener of this.#listeners) listener(written.transaction);
    for (const answer of written.settle) answer();
  }

  #write(group: readonly Job[]): WrittenGroup {
    this.#db.begin();
    this.#catchUp();
    const transaction = new LedgerTransaction(this.#db, this.#vault, this.#heads, this.#webhookEvents);
    const settle = group.map((job) => this.#runInSavepoint(job, transaction));
    this.#counter.write(transaction.measurements, this.#db);
    this.#db.commit();
    return { transaction, settle };
  }

  /** Reads again what is kept in memory, where another process has written since. Nobody can from here to the commit. */
  #catchUp(): void {
    const dataVersion = this.#db.get<{ data_version: number }>('PRAGMA data_version')?.data_version;
    if (dataVersion === this.#dataVersion) return;
    this.#heads = readHeads(this.#db);
    this.#counter.forget();
    this.#dataVersion = dataVersion;
  }

  #refuse(group: readonly Job[], error: unknown): void {
    this.#counter.forget();
    this.#rollBack();
    const failure = storageFailureOf(error);
    if (failure) this.#storage.report(failure);
    const reason = failure ? ledgerUnavailable(failure) : error;
    for (const job of group) job.reject(reason);
  }

  #runInSavepoint(job: Job, transaction: LedgerTransaction): () => void {
    const undo = transaction.mark();
    this.#db.run('SAVEPOINT job');
    try {
      const value = this.#vault.during(() => job.run(transaction));
      this.#db.run('RELEASE job');
      return () => job.resolve(value as never);
    } catch (error) {
      // The storage has failed, and SQLite may have ended the transaction by itself: the group is lost, and this is why.
      if (!this.#db.isInTransaction || storageFailureOf(error)) throw error;
      this.#db.run('ROLLBACK TO job');
      this.#db.run('RELEASE job');
      undo();
      return () => job.reject(error);
    }
  }

  #rollBack(): void {
    try {
      this.#db.rollback();
    } catch {
      // The group is refused for its own reason; if the connection is broken, the next BEGIN says so.
    }
  }

  /** Commits what is queued. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#queue.length > 0) {
      this.#commitGroup();
      await new Promise(setImmediate);
    }
    this.#storage[Symbol.dispose]();
    this.#log[Symbol.dispose]();
  }
}
