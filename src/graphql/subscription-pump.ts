import type { SessionEventRecord } from '../guest-session/session-event.js';
import type { Follower, FollowerListener } from '../lifecycle/session-event-stream.js';
import type { SharedExecution } from './shared-execution.js';
import type { Slices, Task } from './slices.js';
import type { SocketWriter, SubscriptionSocket } from './subscription-socket.js';

const MAX_EVENTS_PER_TURN = 100;
/** How many payloads are made together where one has to be waited for, so that what they read is read together. */
const AHEAD = 16;

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
  /** What was read of the log; those from `#next` on are not yet written. */
  #events: readonly SessionEventRecord[] = [];
  #next = 0;
  /** Of the next event, where it had to be waited for. */
  #payload: string | null = null;
  /** Where the log ended when it began: what came before is replayed, and not held against it. */
  readonly #began: number;
  /** Those that came since, and were not written yet. */
  #unreadEvents = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
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
    const { socket, execution } = this.#options;
    try {
      for (let written = 0; written < MAX_EVENTS_PER_TURN; written += 1) {
        if (socket.isFull()) {
          this.#state = 'blocked';
          this.#complain();
          return;
        }
        if (this.#next === this.#events.length && !this.#readOn()) return;
        const payload = this.#payload ?? execution.payload(this.#events[this.#next]!);
        if (typeof payload !== 'string') {
          this.#await(payload);
          return;
        }
        socket.write(`${this.#head}${payload}}`);
        if (this.#events[this.#next]!.sequence > this.#began) this.#unreadEvents -= 1;
        this.#payload = null;
        this.#next += 1;
      }
      this.#queue();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Gives whether there is an event to write now. */
  #readOn(): boolean {
    const take = (events: readonly SessionEventRecord[]) => {
      this.#events = events;
      this.#next = 0;
    };
    const read = this.#options.follower.read();
    if (read instanceof Promise) this.#wait(read.then(take));
    else {
      take(read);
      if (read.length === 0) this.#state = 'idle';
    }
    return this.#state === 'queued';
  }

  #await(payload: Promise<string>): void {
    const ahead = this.#events.slice(this.#next + 1, this.#next + AHEAD);
    for (const event of ahead) void this.#options.execution.payload(event);
    this.#wait(
      payload.then((text) => {
        this.#payload = text;
      }),
    );
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
    this.#events = [];
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
