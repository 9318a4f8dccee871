import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A way to an HTTP server that can be closed between two calls: from then on connections are refused, and nothing is sent.
 * Each call has a connection of its own, so that none is cut.
 */
export class Gate implements AsyncDisposable {
  /** Where what comes in is passed on to. */
  target = '';
  readonly #server: Server;
  #port = 0;
  #closesAfter = Number.POSITIVE_INFINITY;

  private constructor() {
    this.#server = createServer(async (incoming, outgoing) => {
      const { method, headers, url } = incoming;
      const passedOn = request(this.target + url, {
        method,
        headers: { ...headers, connection: 'close' },
        agent: false,
      });
      incoming.pipe(passedOn);
      const [answer] = await once(passedOn, 'response');
      this.#closesAfter -= 1;
      if (this.#closesAfter === 0) this.#server.close();
      outgoing.writeHead(answer.statusCode, { ...answer.headers, connection: 'close' });
      answer.pipe(outgoing);
    });
  }

  static async open(): Promise<Gate> {
    const gate = new Gate();
    await gate.reopen();
    return gate;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Lets so many calls through, and no more. */
  async closeAfter(calls: number): Promise<void> {
    this.#closesAfter = calls;
    if (calls === 0) await this.#close();
  }

  /** Undoes {@link closeAfter}, on the same port. */
  async reopen(): Promise<void> {
    this.#closesAfter = Number.POSITIVE_INFINITY;
    if (this.#server.listening) return;
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.#close();
  }

  async #close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}
