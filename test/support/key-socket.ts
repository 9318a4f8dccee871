import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from './eventually.js';

/** A socket of graphql-ws, as far as it gets. */
export interface KeySocket {
  /** The status that the upgrade was refused with. */
  readonly refused: number | null;
  readonly isAcknowledged: boolean;
  /** The code that it was closed with. */
  readonly code: number | null;
  closes(timeoutMs?: number): Promise<number>;
}

/** Opens a socket from a page of this origin, or from no page, and presents a key. Gone when the test is over. */
export async function openWithKey(
  url: string,
  key: string | undefined,
  origin?: string,
  others: Readonly<Record<string, string>> = {},
): Promise<KeySocket> {
  const headers = { ...others, ...(origin !== undefined && { origin }) };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers });
  onTestFinished(() => socket.terminate());
  const seen = {
    refused: null as number | null,
    isAcknowledged: false,
    code: null as number | null,
    closes: (timeoutMs?: number) => eventually(() => seen.code, timeoutMs),
  };
  socket.on('message', (data) => {
    if (JSON.parse(String(data)).type === 'connection_ack') seen.isAcknowledged = true;
  });
  socket.on('unexpected-response', (_request, response) => {
    seen.refused = response.statusCode ?? 0;
    socket.terminate();
  });
  socket.on('error', () => undefined);
  socket.on('close', (code) => {
    seen.code = code;
  });
  await Promise.race([once(socket, 'open'), once(socket, 'close')]).catch(() => undefined);
  if (seen.refused !== null) return seen;
  const payload = key === undefined ? {} : { authorization: `Bearer ${key}` };
  socket.send(JSON.stringify({ type: 'connection_init', payload }));
  await eventually(() => seen.isAcknowledged || seen.code !== null);
  return seen;
}
