import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { type CxoneCall, callOverHttp } from './raw-requests.js';
import { bearerOf, GUEST, WITHIN } from './requests.js';

/** A fault of each kind, and how it shows to a client that expects `status`. By kind, so that none can be forgotten. */
const KINDS: {
  [Kind in Fault['kind']]: {
    fault: Extract<Fault, { kind: Kind }>;
    arrives(answer: Promise<IncomingMessage>, status: number): Promise<void>;
  };
} = {
  'rate-limit': {
    fault: { kind: 'rate-limit', retryAfter: '7' },
    arrives: async (answer) => {
      expect((await answer).headers['retry-after']).toBe('7');
      expect(await whole(answer)).toEqual([429, expect.stringMatching(/^\{"error":"rate_limited"/)]);
    },
  },
  status: {
    fault: { kind: 'status', status: 500 },
    arrives: async (answer) => expect(await whole(answer)).toEqual([500, expect.stringMatching(/^\{"error":/)]),
  },
  echo: {
    fault: { kind: 'echo', status: 422 },
    arrives: async (answer) =>
      expect(await whole(answer)).toEqual([422, expect.stringMatching(/"authorization":"Bearer [^"]{20,}/)]),
  },
  outage: {
    fault: { kind: 'outage' },
    arrives: (answer) => expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' }),
  },
  reset: {
    fault: { kind: 'reset' },
    arrives: (answer) => expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' }),
  },
  hang: {
    fault: { kind: 'hang' },
    arrives: async (answer) => expect(await Promise.race([answer, delay(50, 'silence')])).toBe('silence'),
  },
  drip: {
    fault: { kind: 'drip', everyMs: 1 },
    arrives: async (answer, status) => {
      const response = await answer;
      expect(response.statusCode).toBe(withBody(status));
      let body = '';
      // The error is the end of the test, which takes the sandbox away.
      response
        .on('error', () => {})
        .on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
      await vi.waitFor(() => expect(body).toMatch(/^ {5,}$/), WITHIN);
      expect(response.complete).toBe(false);
    },
  },
  truncated: {
    fault: { kind: 'truncated' },
    arrives: async (answer, status) => {
      const response = await answer;
      expect(response.statusCode).toBe(withBody(status));
      await expect(response.toArray()).rejects.toMatchObject({ code: 'ECONNRESET' });
    },
  },
  malformed: {
    fault: { kind: 'malformed' },
    arrives: async (answer, status) =>
      expect(await whole(answer)).toEqual([withBody(status), expect.stringMatching(/^</)]),
  },
  'wrong-shape': {
    fault: { kind: 'wrong-shape' },
    arrives: async (answer, status) => expect(await whole(answer)).toEqual([withBody(status), '{}']),
  },
  oversized: {
    fault: { kind: 'oversized' },
    arrives: async (answer, status) => {
      const [arrived, body] = await whole(answer);
      expect([arrived, body.length > 5_000_000]).toEqual([withBody(status), true]);
    },
  },
  slow: {
    fault: { kind: 'slow', delayMs: 20 },
    arrives: async (answer, status) => {
      const [arrived, body] = await whole(answer);
      expect([arrived, body === '']).toEqual([status, status === 204]);
    },
  },
};

/** The status of a good answer, and how many sessions of the one there was are live when the work is done. */
const CALLS = [
  { call: 'token', status: 200, liveAfterWork: 1 },
  { call: 'list', status: 200, liveAfterWork: 1 },
  { call: 'create', status: 201, liveAfterWork: 2 },
  { call: 'end', status: 204, liveAfterWork: 0 },
] as const satisfies { call: CxoneCall; status: number; liveAfterWork: number }[];

const ROWS = Object.values(KINDS).flatMap(({ fault, arrives }) =>
  CALLS.flatMap((call) =>
    (['before', 'after'] as const).map((when) => ({ kind: fault.kind, fault, arrives, when, ...call })),
  ),
);

test.each(ROWS)('$kind strikes $call $when the work', async ({ fault, arrives, when, call, status, liveAfterWork }) => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.addSession(GUEST);
  sandbox.scenarios.add({ on: call, fault, when });
  await arrives(callOverHttp(sandbox, call, bearer).answer, status);
  const isWorkDone = when === 'after' || fault.kind === 'slow';
  await vi.waitFor(() => expect(sandbox.sessions()).toHaveLength(isWorkDone ? liveAfterWork : 1), WITHIN);
});

// Nothing else shows that a token was issued or a list made when its answer is broken.
test.each([
  ['token', 'before', '{"items":[],"s'],
  ['token', 'after', '{"access_token":"'],
  ['list', 'after', '{"items":[{"sessionId":"cxs_'],
  ['create', 'after', '{"sessionId":"cxs_'],
  ['end', 'after', '{"items":[],"s'],
] as const)('a truncated %s %s the work begins as the real answer does, if there is one', async (call, when, start) => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.addSession(GUEST);
  sandbox.scenarios.add({ on: call, fault: { kind: 'truncated' }, when });
  const response = await callOverHttp(sandbox, call, bearer).answer;
  let body = '';
  await expect(
    (async () => {
      for await (const chunk of response) body += chunk;
    })(),
  ).rejects.toThrow();
  expect(body.startsWith(start)).toBe(true);
});

/** The status and the body of an answer that ends as it should. */
async function whole(answer: Promise<IncomingMessage>): Promise<[status: number | undefined, body: string]> {
  const response = await answer;
  const body = Buffer.concat(await response.toArray()).toString();
  expect(response.complete).toBe(true);
  return [response.statusCode, body];
}

/** Where a good answer has no body, a broken one is a 200. */
function withBody(status: number): number {
  return status === 204 ? 200 : status;
}
