import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';

/** Above this a socket is given nothing more until it has drained. */
const FULL_BYTES = 64 * 1024;
/** More than a few answers: a client that has not read this much reads nothing. */
const MAX_BUFFERED_BYTES = 1_000_000;
/** The kernel buffers megabytes, and tells of what the client takes in large steps. A ping among the events tells sooner. */
const CHARS_PER_PING = 32 * 1024;
/** Who takes nothing for so long does not read. It must be given a chance also when all comes in one burst. */
const STALL_MS = 2_000;
const KEEP_ALIVE_MS = 15_000;
/** "Too many requests" among the codes of applications. The client of graphql-ws does not come again by itself after it. */
export const TOO_MANY = 4429;

/** Who writes events to a socket. */
export interface SocketWriter {
  /** Sequence up to which it has written all that there is; null while there is more. */
  readonly position: number | null;
  /** The client has taken something. */
  onTaken(): void;
  /** The socket takes no more. */
  onClosing(): void;
}

/** A WebSocket whose back-pressure can be seen. */
export class SubscriptionSocket {
  readonly #socket: WebSocket;
  readonly #tcp: Duplex;
  readonly #writers = new Set<SocketWriter>();
  #charsSincePing = 0;
  #hasAnswered = true;
  #awaitedPongs = 0;
  /** On the monotonic clock; null while it takes what it is given. */
  #takesNothingSinceMs: number | null = null;
  #verdict: NodeJS.Timeout | null = null;
  /** Called whenever the socket is found to be alive. */
  onKeepAlive: () => void = () => undefined;
  /** Called for each pong that answers no ping of ours. */
  onUnaskedPong: () => void = () => undefined;

  /** @param tcp what the WebSocket writes to */
  constructor(socket: WebSocket, tcp: Duplex, keepAliveMs = KEEP_ALIVE_MS) {
    this.#socket = socket;
    this.#tcp = tcp;
    tcp.on('drain', () => this.#taken());
    socket.on('pong', () => this.#onPong());
    const ping = setInterval(() => {
      if (!this.#hasAnswered) return socket.terminate();
      this.#hasAnswered = false;
      this.#ping();
      this.onKeepAlive();
    }, keepAliveMs);
    socket.once('close', () => {
      clearInterval(ping);
      this.#acquit();
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  add(writer: SocketWriter): void {
    this.#writers.add(writer);
  }

  delete(writer: SocketWriter): void {
    this.#writers.delete(writer);
  }

  /**
   * Sequence up to which all that the client wants has been written; null where there is more for one of its subscriptions, or
   * one has only begun. Each has a place of its own: where they differ, as for a moment after a commit, none is true of all.
   * @param subscriptions how many there should be
   */
  position(subscriptions: number): number | null {
    const [position = null, ...others] = new Set([...this.#writers].map((writer) => writer.position));
    return others.length === 0 && this.#writers.size === subscriptions ? position : null;
  }

  /** Whether to wait for `onTaken` before more is written. */
  isFull(): boolean {
    if (this.#socket.bufferedAmount <= FULL_BYTES) return false;
    this.#takesNothingSinceMs ??= performance.now();
    return true;
  }

  /** Sends what is written meanwhile in one piece. */
  together(write: () => void): void {
    this.#tcp.cork();
    try {
      write();
    } finally {
      this.#tcp.uncork();
    }
  }

  /** One of many frames. */
  write(frame: string): void {
    this.#socket.send(frame);
    this.#charsSincePing += frame.length;
    if (this.#charsSincePing < CHARS_PER_PING) return;
    this.#charsSincePing = 0;
    this.#ping();
  }

  /**
   * Sends one message, and resolves when its bytes have left; a broken socket closes soon. What nobody waits for, such as the
   * answers to pings, must not pile up.
   */
  send(message: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.#socket.terminate();
      this.#socket.send(message, () => resolve());
    });
  }

  /** Too much has happened while it took nothing: it is closed unless it takes something soon. */
  accuse(): void {
    if (this.#takesNothingSinceMs === null || this.#verdict) return;
    const patienceMs = this.#takesNothingSinceMs + STALL_MS - performance.now();
    // If it was us who stood still, its sign may lie in what is polled between the timers and the immediates.
    const verdict = setTimeout(
      () => setImmediate(() => this.#verdict === verdict && this.#condemn()),
      Math.max(0, patienceMs),
    );
    this.#verdict = verdict;
  }

  #ping(): void {
    this.#awaitedPongs += 1;
    this.#socket.ping();
  }

  #onPong(): void {
    if (this.#awaitedPongs === 0) this.onUnaskedPong();
    else {
      this.#awaitedPongs -= 1;
      this.#taken();
    }
  }

  #acquit(): void {
    if (this.#verdict) clearTimeout(this.#verdict);
    this.#verdict = null;
  }

  #condemn(): void {
    this.#socket.close(TOO_MANY, 'Too many unread events: subscribe again after your last cursor');
    for (const writer of this.#writers) writer.onClosing();
  }

  #taken(): void {
    this.#hasAnswered = true;
    this.#takesNothingSinceMs = null;
    this.#acquit();
    for (const writer of this.#writers) writer.onTaken();
  }
}
