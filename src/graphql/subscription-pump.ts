import type { ErasedGuest, SessionEventRecord } from '../guest-session/session-event.js';
import type { Follower, FollowerListener } from '../lifecycle/session-event-stream.js';
import type { SharedExecution } from './shared-execution.js';
import type { Slices, Task } from './slices.js';
import type { SocketWriter, SubscriptionSocket } from './subscription-socket.js';
import { UnwrittenEvents } from './unwritten-events.js';

const MAX_EVENTS_PER_TURN = 100;

/**
 * What a subscription is doing:
 * - `queued`: it waits for its turn;
 * - `idle`: it has written all there is, and waits for a commit;
 * - `blocked`: it waits for its socket;
 * - `fetching`: it waits for the database, or for a payload that is being made;
 * - `ended`.
 */
type State = 'queued' | 'idle' | 'blocked' | 'fetching' | 'ended';

export interface PumpOptions {
  readonly id: string;
  readonly follower: Follower;
  readonly execution: SharedExecution;
  readonly socket: SubscriptionSocket;
  readonly slices: Slices;
  /** How many events that match may wait for a socket that takes nothing. */
  readonly maxBufferedEvents: number;
  onEnd(): void;
}

/**
 * Writes one subscription's events to its socket. For graphql-ws it is a result that gives nothing and ends some day: it
 * does all the rest of the protocol.
 */
export class SubscriptionPump implements Task, FollowerListener, SocketWriter, AsyncIterableIterator<never> {
  readonly #options: PumpOptions;
  readonly #head: string;
  readonly #end: Promise<IteratorResult<never>>;
  #resolveEnd!: (result: IteratorResult<never>) => void;
  #rejectEnd!: (error: unknown) => void;
  #state: State = 'idle';
  readonly #unwritten: UnwrittenEvents;
  /** Where the log ended when it began: what came before is replayed, and not held against it. */
  readonly #began: number;
  /** Those that came since, and were not written yet. */
  #unreadEvents = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#unwritten = new UnwrittenEvents(options.execution);
    this.#began = options.follower.head;
    this.#head = `{"id":${JSON.stringify(options.id)},"type":"next","payload":`;
    this.#end = new Promise((resolve, reject) => {
      this.#resolveEnd = resolve;
      this.#rejectEnd = reject;
    });
    this.#end.catch(() => undefined); // nobody may be left who wants to know
  }

  /** Begins to write; ends at once where the follower has ended before. */
  start(): void {
    const { socket, follower } = this.#options;
    socket.add(this);
    follower.listen(this);
    if (this.#state !== 'ended') this.#queue();
  }

  /** Whether it has anything to do that does not depend on its client. */
  get isBusy(): boolean {
    return this.#state === 'queued' || this.#state === 'fetching';
  }

  get position(): number | null {
    return this.#state === 'idle' ? this.#options.follower.cursor : null;
  }

  onCommit(events: readonly SessionEventRecord[]): void {
    const { follower } = this.#options;
    for (const event of events) if (event.sequence > this.#began && follower.wants(event)) this.#unreadEvents += 1;
    if (this.#state === 'idle') this.#queue();
    if (this.#state === 'blocked') this.#complain();
  }

  onErased(erased: readonly ErasedGuest[]): void {
    this.#unwritten.forget(erased);
  }

  /** A burst may be all there is: so it is looked when the socket becomes full, and with every commit while it is. */
  #complain(): void {
    const { maxBufferedEvents, socket } = this.#options;
    if (this.#unreadEvents > maxBufferedEvents) socket.accuse();
  }

  onTaken(): void {
    if (this.#state === 'blocked') this.#queue();
  }

  turn(): void {
    const { socket } = this.#options;
    if (this.#state !== 'queued') return;
    if (!socket.isOpen) this.onClosing();
    else socket.together(() => this.#write());
  }

  #write(): void {
    const { socket } = this.#options;
    try {
      for (let written = 0; written < MAX_EVENTS_PER_TURN; written += 1) {
        if (socket.isFull()) {
          this.#state = 'blocked';
          this.#complain();
          return;
        }
        const event = this.#unwritten.next ?? this.#readOn();
        if (!event) return;
        const payload = this.#unwritten.payload(event);
        if (typeof payload !== 'string') {
          this.#wait(payload);
          return;
        }
        socket.write(`${this.#head}${payload}}`);
        if (event.sequence > this.#began) this.#unreadEvents -= 1;
        this.#unwritten.advance();
      }
      this.#queue();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Gives the event to write now, if there is one. */
  #readOn(): SessionEventRecord | undefined {
    const read = this.#options.follower.read();
    if (read instanceof Promise) {
      this.#wait(read.then((events) => this.#unwritten.take(events)));
      return undefined;
    }
    this.#unwritten.take(read);
    if (read.length === 0) this.#state = 'idle';
    return read[0];
  }

  #wait(work: Promise<void>): void {
    this.#state = 'fetching';
    work.then(
      () => {
        if (this.#state === 'fetching') this.#queue();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #queue(): void {
    this.#state = 'queued';
    this.#options.slices.add(this);
  }

  #fail(error: unknown): void {
    this.#rejectEnd(error);
    this.#options.follower.end();
  }

  onClosing(): void {
    this.#options.follower.end();
  }

  /** The follower has ended, and with it the subscription. */
  onEnd(): void {
    this.#state = 'ended';
    this.#unwritten.take([]);
    this.#options.socket.delete(this);
    this.#options.onEnd();
    this.#resolveEnd({ value: undefined, done: true });
  }

  /** The end; where the log could not be read, why. */
  next(): Promise<IteratorResult<never>> {
    return this.#end;
  }

  async return(): Promise<IteratorResult<never>> {
    this.#options.follower.end();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
