import type { IncomingMessage } from 'node:http';

const MAX_BODY_BYTES = 64 * 1024;

/** How reading a body ended: `gone` when the client left in the middle. */
export type ReadResult = 'complete' | 'too-large' | 'gone';

/** One request. Its body is there once {@link read} has completed. */
export class Inbound {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly message: IncomingMessage;
  #query: string;
  #body = '';
  #json: unknown;
  #parsed = false;

  constructor(message: IncomingMessage) {
    const target = message.url ?? '/';
    const mark = target.indexOf('?');
    this.message = message;
    this.method = message.method ?? 'GET';
    this.path = mark === -1 ? target : target.slice(0, mark);
    this.#query = mark === -1 ? '' : target.slice(mark + 1);
  }

  /** What the path has after a prefix, decoded; what cannot be decoded stays as it is. */
  pathAfter(prefix: string): string {
    const rest = this.path.slice(prefix.length);
    try {
      return decodeURIComponent(rest);
    } catch {
      return rest;
    }
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#query);
  }

  /** The body as text. */
  get body(): string {
    return this.#body;
  }

  /** The body as JSON, parsed once; undefined when it is none. */
  get json(): unknown {
    if (!this.#parsed) {
      this.#parsed = true;
      try {
        this.#json = JSON.parse(this.#body);
      } catch {
        this.#json = undefined;
      }
    }
    return this.#json;
  }

  /** A member of a JSON object's body, wherever the path leads. */
  jsonAt(...path: readonly string[]): unknown {
    let value = this.json;
    for (const key of path) value = (value as Record<string, unknown> | null | undefined)?.[key];
    return value;
  }

  header(name: string): string | null {
    const value = this.message.headers[name];
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** The media type without its parameters, lower case. */
  get mediaType(): string | undefined {
    return this.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  }

  /** Reads the body to its end. One that is too large is read all the same, and dropped: the client is still writing and would never see an answer. */
  read(): Promise<ReadResult> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      this.message.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      });
      this.message.once('end', () => {
        if (bytes > MAX_BODY_BYTES) return resolve('too-large');
        this.#body = (chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString('utf8');
        resolve('complete');
      });
      this.message.once('error', () => resolve('gone'));
      this.message.once('close', () => resolve('gone'));
    });
  }
}
