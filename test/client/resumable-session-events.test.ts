import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Client, createClient } from 'graphql-ws';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import {
  type ResumableSessionEventsOptions,
  resumableSessionEvents,
  type SessionEvent,
  SessionEventsError,
  type SessionEventType,
} from '../../src/client/resumable-session-events.js';
import { DEFAULT_FIELDS } from '../../src/client/session-event.js';
import type { SessionEventRecord } from '../../src/guest-session/session-event.js';
import { API_KEYS } from '../http/server.js';
import { EventServer } from '../support/event-server.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

/** Follows until it ends, or for as long as the test lasts. */
function follow(events: AsyncIterableIterator<SessionEvent>) {
  const heard = {
    events: [] as SessionEvent[],
    error: null as SessionEventsError | null,
    isOver: false,
    cursors: () => heard.events.map(({ cursor }) => Number(cursor)),
    hears: (count: number) => eventually(() => heard.events.length >= count && heard.events),
    ends: () => eventually(() => heard.isOver),
  };
  const run = async () => {
    for await (const event of events) heard.events.push(event);
  };
  void run()
    .catch((error) => {
      heard.error = error;
    })
    .finally(() => {
      heard.isOver = true;
    });
  onTestFinished(async () => void (await events.return?.()));
  return heard;
}

/** The numbers from one to another. */
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

async function take(events: AsyncIterableIterator<SessionEvent>, count: number): Promise<number[]> {
  const cursors: number[] = [];
  while (cursors.length < count) cursors.push(Number((await events.next()).value.cursor));
  return cursors;
}

describe('resumableSessionEvents, with our server', () => {
  const streamOf = (network: Network) => network.app.engine.services.stream;

  /** A client that connects again as often as it takes. */
  function clientOf(url: () => string): Client {
    const client = createClient({
      url: () => `${url().replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    // It refuses to be disposed of when it is about to connect and nobody wants that any more.
    onTestFinished(() => Promise.resolve(client.dispose()).catch(() => undefined));
    return client;
  }

  it('gives everything after a cursor, in order, with the fields of SessionEvent and those that are selected', async () => {
    const network = await startNetwork();
    const before = await open(network);
    await eventually(() => streamOf(network).head === 3);

    const events = resumableSessionEvents<{ session: { id: string } }>(network.socket(), {
      after: before.eventCursor,
      selection: 'session { id }',
    });
    const heard = follow(events);
    const { requestId, session } = await open(network);

    const [synced, requested, initiated] = await heard.hears(4);
    expect([synced?.type, synced?.requestId]).toEqual(['SESSION_CRM_SYNCED', before.requestId]);
    expect(requested).toMatchObject({ type: 'SESSION_REQUESTED', requestId, status: 'PENDING' });
    expect(initiated).toEqual({
      cursor: expect.any(String),
      id: expect.any(String),
      type: 'SESSION_INITIATED',
      occurredAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      requestId,
      guestId: session.guestId,
      crmId: 'crm_acct_44920',
      sessionId: session.sessionId,
      channel: 'WEBCHAT',
      status: 'ACTIVE',
      reason: null,
      expiresAt: session.expiresAt,
      session: { id: requestId },
    });
  });

  it('goes on where it was when the server has stopped and started again', async () => {
    const first = await startNetwork();
    let { url } = first.app;
    const client = clientOf(() => url);
    const { eventCursor } = await open(first);
    const heard = follow(resumableSessionEvents(client, { after: eventCursor }));
    await open(first);
    await heard.hears(4);

    await first.app[Symbol.asyncDispose]();
    const second = await startNetwork({ databaseUrl: first.databaseUrl });
    const { requestId } = await open(second);
    url = second.app.url;

    const types = (await heard.hears(7)).map(({ type }) => type);
    const ofOneSession = ['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_CRM_SYNCED'];
    expect(types).toEqual(['SESSION_CRM_SYNCED', ...ofOneSession, ...ofOneSession]);
    expect(heard.events.at(-1)?.requestId).toBe(requestId);
    expect(heard.error).toBeNull();
  });

  it('gives only what passes the filter', async () => {
    const network = await startNetwork();
    const { eventCursor } = await open(network);
    const guestId = randomUUID();
    const filter = { guestId, types: ['SESSION_INITIATED'] as const };
    const heard = follow(resumableSessionEvents(network.socket(), { after: eventCursor, ...filter }));

    await open(network);
    await open(network, inputFor(guestId));
    await open(network, inputFor(guestId));

    const events = await heard.hears(2);
    expect(events.map((event) => [event.type, event.guestId])).toEqual([
      ['SESSION_INITIATED', guestId],
      ['SESSION_INITIATED', guestId],
    ]);
  });

  it.each<[code: string, what: string, options: ResumableSessionEventsOptions]>([
    ['BAD_USER_INPUT', 'a cursor that is none', { after: 'nonsense' }],
    ['GRAPHQL_VALIDATION_FAILED', 'a field that is none', { selection: 'nonsense' }],
  ])('throws %s for %s', async (code, _what, options) => {
    const network = await startNetwork();
    const events = resumableSessionEvents(network.socket(), options);

    await expect(events.next()).rejects.toMatchObject({ name: 'SessionEventsError', code });
    await expect(events.next()).resolves.toEqual({ value: undefined, done: true });
  });

  it('throws 4403 where its key is not valid, however often the client would try again', async () => {
    const network = await startNetwork({ env: { API_KEYS } });
    const client = clientOf(() => network.app.url);

    await expect(resumableSessionEvents(client).next()).rejects.toMatchObject({
      code: 4403,
      message: 'The connection was closed with 4403 Forbidden',
    });
  });
});

describe('resumableSessionEvents, when something breaks', () => {
  it('goes on after the last event, however often the connection is cut', async () => {
    const server = await EventServer.start();
    server.append(5);
    const heard = follow(resumableSessionEvents(server.client(), { after: '2' }));
    await heard.hears(3);

    for (let cuts = 1; cuts <= 5; cuts += 1) {
      server.cut();
      server.append(3);
      await heard.hears(3 + 3 * cuts);
    }

    expect(heard.cursors()).toEqual(range(3, 20));
    expect(server.subscriptions.map(({ variables }) => variables.after)).toEqual(['2', '5', '8', '11', '14', '17']);
  });

  it('goes on from where the log stood when it first connected, when it is cut before the first event', async () => {
    const server = await EventServer.start();
    server.append(7);
    server.ack = { eventCursor: '7' };
    const heard = follow(resumableSessionEvents(server.client()));
    await eventually(() => server.live.length === 1);

    server.cut();
    server.append(2);
    server.ack = { eventCursor: '9' };
    server.onSubscribe = () => server.cut();
    await eventually(() => server.subscriptions.length >= 3);
    server.onSubscribe = (subscription) => server.follow(subscription);

    await heard.hears(2);
    expect(heard.cursors()).toEqual([8, 9]);
    expect(new Set(server.subscriptions.map(({ variables }) => variables.after))).toEqual(new Set(['7']));
  });

  it('misses nothing between its connection and its first subscription', async () => {
    const server = await EventServer.start();
    server.append(7);
    server.ack = { eventCursor: '7' };
    server.onSubscribe = (subscription) => {
      server.head = 9; // nobody followed it yet
      server.follow(subscription);
    };
    const heard = follow(resumableSessionEvents(server.client()));

    await heard.hears(2);
    expect(heard.cursors()).toEqual([8, 9]);
  });

  it('begins with now on a connection that was there before it', async () => {
    const server = await EventServer.start();
    server.ack = { eventCursor: '0' };
    const client = server.client();
    follow(resumableSessionEvents(client, { after: '0' }));
    await eventually(() => server.live.length === 1);

    follow(resumableSessionEvents(client));
    await eventually(() => server.live.length === 2);
    expect(server.subscriptions[1]?.variables).toEqual({});
  });

  it('prefers the cursor of its caller to where the log stood', async () => {
    const server = await EventServer.start();
    server.append(7);
    server.ack = { eventCursor: '7' };
    server.onSubscribe = () => server.cut();
    const heard = follow(resumableSessionEvents(server.client(), { after: '4' }));
    await eventually(() => server.subscriptions.length >= 2);
    server.onSubscribe = (subscription) => server.follow(subscription);

    await heard.hears(3);
    expect(heard.cursors()).toEqual([5, 6, 7]);
  });

  it('subscribes again after the last event when it is closed for being too slow', async () => {
    const server = await EventServer.start();
    const heard = follow(resumableSessionEvents(server.client(), { after: '0' }));
    await eventually(() => server.live.length === 1);
    server.append(3);

    server.close(4429, 'Too slow');
    await eventually(() => server.openSockets === 0);
    server.append(2);

    await heard.hears(5);
    expect(heard.cursors()).toEqual(range(1, 5));
    expect(server.subscriptions.map(({ variables }) => variables.after)).toEqual(['0', '3']);
  });

  it('asks again after a pause when it has asked too often', async () => {
    const server = await EventServer.start();
    server.append(2);
    server.onSubscribe = (subscription) => {
      server.onSubscribe = (next) => server.follow(next);
      server.refuse(subscription, 'TOO_MANY_REQUESTS');
    };

    expect(await take(resumableSessionEvents(server.client(), { after: '0' }), 2)).toEqual([1, 2]);
  });

  it('does not take the end of a subscription for the end: it asks again after a pause that grows, until there is an event', async () => {
    const server = await EventServer.start();
    server.onSubscribe = (subscription) => server.complete(subscription);
    const heard = follow(resumableSessionEvents(server.client(), { after: '0' }));
    await eventually(() => server.subscriptions.length === 3);

    server.append(1);
    server.onSubscribe = (subscription) => {
      server.follow(subscription);
      server.complete(subscription);
    };
    await eventually(() => server.subscriptions.length === 5);

    const times = server.subscriptions.map(({ atMs }) => atMs);
    const pauses = times.slice(1).map((atMs, i) => atMs - times[i]!);
    // (A timer may be a millisecond early.)
    expect(pauses.map((pauseMs, i) => pauseMs >= [100, 200, 400, 100][i]! - 2)).toEqual([true, true, true, true]);
    // How late it may be on a busy machine is not the point; that it begins anew is: it would have been 800 at least.
    expect(pauses[3]).toBeLessThan(790);
    expect(heard.cursors()).toEqual([1]);
    expect(server.subscriptions.at(-1)?.variables.after).toBe('1');
  });

  it('drops an event that comes a second time', async () => {
    const server = await EventServer.start();
    server.append(2);
    server.onSubscribe = (subscription) => {
      for (const number of [1, 1, 2, 2, 3]) server.send(subscription, number);
    };
    const heard = follow(resumableSessionEvents(server.client(), { after: '0' }));

    await eventually(() => heard.cursors().at(-1) === 3);
    expect(heard.cursors()).toEqual([1, 2, 3]);
  });

  it('throws CURSOR_EXPIRED after what has arrived, and does not ask again', async () => {
    const server = await EventServer.start();
    server.append(3);
    const events = resumableSessionEvents(server.client(), { after: '0' });
    await eventually(() => server.live.length === 1);
    server.onSubscribe = (subscription) => server.refuse(subscription, 'CURSOR_EXPIRED');
    server.complete(server.live[0]!);
    await eventually(() => server.subscriptions.length === 2);

    expect(await take(events, 3)).toEqual([1, 2, 3]);
    const failure = await events.next().catch((error) => error);
    expect(failure).toBeInstanceOf(SessionEventsError);
    expect(failure).toMatchObject({ code: 'CURSOR_EXPIRED', message: 'refused: CURSOR_EXPIRED' });
    await expect(events.next()).resolves.toEqual({ value: undefined, done: true });
    await eventually(() => server.openSockets === 0);
    expect(server.subscriptions).toHaveLength(2);
  });

  it('throws what the server could not find out about an event, instead of the event', async () => {
    const server = await EventServer.start();
    const error = { message: 'no session', extensions: { code: 'INTERNAL_SERVER_ERROR' } };
    server.onSubscribe = ({ id, socket }) => {
      const payload = { data: { sessionEvents: { cursor: '1', session: null } }, errors: [error] };
      socket.send(JSON.stringify({ id, type: 'next', payload }));
      socket.send(JSON.stringify({ id, type: 'complete' }));
    };

    await expect(resumableSessionEvents(server.client()).next()).rejects.toMatchObject({
      code: 'INTERNAL_SERVER_ERROR',
      cause: [error],
    });
    await eventually(() => server.openSockets === 0);
  });

  it.each([4401, 4500])('throws %i, which to the client is the end', async (code) => {
    const server = await EventServer.start();
    server.onSubscribe = () => server.close(code, 'Over');

    await expect(resumableSessionEvents(server.client()).next()).rejects.toMatchObject({ code });
    expect(server.connections).toBe(1);
  });

  it('throws when the client has given up', async () => {
    const server = await EventServer.start();
    server.onSubscribe = () => server.cut();
    await expect(resumableSessionEvents(server.client({ retryAttempts: 0 })).next()).rejects.toMatchObject({
      code: 1006,
    });

    await server.stop();
    await expect(resumableSessionEvents(server.client({ retryAttempts: 1 })).next()).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });
});

describe('resumableSessionEvents, with a consumer that is slow', () => {
  it('holds no more than the bound, and gives everything in order', async () => {
    const server = await EventServer.start();
    server.append(100);
    const events = resumableSessionEvents(server.client(), { after: '0', maxBufferedEvents: 10 });

    // The subscription is given up, and not taken up again before all ten are taken.
    await eventually(() => server.subscriptions.length === 1 && server.live.length === 0);
    expect(await take(events, 9)).toEqual(range(1, 9));
    await eventually(() => server.openSockets === 0);
    expect(server.subscriptions).toHaveLength(1);

    expect(await take(events, 91)).toEqual(range(10, 100));
    // Ten that were held, and one for which somebody waited.
    const starts = server.subscriptions.map(({ variables }) => Number(variables.after));
    expect(starts.slice(0, 2)).toEqual([0, 10]);
    expect(starts.slice(1).every((start, i) => start - starts[i]! <= 11)).toBe(true);
  });

  it('holds 1,000 where nothing else is said', async () => {
    const server = await EventServer.start();
    server.append(1_500);
    const events = resumableSessionEvents(server.client(), { after: '0' });
    await eventually(() => server.subscriptions.length === 1 && server.live.length === 0);

    expect(await take(events, 1_500)).toEqual(range(1, 1_500));
    expect(server.subscriptions.map(({ variables }) => variables.after)).toEqual(['0', '1000']);
  });

  it('goes on when it gives up the subscription in the moment in which the server ends it', async () => {
    const server = await EventServer.start();
    server.append(4);
    server.onSubscribe = (subscription) => {
      server.follow(subscription);
      server.complete(subscription);
    };
    const events = resumableSessionEvents(server.client(), { after: '0', maxBufferedEvents: 2 });
    await eventually(() => server.subscriptions.length === 1 && server.openSockets === 0);
    server.onSubscribe = (subscription) => server.follow(subscription);

    expect(await take(events, 4)).toEqual([1, 2, 3, 4]);
    const fifth = take(events, 1);
    await eventually(() => server.live.length === 1);
    server.cut();
    server.append(1);

    expect(await fifth).toEqual([5]);
  });

  it.each([0, -1, 1.5, Number.NaN])('does not take %d for a bound', async (maxBufferedEvents) => {
    const server = await EventServer.start();

    expect(() => resumableSessionEvents(server.client(), { maxBufferedEvents })).toThrow(RangeError);
  });
});

describe('resumableSessionEvents, when it is not wanted any more', () => {
  it('lets go of its subscription and its connection at a break', async () => {
    const server = await EventServer.start();
    server.append(3);
    const cursors: string[] = [];

    for await (const { cursor } of resumableSessionEvents(server.client(), { after: '0' })) {
      cursors.push(cursor);
      if (cursor === '2') break;
    }

    await eventually(() => server.openSockets === 0);
    expect(cursors).toEqual(['1', '2']);
    expect(server.live).toEqual([]);
    expect(server.connections).toBe(1);
  });

  it('leaves a connection alone that others use', async () => {
    const server = await EventServer.start();
    const client = server.client();
    const [one, other] = [
      resumableSessionEvents(client, { after: '0' }),
      resumableSessionEvents(client, { after: '0' }),
    ];
    const heard = follow(other);
    await eventually(() => server.live.length === 2);

    await one.return?.();
    await eventually(() => server.live.length === 1);
    server.append(2);

    await heard.hears(2);
    expect(server.connections).toBe(1);
  });

  it('ends at a signal, while it waits, with everybody who waits', async () => {
    const server = await EventServer.start();
    const controller = new AbortController();
    const events = resumableSessionEvents(server.client(), { signal: controller.signal });
    const waiting = [events.next(), events.next()];
    await eventually(() => server.live.length === 1);

    controller.abort();

    expect(await Promise.all(waiting)).toEqual(Array(2).fill({ value: undefined, done: true }));
    await eventually(() => server.openSockets === 0);
  });

  it('does not subscribe again when it is ended during a pause', async () => {
    const server = await EventServer.start();
    const controller = new AbortController();
    server.onSubscribe = (subscription) => server.complete(subscription);
    const heard = follow(resumableSessionEvents(server.client(), { signal: controller.signal }));
    await eventually(() => server.subscriptions.length === 1 && server.openSockets === 0);

    controller.abort();
    await heard.ends();
    await new Promise((resolve) => setTimeout(resolve, 250)); // longer than the first pause can be

    expect(server.subscriptions).toHaveLength(1);
  });

  it('does not even connect when the signal was there before', async () => {
    const server = await EventServer.start();

    const events = resumableSessionEvents(server.client(), { signal: AbortSignal.abort() });

    await expect(events.next()).resolves.toEqual({ value: undefined, done: true });
    expect(server.connections).toBe(0);
  });

  it('ends when the client is disposed of', async () => {
    const server = await EventServer.start();
    const client = server.client();
    const heard = follow(resumableSessionEvents(client, { after: '0' }));
    await eventually(() => server.live.length === 1);

    await client.dispose();

    await heard.ends();
    expect(heard.error).toBeNull();
    expect(server.connections).toBe(1);
  });
});

describe('SessionEvent', () => {
  it('has every field of the schema but the session', () => {
    const schema = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
    const [, fields = ''] = schema.match(/\ntype SessionEvent \{\n(.*?)\n\}/s) ?? [];
    const names = [...fields.matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name!);

    expect(DEFAULT_FIELDS.split(' ').sort()).toEqual(names.filter((name) => name !== 'session').sort());
  });

  it('has the types of the log', () => {
    expectTypeOf<SessionEventType>().toEqualTypeOf<SessionEventRecord['type']>();
    expectTypeOf<SessionEvent['channel']>().toEqualTypeOf<SessionEventRecord['channel']>();
    expectTypeOf<SessionEvent['status']>().toEqualTypeOf<SessionEventRecord['status']>();
    expectTypeOf<keyof SessionEvent>().toEqualTypeOf<Exclude<keyof SessionEventRecord, 'sequence'> | 'cursor'>();
  });
});
