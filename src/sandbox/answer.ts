import type { ServerResponse } from 'node:http';

/** What a sandbox has to say to one request. */
export interface Answer {
  status: number;
  /** Sent as it is when a string, else as JSON. Absent: no body. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** A JSON error in the sandbox's usual form. */
export function problem(status: number, error: string, message: string, headers?: Record<string, string>): Answer {
  return { status, body: { error, message }, ...(headers && { headers }) };
}

/** The bytes of an answer's body. */
export function bodyOf(answer: Answer): string {
  if (answer.body === undefined) return '';
  return typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
}

export function send(response: ServerResponse, answer: Answer): void {
  const body = bodyOf(answer);
  // 204 and 304 must not carry a length; Node drops their body by itself.
  if (answer.status === 204 || answer.status === 304) {
    response.writeHead(answer.status, answer.headers);
    response.end();
    return;
  }
  response.writeHead(answer.status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...answer.headers,
  });
  response.end(body);
}
