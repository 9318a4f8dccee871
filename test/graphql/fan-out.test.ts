import { type ExecutionArgs, parse } from 'graphql';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CursorExpiredError } from '../../src/errors.js';
import { FanOut } from '../../src/graphql/fan-out.js';
import type { SubscriptionSocket } from '../../src/graphql/subscription-socket.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const REASONS =
  'subscription ($after: String, $guestId: String) { sessionEvents(after: $after, guestId: $guestId) { cursor reason } }';
const SESSIONS = 'subscription ($after: String) { sessionEvents(after: $after) { cursor requestId session { id } } }';
const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => from + i);

/** So many subscribers to the same, each on a socket of its own. */
async function subscribers(server: Awaited<ReturnType<typeof startStreamServer>>, count: number, query: string) {
  const before = server.stream.followerCount;
  const all = await Promise.all(Array.from({ length: count }, () => server.subscriber()));
  for (const each of all) each.subscribe(query);
  await eventually(() => server.stream.followerCount === before + count);
  return all;
}

describe('subscriptions to the same', () => {
  it('share one execution of each event, live and from a cursor alike', async () => {
    const server = await startStreamServer();
    const live = await subscribers(server, 20, REASONS);
    server.commit(30);
    await eventually(() => live.every(({ heard }) => heard().length === 30));
    const late = await server.subscriber();
    const cursor = JSON.stringify(live[0]!.messages.find(({ type }) => type === 'next')).match(
      /"cursor":"([^"]+)"/,
    )![1];
    late.subscribe(REASONS, { after: cursor });
    await eventually(() => late.heard().length === 29);

    for (const { heard } of live) expect(heard()).toEqual(upTo(30));
    expect(late.heard()).toEqual(upTo(30, 2));
    expect([...server.executions.values()]).toEqual(upTo(30).map(() => 1));
  });

  it('share it on one socket, too', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber();
    for (const id of ['1', 'another "id"']) socket.subscribe(REASONS, {}, id);
    await eventually(() => server.stream.followerCount === 2);
    server.commit(5);

    await eventually(() => socket.heard().length === 10);
    for (const id of ['1', 'another "id"']) expect(socket.heard(id)).toEqual(upTo(5));
    expect(server.executions.get(1)).toBe(1);
  });

  it('share what is read beyond the event, and get it in order', async () => {
    const server = await startStreamServer();
    const all = await subscribers(server, 5, SESSIONS);
    server.commit(40);
    await eventually(() => all.every(({ heard }) => heard().length === 40));

    for (const { heard } of all) expect(heard()).toEqual(upTo(40));
    // Each session once, many together.
    expect(server.sessions.asked.flat()).toHaveLength(40);
    expect(server.sessions.asked.length).toBeLessThan(10);
  });

  it('read the log once for all who come back', async () => {
    const server = await startStreamServer();
    server.commit(3_000);
    const all = await Promise.all(Array.from({ length: 10 }, () => server.subscriber()));
    const after = Buffer.from('event:0').toString('base64url');
    for (const each of all) each.subscribe(REASONS, { after });
    await eventually(() => all.every(({ heard }) => heard().length === 3_000));

    for (const { heard } of all) expect(heard()).toEqual(upTo(3_000));
    expect(new Set(server.executions.values())).toEqual(new Set([1]));
    expect(new Set(server.asked).size).toBe(server.asked.length);
  });
});

describe('subscriptions share nothing', () => {
  it('with other variables or another role, and each gets what it has asked for', async () => {
    const server = await startStreamServer();
    const [ops, crm, guest] = [
      await server.subscriber('OPS'),
      await server.subscriber('CRM'),
      await server.subscriber(),
    ];
    ops.subscribe(REASONS);
    crm.subscribe(REASONS);
    guest.subscribe(REASONS, { guestId: 'guest-1' });
    await eventually(() => server.stream.followerCount === 3);
    server.commit(2, { guestId: 'guest-2' });
    server.commit(1, { guestId: 'guest-1' });

    await eventually(() => guest.heard().length === 1 && ops.heard().length === 3 && crm.heard().length === 3);
    expect(guest.heard()).toEqual([3]);
    expect([1, 2, 3].map((sequence) => server.executions.get(sequence))).toEqual([2, 2, 3]);
  });
});

describe('a session that events tell of', () => {
  it('is read again for those who come later', async () => {
    const server = await startStreamServer();
    const [first] = await subscribers(server, 1, SESSIONS);
    server.commit(1);
    await eventually(() => first!.heard().length === 1);
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 1_001); // longer than "now" may last
    onTestFinished(() => clock.mockRestore());
    const later = await server.subscriber();
    later.subscribe(SESSIONS, { after: Buffer.from('event:0').toString('base64url') });

    await eventually(() => later.heard().length === 1);
    expect(server.sessions.asked).toHaveLength(2);
  });
});

describe('a subscription that cannot go on', () => {
  it.each([
    ['at once', 0],
    ['in the middle of the replay', 300],
  ])('because its cursor expires %s ends with CURSOR_EXPIRED, and takes no other with it', async (_when, at) => {
    const server = await startStreamServer();
    server.commit(3_000);
    const socket = await server.subscriber();
    socket.subscribe(REASONS, {}, 'live');
    await eventually(() => server.stream.followerCount === 1);
    const { eventsAfter } = server.log;
    server.log.eventsAfter = async (sequence, ...rest) => {
      if (sequence >= at) throw new CursorExpiredError();
      return eventsAfter(sequence, ...rest);
    };
    socket.subscribe(REASONS, { after: Buffer.from('event:0').toString('base64url') }, 'old');

    expect(await socket.receives('error')).toMatchObject({
      id: 'old',
      payload: [{ message: expect.stringContaining('older than'), extensions: { code: 'CURSOR_EXPIRED' } }],
    });
    server.commit(1);
    await eventually(() => socket.heard('live').length === 1);
    expect(socket.heard('old')).toEqual(upTo(at));
    expect(server.stream.followerCount).toBe(1);
  });

  it('because of a bug of ours tells nothing but a request id', async () => {
    const server = await startStreamServer({ head: 5 });
    server.log.eventsAfter = () => Promise.reject(new Error('no such table: SessionEvent'));
    const socket = await server.subscriber();
    socket.subscribe(REASONS, { after: Buffer.from('event:0').toString('base64url') });

    const error = await socket.receives('error');
    expect(error.payload).toEqual([
      {
        message: expect.stringMatching(/^Something went wrong on our side/),
        extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) },
      },
    ]);
    expect(server.logged).toEqual(['Error: no such table: SessionEvent']);
    expect(socket.messages.filter(({ type }) => type === 'complete')).toEqual([]);
  });

  it('because it may not begin is told by an error, and by nothing else', async () => {
    const server = await startStreamServer();
    const socket = await server.subscriber('CRM');
    socket.subscribe('subscription { sessionEvents { session { audits { id } } } }');

    expect(await socket.receives('error')).toMatchObject({ id: '1', payload: [{ extensions: { code: 'FORBIDDEN' } }] });
    expect(socket.messages.map(({ type }) => type)).toEqual(['connection_ack', 'error']);
  });
});

it('tells with the acknowledgement where the log ends', async () => {
  const server = await startStreamServer({ head: 41 });
  server.commit(1);
  const { ack } = await server.subscriber();

  expect(ack).toEqual({
    type: 'connection_ack',
    payload: { eventCursor: Buffer.from('event:42').toString('base64url') },
  });
});

describe('a cursor of an event that is committed, and that the stream has not heard of', () => {
  it('is taken, and nothing is repeated or skipped', async () => {
    const server = await startStreamServer({ maxBufferedEvents: 2 });
    server.commit(3);
    const publish = server.commitSilently(4);
    const subscriber = await server.subscriber();
    subscriber.subscribe(REASONS, { after: Buffer.from('event:5').toString('base64url') });
    await eventually(() => server.stream.followerCount === 1);
    publish();
    server.commit(2);

    await eventually(() => subscriber.heard().length === 4);
    expect(subscriber.heard()).toEqual([6, 7, 8, 9]);
  });

  it('is refused where there is no such event', async () => {
    const server = await startStreamServer();
    server.commitSilently(4);
    const subscriber = await server.subscriber();
    subscriber.subscribe(REASONS, { after: Buffer.from('event:5').toString('base64url') });

    expect(await subscriber.receives('error')).toMatchObject({ payload: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    expect(server.stream.followerCount).toBe(0);
  });
});

it('ends a subscription at once whose follower has ended before it joins', async () => {
  const { stream } = await startStreamServer();
  const follower = stream.follow({});
  follower.end();
  const writers = new Set<unknown>();
  const socket = {
    isOpen: true,
    add: (writer: unknown) => writers.add(writer),
    delete: (writer: unknown) => writers.delete(writer),
  } as unknown as SubscriptionSocket;
  const fanOut = new FanOut({ format: (formatted) => formatted, maxBufferedEvents: 1 });
  const args = { document: parse('subscription { sessionEvents { id } }') } as ExecutionArgs;

  const subscription = fanOut.join({ id: '1', shareKey: 'key', args, follower, socket });

  await expect(subscription.next()).resolves.toEqual({ value: undefined, done: true });
  await fanOut.flush(1_000);
  expect(writers.size).toBe(0);
});

it('refuses the 21st subscription of a socket, and goes on with the others', async () => {
  const server = await startStreamServer();
  const socket = await server.subscriber();
  for (const id of upTo(21)) socket.subscribe(REASONS, {}, String(id));

  expect(await socket.receives('error')).toMatchObject({
    id: '21',
    payload: [{ extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 'MAX_SUBSCRIPTIONS_PER_SOCKET' } }],
  });
  server.commit(1);
  await eventually(() => socket.heard().length === 20);

  socket.send({ type: 'complete', id: '1' });
  await eventually(() => server.stream.followerCount === 19);
  socket.subscribe(REASONS, {}, 'in its place');
  await eventually(() => server.stream.followerCount === 20);
  server.commit(1);
  await eventually(() => socket.heard('in its place').length === 1);
});
