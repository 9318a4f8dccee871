/** What graphql-ws sends about one operation: its end. Events go past it. */
const ABOUT_ONE = /^\{"id":"(\d+)"/;

/**
 * Ids of our own for the operations of one socket. graphql-ws takes two operations of one id for the same where the first is
 * ended before it has begun: so a client could have as many as it likes, which nobody counts and nobody ends. A client's id is
 * free again as soon as the client has ended its operation, as the protocol has it.
 */
export class OperationIds {
  readonly #ours = new Map<string, string>();
  readonly #theirs = new Map<string, string>();
  #last = 0;
  #running = 0;
  #chars = 0;

  /** Those that we are not done with, also where the client has ended them. */
  get running(): number {
    return this.#running;
  }

  /** The length of the messages that they began with: those are kept for as long. */
  get chars(): number {
    return this.#chars;
  }

  /**
   * Does what an operation takes, under an id of ours.
   * @param chars of the message that it began with
   * @returns false where the client has one of that id
   */
  async run(id: string, chars: number, operate: (ours: string) => Promise<void>): Promise<boolean> {
    if (this.#ours.has(id)) return false;
    this.#last += 1;
    const ours = String(this.#last);
    this.#ours.set(id, ours);
    this.#theirs.set(ours, id);
    this.#running += 1;
    this.#chars += chars;
    try {
      await operate(ours);
    } finally {
      this.#running -= 1;
      this.#chars -= chars;
      this.#release(ours);
    }
    return true;
  }

  /** Ours for an operation that the client ends; undefined where there is none. */
  end(id: string): string | undefined {
    const ours = this.#ours.get(id);
    if (ours !== undefined) this.#release(ours);
    return ours;
  }

  /** The client's; undefined where it has ended that operation, and wants to hear nothing of it. */
  theirs(ours: string): string | undefined {
    return this.#theirs.get(ours);
  }

  /** What graphql-ws tells of an operation, with the client's id; null where the client is not to hear it. */
  translate(message: string): string | null {
    const [head = '', ours] = ABOUT_ONE.exec(message) ?? [];
    if (ours === undefined) return message;
    const id = this.theirs(ours);
    if (id === undefined) return null;
    this.#release(ours);
    return `{"id":${JSON.stringify(id)}${message.slice(head.length)}`;
  }

  #release(ours: string): void {
    const id = this.#theirs.get(ours);
    if (id === undefined) return;
    this.#theirs.delete(ours);
    this.#ours.delete(id);
  }
}
