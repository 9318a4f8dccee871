import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long the answer may take to leave. */
const SEND_TIMEOUT_MS = 1_000;
/** More than a client says that has not read its answer yet. */
const MOST_UNHEARD_BYTES = 64 * 1024;

export interface UpgradeRefusal {
  /** Of HTTP. */
  readonly status: number;
  readonly code: string;
  readonly message: string;
  /** The setting that is in the way. */
  readonly limit?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers the request for a socket by HTTP, in the form that GraphQL clients know. A page in a browser is shown nothing of it
 * (its socket closes with 1006); programs see the status, and most the body as well.
 */
export function refuseUpgrade(socket: Duplex, { status, code, message, limit, headers = {} }: UpgradeRefusal): void {
  socket.on('error', () => undefined); // whoever is refused may be gone already
  const body = JSON.stringify({ errors: [{ message, extensions: { code, ...(limit && { limit }) } }] });
  const lines = Object.entries({
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  // The other end need not close its side, and may leave the answer where it is.
  const cut = setTimeout(() => socket.destroy(), SEND_TIMEOUT_MS);
  socket.once('close', () => clearTimeout(cut));
  // What it says meanwhile is taken off the line: closed over that, a connection is reset, and the reset overtakes the answer.
  let unheardBytes = 0;
  socket.on('data', (chunk: Buffer) => {
    unheardBytes += chunk.length;
    if (unheardBytes > MOST_UNHEARD_BYTES) socket.destroy();
  });
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n'));
}
