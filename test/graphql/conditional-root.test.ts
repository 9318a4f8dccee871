import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../http/server.js';
import { inputFor, OPEN } from '../support/network.js';

describe('a subscription', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
    await server.graphql(OPEN, { input: inputFor() });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** The errors that it is refused with over a socket; none when an event comes. */
  async function overSocket(query: string): Promise<unknown> {
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
    const errors = await new Promise((resolve) => {
      const hears = { next: () => resolve([]), complete: () => resolve(['complete']), error: resolve };
      client.subscribe({ query }, hears);
    });
    await client.dispose();
    return errors;
  }

  it.each([
    ['its field', 'subscription { sessionEvents(guestId: "canary4711") @skip(if: false) { id } }'],
    ['its field, without saying when', 'subscription { sessionEvents(guestId: "canary4711") @skip { id } }'],
    [
      'by a variable',
      'subscription ($b: Boolean = true) { sessionEvents(guestId: "canary4711") @include(if: $b) { id } }',
    ],
    ['a fragment without a name', 'subscription { ... @include { sessionEvents(guestId: "canary4711") { id } } }'],
    [
      'a fragment',
      'subscription { ...A @skip } fragment A on Subscription { sessionEvents(guestId: "canary4711") { id } }',
    ],
    [
      'what is in a fragment',
      'subscription { ...A } fragment A on Subscription { ... { ...B } } fragment B on Subscription { sessionEvents(guestId: "canary4711") @skip { id } }',
    ],
  ])('may not leave out now and then: %s', async (_what, query) => {
    const refused = [
      {
        message: 'A subscription has one field at its root, always: @skip and @include cannot stand there.',
        locations: [expect.anything()],
        extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
      },
    ];
    expect((await server.graphql(query)).errors).toEqual(refused);
    expect(await overSocket(query)).toEqual(refused);
    expect(server.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });

  it('may leave out what is below its root', async () => {
    const query = 'subscription { sessionEvents(after: "ZXZlbnQ6MA") { id type @skip(if: true) } }';
    expect(await overSocket(query)).toEqual([]);
  });
});
