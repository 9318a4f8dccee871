import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, isIP, type Socket } from 'node:net';

/** Above what clients keep idle connections for, so that it is never us who close one just as it is used again. */
const KEEP_ALIVE_MS = 65_000;

/** Where a sandbox listens. */
export interface ListenOptions {
  /** Default 0: any free one. */
  port?: number;
  /** A loopback address; default 127.0.0.1. */
  host?: string;
}

/** node:http on the loopback interface, which knows its sockets and can let go of them at once. */
export class LoopbackServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #host: string;
  readonly #sockets = new Set<Socket>();
  #port: number;

  private constructor(listener: RequestListener, host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      if (isFromPage(request)) response.writeHead(403).end();
      else listener(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** @throws RangeError when `host` is not a loopback address: who reaches the control route can do as they like */
  static async start(
    listener: RequestListener,
    { host = '127.0.0.1', port = 0 }: ListenOptions,
  ): Promise<LoopbackServer> {
    if (!isLoopback(host)) throw new RangeError(`A sandbox listens on a loopback address only, not on ${host}`);
    const server = new LoopbackServer(listener, host, port);
    await server.listen();
    return server;
  }

  /** `http://127.0.0.1:PORT` */
  get origin(): string {
    return `http://${isIP(this.#host) === 6 ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  /** Listens, after {@link close} on the same port as before. */
  async listen(): Promise<void> {
    if (this.#server.listening) return;
    this.#server.listen(this.#port, this.#host);
    // Rejects on 'error', as when the port is taken.
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and cuts every connection, also those in the middle of an answer. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Programs of this machine may do as they like; web pages that a browser here shows may not, under whatever name they come. */
function isFromPage({ headers: { origin, host = '' } }: IncomingMessage): boolean {
  if (origin !== undefined) return true;
  const url = `http://${host}`;
  return !URL.canParse(url) || !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, ''));
}
