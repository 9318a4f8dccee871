import { eventCursor } from './relay.js';
import type { SubscriptionSocket } from './subscription-socket.js';

/**
 * Tells a client up to where it has everything, although nothing of it may have passed its filters: else the cursor of its last
 * event would expire. It is a ping of the protocol: sockets keep the order, so whatever was written before has arrived before.
 *
 * There is no other mark before the client has answered the last. So one that comes after a mark that was answered after a
 * `subscribe` was sent by a server that had that subscription: the client need not guess.
 */
export class ProgressMarks {
  readonly #socket: SubscriptionSocket;
  readonly #subscriptions: () => number;
  #isAnswered = true;

  /** @param subscriptions how many the protocol knows, also those that have only begun */
  constructor(socket: SubscriptionSocket, subscriptions: () => number) {
    this.#socket = socket;
    this.#subscriptions = subscriptions;
  }

  /** Tells where the client is, unless there is more for it. */
  tell(): void {
    const sequence = this.#socket.position(this.#subscriptions());
    if (sequence === null || !this.#isAnswered) return;
    this.#isAnswered = false;
    void this.#socket.send(JSON.stringify({ type: 'ping', payload: { eventCursor: eventCursor.of({ sequence }) } }));
  }

  /** The client has answered. */
  onPong(): void {
    this.#isAnswered = true;
  }
}
