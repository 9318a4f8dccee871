import type { ExecutionArgs } from 'graphql';
import type { Follower } from '../lifecycle/session-event-stream.js';
import { PayloadCache } from './payload-cache.js';
import { type FormatError, SharedExecution } from './shared-execution.js';
import { Slices } from './slices.js';
import { SubscriptionPump } from './subscription-pump.js';
import type { SubscriptionSocket } from './subscription-socket.js';

export interface FanOutOptions {
  /** What the public sees of an error. */
  readonly format: FormatError;
  /** How many events that match may wait for a subscriber whose socket takes nothing. */
  readonly maxBufferedEvents: number;
}

export interface Subscription {
  readonly id: string;
  /** Equal for subscriptions to which every event looks the same. */
  readonly shareKey: string;
  readonly args: ExecutionArgs;
  readonly follower: Follower;
  readonly socket: SubscriptionSocket;
}

/**
 * Brings events to sockets. Each subscription has its own cursor, and a pump that writes to its own socket at the socket's
 * pace; what subscriptions have in common is the work: those that ask the same, in the same role, share one execution, which
 * makes the JSON of an event once for all of them.
 */
export class FanOut {
  readonly #options: FanOutOptions;
  readonly #slices = new Slices();
  readonly #cache = new PayloadCache();
  readonly #executions = new Map<string, SharedExecution>();
  readonly #pumps = new Set<SubscriptionPump>();

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** Begins to write. What it gives graphql-ws waits for: it gives no results, and ends with the subscription. */
  join({ id, shareKey, args, follower, socket }: Subscription): AsyncIterableIterator<never> {
    const { maxBufferedEvents } = this.#options;
    const execution = this.#enter(shareKey, args);
    const pump = new SubscriptionPump({
      id,
      follower,
      execution,
      socket,
      slices: this.#slices,
      maxBufferedEvents,
      onEnd: () => {
        this.#pumps.delete(pump);
        this.#leave(shareKey, execution);
      },
    });
    this.#pumps.add(pump);
    pump.start();
    return pump;
  }

  /** Waits until all is written that sockets take, or some time is over. */
  async flush(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while ([...this.#pumps].some((pump) => pump.isBusy) && performance.now() < deadline) {
      await new Promise(setImmediate);
    }
  }

  #enter(shareKey: string, args: ExecutionArgs): SharedExecution {
    let execution = this.#executions.get(shareKey);
    if (!execution) {
      execution = new SharedExecution(args, this.#options.format, this.#cache);
      this.#executions.set(shareKey, execution);
    }
    execution.members += 1;
    return execution;
  }

  #leave(shareKey: string, execution: SharedExecution): void {
    execution.members -= 1;
    if (execution.members > 0) return;
    this.#executions.delete(shareKey);
    execution.forget();
  }
}
