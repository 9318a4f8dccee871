import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { AttemptError } from '../errors.js';
import { LEDGER_THREAD } from '../paths.js';
import type { Committed, ExecuteOptions, Ledger } from './ledger.js';
import type { CommandArguments, CommandName, CommandResult } from './ledger-commands.js';
import type { FromThread, LedgerSettings, Order, Reply, ToThread } from './ledger-thread.js';
import type { StorageFailure } from './storage-failure.js';
import type { StorageListener } from './storage-watch.js';

interface Waiting {
  resolve(value: never): void;
  reject(error: unknown): void;
}

/** The ledger in a thread of its own: commands go there in batches, one for each turn of the event loop. */
export class ThreadedLedger implements Ledger, AsyncDisposable {
  readonly #worker: Worker;
  readonly #listeners: ((committed: Committed) => void)[] = [];
  readonly #storageListeners: StorageListener[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #eventSequence: number;
  #orders: Order[] = [];
  #nextNumber = 1;
  #turn: NodeJS.Immediate | null = null;
  #failure: Error | null = null;
  #storageFailure: StorageFailure | null = null;
  #isEnding = false;
  #onFailure: (error: Error) => void = () => undefined;
  #onLogKept: () => void = () => undefined;

  private constructor(worker: Worker, eventSequence: number) {
    this.#worker = worker;
    this.#eventSequence = eventSequence;
    worker.on('message', (message: FromThread) => this.#receive(message));
    worker.on('error', (error: Error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('the ledger has ended')));
  }

  static async start(settings: LedgerSettings): Promise<ThreadedLedger> {
    const worker = new Worker(LEDGER_THREAD, { workerData: settings, execArgv: [] });
    const [message] = (await Promise.race([once(worker, 'message'), once(worker, 'exit')])) as [FromThread | number];
    if (typeof message === 'number' || !('ready' in message)) throw new Error('the ledger thread did not start');
    return new ThreadedLedger(worker, message.ready.eventSequence);
  }

  get eventSequence(): number {
    return this.#eventSequence;
  }

  /** False while the storage takes no writes. Commands are tried all the same, and refused if it still does not. */
  get isWritable(): boolean {
    return this.#storageFailure === null;
  }

  /** Hears when that changes: with what is wrong, before any command is refused for it, and with null when it is over. */
  onStorageChange(listener: StorageListener): void {
    this.#storageListeners.push(listener);
  }

  /** Hears when the thread dies: nothing can be written any more. */
  onFailure(listener: (error: Error) => void): void {
    this.#onFailure = listener;
  }

  /** Hears when the write-ahead log cannot be emptied after an erasure: it is still tried. */
  onLogKept(listener: () => void): void {
    this.#onLogKept = listener;
  }

  onCommit(listener: (committed: Committed) => void): void {
    this.#listeners.push(listener);
  }

  execute<Name extends CommandName>(
    command: Name,
    argument: CommandArguments<Name>,
    options?: ExecuteOptions,
  ): Promise<CommandResult<Name>> {
    return new Promise<CommandResult<Name>>((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const number = this.#nextNumber++;
      this.#waiting.set(number, { resolve, reject });
      this.#orders.push({ number, command, argument, options });
      this.#turn ??= setImmediate(() => this.#send());
    });
  }

  #send(): void {
    this.#turn = null;
    const orders = this.#orders;
    this.#orders = [];
    if (orders.length > 0) this.#worker.postMessage({ orders } satisfies ToThread);
  }

  #receive(message: FromThread): void {
    if ('ready' in message) return;
    if ('storage' in message) {
      this.#storageFailure = message.storage;
      for (const listener of this.#storageListeners) listener(message.storage);
      return;
    }
    if ('isLogKept' in message) {
      this.#onLogKept();
      return;
    }
    const { replies, events, deliveries, erased } = message;
    this.#eventSequence = events.at(-1)?.sequence ?? this.#eventSequence;
    for (const listener of this.#listeners) listener({ events, deliveries, erased });
    for (const reply of replies) {
      const waiting = this.#waiting.get(reply.number);
      this.#waiting.delete(reply.number);
      if ('value' in reply) waiting?.resolve(reply.value as never);
      else waiting?.reject(errorOf(reply));
    }
  }

  #fail(error: Error): void {
    if (!this.#failure && !this.#isEnding) this.#onFailure(error);
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** Commits what is queued and ends the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure) return;
    this.#isEnding = true;
    if (this.#turn) clearImmediate(this.#turn);
    this.#send();
    const exited = once(this.#worker, 'exit');
    this.#worker.postMessage({ end: true } satisfies ToThread);
    await exited;
  }
}

const errorOf = (reply: Exclude<Reply, { readonly value: unknown }>): Error =>
  'refusal' in reply ? new AttemptError(reply.refusal.code, reply.refusal) : reply.error;
