/**
 * With a ping the server says up to where it has sent all that the subscriptions of a connection want. This tells which of
 * these marks are true of one subscription.
 */
export class ServerMarks {
  /** Whether the server has the subscription on this connection: it was `sent`, and surely has come (`known`). */
  #standing: 'none' | 'sent' | 'known' = 'none';

  onSubscribing(): void {
    this.#standing = 'sent';
  }

  onEvent(): void {
    this.#standing = 'known';
  }

  /** The subscription is over, or its connection. */
  onEnd(): void {
    this.#standing = 'none';
  }

  /**
   * The cursor of a mark that is true of the subscription. When that was only sent, the server may have written the mark before
   * it came. The next one is true: the client answers this one after it has subscribed, and the server waits for that.
   */
  read(ping: Record<string, unknown> | undefined): string | undefined {
    const mark = ping?.eventCursor;
    if (typeof mark !== 'string' || this.#standing === 'none') return undefined;
    const isTrue = this.#standing === 'known';
    this.#standing = 'known';
    return isTrue ? mark : undefined;
  }
}
