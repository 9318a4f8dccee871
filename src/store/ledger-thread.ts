import { parentPort, workerData } from 'node:worker_threads';
import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { ExecuteOptions } from './ledger.js';
import type { CommandArguments, CommandName } from './ledger-commands.js';
import { LedgerWriter } from './ledger-writer.js';
import { MinuteCounter } from './minute-counter.js';
import type { ClaimedDelivery } from './outbox-commands.js';
import { SqliteConnection } from './sqlite-connection.js';

/** A command on its way to the thread. */
export interface Order {
  readonly number: number;
  readonly command: CommandName;
  readonly argument: CommandArguments<CommandName>;
  readonly options?: ExecuteOptions | undefined;
}

export type ToThread = { readonly orders: readonly Order[] } | { readonly end: true };

/** What became of a command. */
export type Reply = { readonly number: number } & ({ readonly value: unknown } | { readonly error: Error });

export type FromThread =
  | { readonly ready: { readonly eventSequence: number } }
  | {
      readonly replies: readonly Reply[];
      readonly events: readonly SessionEventRecord[];
      readonly deliveries: readonly ClaimedDelivery[];
    };

/** The thread that writes: the one writer on its own connection, so that waiting for the disk holds up nobody else. */
if (parentPort) serve(parentPort, (workerData as { readonly path: string }).path);

function serve(port: NonNullable<typeof parentPort>, path: string): void {
  const db = new SqliteConnection(path);
  db.assertDurable();
  const writer = new LedgerWriter(db, new MinuteCounter());
  let replies: Reply[] = [];
  let events: SessionEventRecord[] = [];
  let deliveries: ClaimedDelivery[] = [];

  const send = () => {
    port.postMessage({ replies, events, deliveries } satisfies FromThread);
    [replies, events, deliveries] = [[], [], []];
  };
  const reply = (answer: Reply) => {
    // The answers of a group come one after another, as microtasks: the first sees to it that all go in one message.
    if (replies.length === 0) process.nextTick(send);
    replies.push(answer);
  };
  writer.onCommit((committed) => {
    events.push(...committed.events);
    deliveries.push(...committed.deliveries);
  });

  port.on('message', async (message: ToThread) => {
    if ('end' in message) {
      await writer[Symbol.asyncDispose]();
      // Closed one turn later, when the last answers are on their way.
      setImmediate(() => {
        db.close();
        port.close();
      });
      return;
    }
    for (const { number, command, argument, options } of message.orders) {
      writer.execute(command, argument, options).then(
        (value) => reply({ number, value }),
        (error: Error) => reply({ number, error }),
      );
    }
  });
  port.postMessage({ ready: { eventSequence: writer.eventSequence } } satisfies FromThread);
}
