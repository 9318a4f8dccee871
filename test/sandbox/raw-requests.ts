import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { GUEST, sessionPayload } from './requests.js';

/** What a CXone sandbox answers. */
export type CxoneCall = 'token' | 'list' | 'create' | 'end';

/** With node:http, whose errors carry the code of the socket. `end` ends the first session that is live. */
export function callOverHttp(sandbox: CxoneSandbox, call: CxoneCall, bearer: string) {
  const { method, path, type, body } = REQUESTS[call](sandbox);
  const headers = {
    authorization: `Bearer ${bearer}`,
    'x-request-id': 'request-1',
    ...(type && { 'content-type': type }),
  };
  const request = httpRequest(`${sandbox.url}${path}`, { method, agent: false, timeout: 10_000, headers });
  const answer = answerTo(request);
  request.end(body);
  return { answer, abort: () => void request.destroy() };
}

export function createOverHttp(sandbox: CxoneSandbox, bearer: string): Promise<IncomingMessage> {
  return callOverHttp(sandbox, 'create', bearer).answer;
}

interface RawRequest {
  method: string;
  path: string;
  type?: string;
  body?: string;
}

const SESSIONS_PATH = '/api/v1/messaging/sessions';
const REQUESTS: Record<CxoneCall, (sandbox: CxoneSandbox) => RawRequest> = {
  token: ({ clientId, clientSecret }) => ({
    method: 'POST',
    path: '/oauth/token',
    type: 'application/x-www-form-urlencoded',
    body: `grant_type=client_credentials&client_id=${clientId}&client_secret=${clientSecret}`,
  }),
  list: () => ({ method: 'GET', path: `${SESSIONS_PATH}?guestId=${GUEST}&status=active` }),
  create: () => ({
    method: 'POST',
    path: SESSIONS_PATH,
    type: 'application/json',
    body: JSON.stringify(sessionPayload()),
  }),
  end: (sandbox) => ({ method: 'DELETE', path: `${SESSIONS_PATH}/${sandbox.sessions()[0]?.sessionId}` }),
};

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    // Not once: a request that is destroyed may fail again, and nobody would be there to hear it.
    request.on('error', reject);
  });
  // Looked at later; an early rejection must not count as unhandled.
  answer.catch(() => {});
  return answer;
}

/** Sends the head of a creation and not yet its body. */
export function headOfCreate(sandbox: CxoneSandbox): Socket {
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.write('POST /api/v1/messaging/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n');
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
