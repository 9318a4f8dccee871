import { parentPort, workerData } from 'node:worker_threads';
import { AttemptError } from '../errors.js';
import type { ErasedGuest, SessionEventRecord, WebhookEventType } from '../guest-session/session-event.js';
import type { ClaimedDelivery } from './delivery-queue.js';
import { GuestVault } from './guest-vault.js';
import type { ExecuteOptions } from './ledger.js';
import type { CommandArguments, CommandName } from './ledger-commands.js';
import { LedgerWriter } from './ledger-writer.js';
import type { MasterKeys } from './master-cipher.js';
import { MinuteCounter } from './minute-counter.js';
import { SqliteConnection } from './sqlite-connection.js';
import { type StorageFailure, storageFailureOf } from './storage-failure.js';

/** A command on its way to the thread. */
export interface Order {
  readonly number: number;
  readonly command: CommandName;
  readonly argument: CommandArguments<CommandName>;
  readonly options?: ExecuteOptions | undefined;
}

/** What the thread is started with. */
export interface LedgerSettings {
  /** A database that is up to date, with its lock held by this process. */
  readonly path: string;
  /** Events that the CRM is told of; none where there is no CRM. */
  readonly webhookEvents: readonly WebhookEventType[];
  readonly masterKeys: MasterKeys;
}

export type ToThread = { readonly orders: readonly Order[] } | { readonly end: true };

/** An AttemptError on its way: a message does not keep an error's class, nor what it has beyond a message. */
type Refusal = Pick<AttemptError, 'code' | 'detail' | 'retryAfterSeconds'>;

/** What became of a command. */
export type Reply = { readonly number: number } & (
  | { readonly value: unknown }
  | { readonly refusal: Refusal }
  | { readonly error: Error }
);

export type FromThread =
  | { readonly ready: { readonly eventSequence: number } }
  | { readonly storage: StorageFailure | null }
  | { readonly isLogKept: true }
  | {
      readonly replies: readonly Reply[];
      readonly events: readonly SessionEventRecord[];
      readonly deliveries: readonly ClaimedDelivery[];
      readonly erased: readonly ErasedGuest[];
    };

/** The thread that writes: the one writer on its own connection, so that waiting for the disk holds up nobody else. */
if (parentPort) serve(parentPort, workerData as LedgerSettings);

function serve(port: NonNullable<typeof parentPort>, { path, webhookEvents, masterKeys }: LedgerSettings): void {
  const db = new SqliteConnection(path);
  db.assertDurable();
  // The journal of a large savepoint would go to a file in /var/tmp, with pages as they were: also those of a guest that is erased.
  db.exec('PRAGMA temp_store = MEMORY');
  // A message makes plain arrays of buffers.
  const vault = GuestVault.open(db, masterKeys.map((key) => Buffer.from(key)) as [Buffer, ...Buffer[]]);
  const writer = new LedgerWriter(db, vault, new MinuteCounter(), webhookEvents);
  let replies: Reply[] = [];
  let events: SessionEventRecord[] = [];
  let deliveries: ClaimedDelivery[] = [];
  let erased: ErasedGuest[] = [];

  const send = () => {
    port.postMessage({ replies, events, deliveries, erased } satisfies FromThread);
    [replies, events, deliveries, erased] = [[], [], [], []];
  };
  const reply = (answer: Reply) => {
    // The answers of a group come one after another, as microtasks: the first sees to it that all go in one message.
    if (replies.length === 0) process.nextTick(send);
    replies.push(answer);
  };
  writer.onCommit((committed) => {
    events.push(...committed.events);
    deliveries.push(...committed.deliveries);
    erased.push(...committed.erased);
  });

  // Not with the answers: who is refused should find the server unready.
  writer.onStorageChange((storage) => port.postMessage({ storage } satisfies FromThread));

  writer.onLogKept(() => port.postMessage({ isLogKept: true } satisfies FromThread));

  port.on('message', async (message: ToThread) => {
    if ('end' in message) {
      await writer[Symbol.asyncDispose]();
      // Closed one turn later, when the last answers are on their way.
      setImmediate(() => {
        closeQuietly(db);
        port.close();
      });
      return;
    }
    for (const { number, command, argument, options } of message.orders) {
      writer.execute(command, argument, options).then(
        (value) => reply({ number, value }),
        (error: Error) => reply({ number, ...failureOf(error) }),
      );
    }
  });
  port.postMessage({ ready: { eventSequence: writer.eventSequence } } satisfies FromThread);
}

function failureOf(error: Error): { readonly refusal: Refusal } | { readonly error: Error } {
  if (!(error instanceof AttemptError)) return { error };
  const { code, detail, retryAfterSeconds } = error;
  return { refusal: { code, detail, retryAfterSeconds } };
}

/** What a full disk keeps from being copied out of the WAL is on the disk all the same: the next start finds it there. */
function closeQuietly(db: SqliteConnection): void {
  try {
    db.close();
  } catch (error) {
    if (!storageFailureOf(error)) throw error;
  }
}
