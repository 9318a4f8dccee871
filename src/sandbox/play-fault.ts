import type { ServerResponse } from 'node:http';
import { type Answer, bodyOf, problem, send } from './answer.js';
import type { Fault, SandboxCall } from './faults.js';
import type { Inbound } from './inbound.js';

/** What a fault needs to know of the call that it strikes. */
export interface StruckCall {
  call: SandboxCall;
  /** Read to its end. */
  request: Inbound;
  response: ServerResponse;
  /** The status of a good answer. */
  successStatus: number;
  /** The answer that the work gave, when the fault comes after it. */
  answer: Answer | null;
}

/** `slow` is the server's own business: it ends in a normal answer. */
export type BreakingFault = Exclude<Fault, { kind: 'slow' }>;

const DRIP_EVERY_MS = 100;
const OVERSIZED_BYTES = 5 * 1024 * 1024;
let oversizedBody: string | undefined;

/**
 * Plays a fault to its client.
 * @returns the status of a whole answer, or null when the client never gets one
 */
export function playFault(fault: BreakingFault, struck: StruckCall): number | null {
  const { response } = struck;
  // A 204 has no body that could be broken.
  const status = struck.successStatus === 204 ? 200 : struck.successStatus;
  const reply = (answer: Answer): number => {
    send(response, answer);
    return answer.status;
  };
  switch (fault.kind) {
    case 'rate-limit': {
      const headers = fault.retryAfter === undefined ? undefined : { 'retry-after': fault.retryAfter };
      return reply(problem(fault.status ?? 429, 'rate_limited', 'Too many requests', headers));
    }
    case 'status': {
      const answer = fault.body === undefined ? defaultError(struck.call, fault.status) : { body: fault.body };
      return reply({ ...answer, status: fault.status, ...(fault.headers && { headers: fault.headers }) });
    }
    case 'echo':
      return reply({ status: fault.status, body: echo(fault.as ?? 'json', struck) });
    case 'malformed':
      return reply({ status, body: '<html><body>It works!</body></html>' });
    case 'wrong-shape':
      return reply({ status, body: {} });
    case 'oversized':
      oversizedBody ??= JSON.stringify({ items: [], padding: 'x'.repeat(OVERSIZED_BYTES) });
      return reply({ status, body: oversizedBody });
    case 'outage':
      response.socket?.destroy();
      return null;
    case 'reset':
      response.socket?.resetAndDestroy();
      return null;
    case 'hang':
      return null;
    case 'drip':
      drip(response, status, fault.everyMs ?? DRIP_EVERY_MS);
      return null;
    case 'truncated':
      truncate(response, status, struck.answer);
      return null;
  }
}

/** What upstreams do that help their developers. The credentials come first: who keeps an error may cut it. */
function echo(as: 'json' | 'text', { request, answer }: StruckCall): unknown {
  const { method, path, message, body } = request;
  const { authorization } = message.headers;
  const answered = answer && bodyOf(answer);
  if (as === 'json')
    return {
      error: 'echo',
      authorization,
      answer: answered,
      body,
      form: Object.fromEntries(new URLSearchParams(body)),
    };
  return `${method} ${path}\nAuthorization: ${authorization}\n\n${answered ?? ''}\n${body}\n${encodeURIComponent(body)}`;
}

/** Blanks, which may stand before any JSON: nothing in what arrives is wrong, it just never ends. */
function drip(response: ServerResponse, status: number, everyMs: number): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.flushHeaders();
  const timer = setInterval(() => response.write(' '), everyMs);
  response.once('close', () => clearInterval(timer));
}

function truncate(response: ServerResponse, status: number, answer: Answer | null): void {
  const body = Buffer.from((answer && bodyOf(answer)) || '{"items":[],"sessionId":"cxs_');
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': body.length * 2,
  });
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => response.socket?.end());
}

function defaultError(call: SandboxCall, status: number): Answer {
  if (call !== 'token') return problem(status, 'sandbox_fault', `The sandbox was asked to answer ${status}`);
  const error = status === 401 ? 'invalid_client' : status >= 500 ? 'server_error' : 'invalid_request';
  return { status, body: { error, error_description: `The sandbox was asked to answer ${status}` } };
}
