import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { sessionPayload } from './requests.js';

/** With node:http, whose errors carry the code of the socket. */
export function createOverHttp(sandbox: CxoneSandbox, bearer: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${sandbox.url}/api/v1/messaging/sessions`, {
      method: 'POST',
      agent: false,
      timeout: 10_000,
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', 'x-request-id': 'request-1' },
    });
    request.once('response', resolve).once('error', reject);
    request.end(JSON.stringify(sessionPayload()));
  });
}

export function abortableCreate(sandbox: CxoneSandbox, bearer: string) {
  const controller = new AbortController();
  const answer = fetch(`${sandbox.url}/api/v1/messaging/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', 'x-request-id': 'request-1' },
    body: JSON.stringify(sessionPayload()),
    signal: controller.signal,
  });
  // Looked at later; an early rejection must not count as unhandled.
  answer.catch(() => {});
  return { answer, abort: () => controller.abort() };
}

/** Sends the head of a creation and not yet its body. */
export function headOfCreate(sandbox: CxoneSandbox): Socket {
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.write('POST /api/v1/messaging/sessions HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 2\r\n\r\n');
  return socket;
}

/** Resolves when the socket is closed, with its error if it had one. */
export function closed(socket: Socket): Promise<Error | null> {
  return new Promise((resolve) => {
    let failure: Error | null = null;
    socket.once('error', (error) => {
      failure = error;
    });
    socket.once('close', () => resolve(failure));
    socket.resume();
  });
}
