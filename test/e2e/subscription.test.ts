import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { DatabaseSync } from '@photostructure/sqlite';
import type { Client, ExecutionResult, FormattedExecutionResult } from 'graphql-ws';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEYS } from '../http/server.js';
import { bytesWaiting } from '../support/bytes-waiting.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, SEED_INPUT, startNetwork } from '../support/network.js';

const EVENTS = /* GraphQL */ `
  subscription Events($after: String, $types: [SessionEventType!], $guestId: String) {
    sessionEvents(after: $after, types: $types, guestId: $guestId) {
      cursor type requestId guestId sessionId status session { id status }
    }
  }
`;

interface Event {
  readonly cursor: string;
  readonly type: string;
  readonly requestId: string;
  readonly guestId: string;
  readonly sessionId: string | null;
  readonly status: string;
}

/** A subscription, and what came of it so far. */
function listen(client: Client, variables: object = {}, query = EVENTS) {
  const heard = {
    events: [] as Event[],
    errors: [] as unknown[],
    isComplete: false,
    failure: null as unknown,
    stop: () => {},
    /** Waits for so many events. */
    hears: (count: number) => eventually(() => heard.events.length >= count && heard.events),
    types: () => heard.events.map(({ type }) => type),
  };
  heard.stop = client.subscribe<{ sessionEvents: Event }>(
    { query, variables: { ...variables } },
    {
      next: ({
        data,
        errors,
      }: ExecutionResult<{ sessionEvents: Event }> | FormattedExecutionResult<{ sessionEvents: Event }>) => {
        if (data?.sessionEvents) heard.events.push(data.sessionEvents);
        if (errors) heard.errors.push(...errors);
      },
      error: (error) => {
        heard.failure = error;
      },
      complete: () => {
        heard.isComplete = true;
      },
    },
  );
  return heard;
}

const streamOf = (network: Network) => network.app.engine.services.stream;

/** Waits until the server has taken so many subscriptions in. */
const followed = (network: Network, count: number) => eventually(() => streamOf(network).followerCount === count);

/** A socket below graphql-ws, for what no proper client does. */
async function rawSocket(network: Network, options: { path?: string; headers?: Record<string, string> } = {}) {
  const url = `${network.app.url.replace('http', 'ws')}${options.path ?? '/graphql'}`;
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers: options.headers ?? {} });
  onTestFinished(() => socket.terminate());
  const seen = {
    socket,
    messages: [] as { type: string; id?: string; payload?: unknown }[],
    closed: null as { code: number; reason: string } | null,
    /** The status of the answer to the handshake, where it was refused. */
    refused: null as number | null,
    send: (message: object) => socket.send(JSON.stringify(message)),
    receives: (type: string) => eventually(() => seen.messages.find((message) => message.type === type)),
    closes: (timeoutMs?: number) => eventually(() => seen.closed, timeoutMs),
  };
  socket.on('message', (data) => seen.messages.push(JSON.parse(String(data))));
  socket.on('close', (code, reason) => {
    seen.closed = { code, reason: String(reason) };
  });
  socket.on('unexpected-response', (_request, response) => {
    seen.refused = response.statusCode ?? 0;
    socket.terminate();
  });
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'open'), once(socket, 'close')]).catch(() => undefined);
  return seen;
}

async function letIn(network: Network, payload: object = {}) {
  const raw = await rawSocket(network);
  raw.send({ type: 'connection_init', payload });
  await raw.receives('connection_ack');
  return raw;
}

describe('a subscription', () => {
  it('tells of a session as it happens, in order, with the session as it stands', async () => {
    const network = await startNetwork();
    const heard = listen(network.socket());
    await followed(network, 1);

    const { requestId, session } = await open(network, SEED_INPUT);
    const events = await heard.hears(3);

    expect(events).toEqual([
      {
        ...common(requestId),
        type: 'SESSION_REQUESTED',
        sessionId: null,
        status: 'PENDING',
      },
      { ...common(requestId), type: 'SESSION_INITIATED', sessionId: session.sessionId, status: 'ACTIVE' },
      { ...common(requestId), type: 'SESSION_CRM_SYNCED', sessionId: session.sessionId, status: 'ACTIVE' },
    ]);
    expect(heard.errors).toEqual([]);

    function common(id: string) {
      return {
        cursor: expect.any(String),
        requestId: id,
        guestId: SEED_INPUT.guestId,
        session: { id, status: expect.stringMatching(/PENDING|ACTIVE/) },
      };
    }
  });

  it('that begins with now can go on from the cursor of the acknowledgement', async () => {
    const network = await startNetwork();
    const raw = await letIn(network);
    const { payload } = await raw.receives('connection_ack');
    await open(network);
    const { eventCursor } = payload as { eventCursor: string };

    const heard = listen(network.socket(), { after: eventCursor });
    await heard.hears(2);
    expect(heard.types().slice(0, 2)).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED']);
  });

  it('begins with now where no cursor is given', async () => {
    const network = await startNetwork();
    await open(network);
    await eventually(() => streamOf(network).head === 3);
    const heard = listen(network.socket());
    await followed(network, 1);

    const { requestId } = await open(network);

    expect((await heard.hears(2)).every((event) => event.requestId === requestId)).toBe(true);
  });

  it('with the cursor of an answer misses nothing that comes after it, and repeats nothing', async () => {
    const network = await startNetwork();
    const first = await open(network);
    await eventually(() => streamOf(network).head === 3);
    const second = await open(network);

    const heard = listen(network.socket(), { after: first.eventCursor });
    const events = await heard.hears(4);
    await eventually(() => streamOf(network).head === 6);

    expect(events.map(({ type, requestId }) => [type, requestId === second.requestId])).toEqual([
      ['SESSION_CRM_SYNCED', false],
      ['SESSION_REQUESTED', true],
      ['SESSION_INITIATED', true],
      ['SESSION_CRM_SYNCED', true],
    ]);
    // Any event is a place to go on from.
    const again = listen(network.socket(), { after: events[1]!.cursor });
    expect((await again.hears(2)).map(({ cursor }) => cursor)).toEqual(events.slice(2).map(({ cursor }) => cursor));
  });

  it('hears everything, once, while sessions are opened before, during and after it subscribes', async () => {
    const network = await startNetwork();
    const cursor = (await open(network)).eventCursor;
    const opening = Array.from({ length: 20 }, () => open(network));
    const heard = Array.from({ length: 5 }, () => listen(network.socket(), { after: cursor }));
    await Promise.all(opening);
    await eventually(() => streamOf(network).head === 63);

    const expected = 63 - 2; // the cursor is of the second event
    for (const { hears } of heard) {
      const cursors = (await hears(expected)).map((event) => event.cursor);
      expect(new Set(cursors).size).toBe(expected);
      expect(cursors).toHaveLength(expected);
    }
    const order = heard.map(({ events }) => events.map((event) => event.cursor).join());
    expect(new Set(order).size).toBe(1);
  });

  it('is filtered by type and by guest, in whatever case the id is written', async () => {
    const network = await startNetwork();
    const guestId = randomUUID();
    const socket = network.socket();
    const types = listen(socket, { types: ['SESSION_INITIATED', 'SESSION_REJECTED'] });
    const guest = listen(socket, { guestId: guestId.toUpperCase() });
    const both = listen(socket, { guestId, types: ['SESSION_CRM_SYNCED'] });
    const none = listen(socket, { types: [] });
    await followed(network, 4);

    await open(network);
    await open(network, inputFor(guestId));
    await open(network, { ...inputFor(), guestId: 'nobody' });
    await types.hears(3);
    await guest.hears(3);
    await both.hears(1);

    expect(types.types()).toEqual(['SESSION_INITIATED', 'SESSION_INITIATED', 'SESSION_REJECTED']);
    expect(guest.types()).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNCED']);
    expect(both.events.map((event) => event.guestId)).toEqual([guestId]);
    expect(none.events).toEqual([]);
  });

  it('lets its follower go when the client unsubscribes, and when the socket breaks', async () => {
    const network = await startNetwork();
    const heard = listen(network.socket());
    const raw = await letIn(network);
    raw.send({ type: 'subscribe', id: '1', payload: { query: EVENTS } });
    await followed(network, 2);

    heard.stop();
    await followed(network, 1);
    raw.socket.terminate();
    await followed(network, 0);
    expect((await open(network)).userErrors).toEqual([]);
  });

  it.each([
    ['of another list', Buffer.from('audit:1:1').toString('base64url')],
    ['that is none', 'x'],
    ['of a time to come', Buffer.from('event:99').toString('base64url')],
  ])('with a cursor %s is refused', async (_what, after) => {
    const network = await startNetwork();
    const heard = listen(network.socket(), { after });

    await eventually(() => heard.failure ?? (heard.errors.length > 0 && heard.errors));
    expect(heard.failure ?? heard.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(streamOf(network).followerCount).toBe(0);
  });
});

describe('a socket', () => {
  it.each([
    ['a query', 'query { sessions { nodes { id } } }', 'BAD_USER_INPUT'],
    [
      'a mutation',
      `mutation { createGuestSession(input: { guestId: "${randomUUID()}", deviceFingerprint: "x" }) { requestId } }`,
      'BAD_USER_INPUT',
    ],
    ['no document', 'subscription {', 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', 'subscription { nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a document without an end', `subscription { sessionEvents { ${'id '.repeat(1_000)} } }`, 'GRAPHQL_PARSE_FAILED'],
    [
      'a document that is too deep',
      `subscription { sessionEvents { ${'session { events { '.repeat(5)} id ${'} }'.repeat(5)} } }`,
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      'a variable of the wrong type',
      'subscription ($a: Int) { sessionEvents(after: $a) { id } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
  ])('that sends %s is told what is wrong, as over HTTP, and may go on', async (_what, query, code) => {
    const network = await startNetwork();
    const raw = await letIn(network);
    raw.send({ type: 'subscribe', id: 'bad', payload: { query } });

    expect(await raw.receives('error')).toMatchObject({ id: 'bad', payload: [{ extensions: { code } }] });
    expect(network.cxone.count('create')).toBe(0);
    raw.send({ type: 'subscribe', id: 'good', payload: { query: EVENTS } });
    await followed(network, 1);
    await open(network);
    expect(await raw.receives('next')).toMatchObject({ id: 'good' });
  });

  it('shows the public nothing of a bug but a request id', async () => {
    const network = await startNetwork();
    const heard = listen(network.socket());
    await followed(network, 1);
    const database = new DatabaseSync(network.app.engine.databasePath);
    database.exec('ALTER TABLE "GuestSession" RENAME COLUMN "crmSync" TO "crmSunk"');
    database.close();

    await network.graphql(
      'mutation { createGuestSession(input: { guestId: "nobody", deviceFingerprint: "x" }) { requestId } }',
    );

    await eventually(() => heard.errors.length > 0);
    expect(heard.errors).toEqual([
      {
        message: expect.stringMatching(/^Something went wrong on our side\. Quote the request id/),
        path: ['sessionEvents', 'session'],
        extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) },
      },
    ]);
  });

  it('from a page of another site is refused', async () => {
    const network = await startNetwork();

    for (const origin of [
      'https://evil.example.com',
      `${network.app.url}.evil.example.com`,
      'null',
      'http://127.0.0.1:1',
    ]) {
      expect((await rawSocket(network, { headers: { origin } })).refused, origin).toBe(403);
    }
  });

  it('from our own page is let in', async () => {
    const network = await startNetwork();
    const raw = await rawSocket(network, { headers: { origin: network.app.url } });

    raw.send({ type: 'connection_init' });
    await raw.receives('connection_ack');
  });

  it.each(['/', '/graphql/', '/playground', '/graphql2', '//graphql'])('at %s finds nothing', async (path) => {
    const network = await startNetwork();

    expect((await rawSocket(network, { path })).refused).toBe(404);
  });

  it('may have a query string', async () => {
    const network = await startNetwork();

    expect((await rawSocket(network, { path: '/graphql?x=1' })).refused).toBeNull();
  });

  it('that does not say who it is, is closed', async () => {
    const network = await startNetwork();
    const raw = await rawSocket(network);

    expect(await raw.closes()).toMatchObject({ code: 4408 });
  });

  it('that subscribes before it has said who it is, is closed', async () => {
    const network = await startNetwork({ env: { API_KEYS } });
    const raw = await rawSocket(network);
    raw.send({ type: 'subscribe', id: '1', payload: { query: EVENTS } });

    expect(await raw.closes()).toMatchObject({ code: 4401 });
    expect(streamOf(network).followerCount).toBe(0);
  });

  it.each([{}, { authorization: 'Bearer wrong' }, { authorization: ['Bearer ops'] }, { authorization: 'ops' }])(
    'with the credentials %j is closed as forbidden',
    async (payload) => {
      const network = await startNetwork({ env: { API_KEYS } });
      const raw = await rawSocket(network);
      raw.send({ type: 'connection_init', payload });

      expect(await raw.closes()).toMatchObject({ code: 4403 });
    },
  );

  it('with the key of a guest may not subscribe, with one of the CRM it may', async () => {
    const network = await startNetwork({ env: { API_KEYS } });
    const guest = listen(network.socket({ authorization: 'Bearer guest' }));
    const crm = listen(network.socket({ Authorization: 'Bearer crm' }));

    await followed(network, 1);
    expect(await eventually(() => guest.failure)).toMatchObject({ code: 4403 });
    expect(crm.failure).toBeNull();
  });

  it.each([
    ['too large', JSON.stringify({ type: 'connection_init', payload: { padding: 'x'.repeat(100_000) } }), 1009],
    ['no JSON', 'hello', 4400],
    ['of no known type', JSON.stringify({ type: 'hello' }), 4400],
    ['of a type that only servers send', JSON.stringify({ type: 'connection_ack' }), 4400],
  ])('that sends what is %s is closed', async (_what, frame, code) => {
    const network = await startNetwork();
    const raw = await rawSocket(network);
    raw.socket.send(frame);

    expect(await raw.closes()).toMatchObject({ code });
    expect((await open(network)).userErrors).toEqual([]);
  });

  it('that uses one name for two subscriptions is closed', async () => {
    const network = await startNetwork();
    const raw = await letIn(network);
    raw.send({ type: 'subscribe', id: '1', payload: { query: EVENTS } });
    raw.send({ type: 'subscribe', id: '1', payload: { query: EVENTS } });

    expect(await raw.closes()).toMatchObject({ code: 4409 });
    await followed(network, 0);
  });
});

describe('a subscriber that stands still', () => {
  /** Events so large that a stalled socket's buffers in the kernel cannot take them all. */
  const LARGE = `subscription { sessionEvents { ${Array.from({ length: 240 }, (_, index) => `a${index}: requestId`).join(' ')} } }`;
  const LIMITS = { MAX_QUERY_ALIASES: '240' };

  async function stall(network: Network) {
    const stalled = await letIn(network);
    stalled.send({ type: 'subscribe', id: '1', payload: { query: LARGE } });
    await followed(network, 1);
    const { _socket: tcp } = stalled.socket as unknown as { _socket: Socket };
    tcp.pause();
    return { ...stalled, tcp };
  }

  /** Has the pipeline write events, without CXone: each attempt is refused. */
  async function happen(network: Network, count: number) {
    const { open: attempt } = network.app.engine.services;
    await Promise.all(
      Array.from({ length: count }, () =>
        attempt({ guestId: 'nobody', deviceFingerprint: 'x' }, { name: 'test', role: 'BACKEND', sourceAddress: null }),
      ),
    );
  }

  /** What the server holds for its sockets, in bytes. */
  function bytesHeld(network: Network): number {
    const sockets = bytesWaiting(Number(new URL(network.app.url).port));
    expect(sockets.length).toBeGreaterThan(0);
    return sockets.reduce((sum, bytes) => sum + bytes, 0);
  }

  it('holds up nobody and costs next to nothing while 3,000 events pass, and hears all of them later', async () => {
    const network = await startNetwork({ env: { ...LIMITS, STREAM_MAX_BUFFERED: '3000' } });
    const stalled = await stall(network);
    const live = listen(network.socket());
    await followed(network, 2);

    await happen(network, 3_000);

    const events = await eventually(() => live.events.length >= 3_000 && live.events, 15_000);
    expect(new Set(events.map(({ cursor }) => cursor)).size).toBe(3_000);
    expect(bytesHeld(network)).toBeLessThan(100_000);
    expect((await open(network)).userErrors).toEqual([]);

    stalled.tcp.resume();
    const heard = () => stalled.messages.filter(({ type }) => type === 'next');
    await eventually(() => heard().length >= 3_003, 15_000);
    expect(heard()).toHaveLength(3_003);
  });

  it('is closed when it has left more unread than it may', async () => {
    const network = await startNetwork({ env: { ...LIMITS, STREAM_MAX_BUFFERED: '100' } });
    const stalled = await stall(network);
    await happen(network, 1_500);
    await followed(network, 0);

    stalled.tcp.resume();
    expect(await stalled.closes()).toEqual({
      code: 4429,
      reason: 'Too many unread events: subscribe again after your last cursor',
    });
  });

  it('does not hold up the shutdown', async () => {
    const network = await startNetwork({ env: LIMITS });
    await stall(network);
    await happen(network, 2_000);
    await eventually(() => bytesHeld(network) > 0);

    const began = performance.now();
    await network.app[Symbol.asyncDispose]();

    expect(performance.now() - began).toBeLessThan(5_000);
    expect(network.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });
});

describe('the shutdown', () => {
  it('completes every subscription and closes its socket as going away, when all is told', async () => {
    const network = await startNetwork();
    const raw = await letIn(network);
    raw.send({ type: 'subscribe', id: '1', payload: { query: EVENTS } });
    raw.send({ type: 'subscribe', id: '2', payload: { query: EVENTS } });
    const heard = listen(network.socket());
    const idle = await letIn(network);
    await followed(network, 3);
    await open(network);

    await network.app[Symbol.asyncDispose]();

    expect(await raw.closes()).toMatchObject({ code: 1001 });
    expect(await idle.closes()).toMatchObject({ code: 1001 });
    const completed = raw.messages.filter(({ type }) => type === 'complete');
    expect(completed.map(({ id }) => id).sort()).toEqual(['1', '2']);
    expect(raw.messages.at(-1)?.type).toBe('complete');
    expect(heard.isComplete).toBe(true);
    expect(heard.failure).toBeNull();
    expect(heard.types().slice(0, 2)).toEqual(['SESSION_REQUESTED', 'SESSION_INITIATED']);
    expect(streamOf(network).followerCount).toBe(0);
  });

  it('refuses those who come later', async () => {
    const network = await startNetwork();
    await network.app[Symbol.asyncDispose]();
    const late = await rawSocket(network);

    expect(late.closed).not.toBeNull();
  });
});

it('cuts a socket that sends pings and reads no answers', async () => {
  const network = await startNetwork();
  const socket = new WebSocket(`${network.app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  socket.on('error', () => undefined);
  await once(socket, 'open');
  (socket as unknown as { _socket: Socket })._socket.pause();
  const ping = JSON.stringify({ type: 'ping', payload: { filling: 'x'.repeat(90_000) } });

  await eventually(() => {
    for (let i = 0; i < 20 && socket.readyState === WebSocket.OPEN; i += 1) socket.send(ping);
    return socket.readyState !== WebSocket.OPEN;
  });
});
