import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { resumableSessionEvents } from '../../src/client/resumable-session-events.js';
import { eventCursor } from '../../src/graphql/relay.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const keepAliveMs = 120;
const OF_GUEST =
  'subscription ($after: String, $guestId: String) { sessionEvents(after: $after, guestId: $guestId) { cursor } }';
const NOBODY = { guestId: 'nobody' };

async function quietSubscriber(head = 0) {
  const server = await startStreamServer({ keepAliveMs, head });
  const subscriber = await server.subscriber();
  subscriber.subscribe(OF_GUEST, NOBODY);
  await eventually(() => server.stream.followerCount === 1);
  return { server, subscriber, marked: (count: number) => eventually(() => subscriber.marks().length === count) };
}

describe('a subscriber for whom there is nothing', () => {
  it('is told up to where it has everything, anew when it has answered', async () => {
    const { server, subscriber, marked } = await quietSubscriber();
    server.commit(5);
    await marked(1);
    server.commit(2);
    await sleep(2 * keepAliveMs);
    expect(subscriber.marks()).toEqual([5]);

    subscriber.send({ type: 'pong' });
    await marked(2);
    expect(subscriber.marks()).toEqual([5, 7]);
  });

  it('is told of nothing that the stream has not heard of', async () => {
    const { server, subscriber, marked } = await quietSubscriber();
    server.commit(5);
    const publish = server.commitSilently(3);
    await marked(1);
    expect(subscriber.marks()).toEqual([5]);
    // One that is ahead has another place.
    subscriber.subscribe(OF_GUEST, { ...NOBODY, after: eventCursor.of({ sequence: 8 }) }, 'ahead');
    await eventually(() => server.stream.followerCount === 2);
    subscriber.send({ type: 'pong' });
    await sleep(2 * keepAliveMs);
    expect(subscriber.marks()).toEqual([5]);

    publish();
    await marked(2);
    expect(subscriber.marks()).toEqual([5, 8]);
  });

  it('is told nothing while another of its subscriptions reads, or has only begun', async () => {
    const { server, subscriber, marked } = await quietSubscriber(5);
    let answer = () => {};
    const { eventsAfter } = server.log;
    server.log.eventsAfter = async (...args) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return eventsAfter(...args);
    };
    subscriber.subscribe(OF_GUEST, { ...NOBODY, after: eventCursor.of({ sequence: 1 }) }, 'replay');
    await eventually(() => server.stream.followerCount === 2);
    await sleep(2 * keepAliveMs);
    expect(subscriber.marks()).toEqual([]);

    answer();
    await marked(1);
    expect(subscriber.marks()).toEqual([5]);
  });

  it('that has no subscription is told nothing', async () => {
    const server = await startStreamServer({ keepAliveMs });
    const subscriber = await server.subscriber();
    await sleep(2 * keepAliveMs);

    expect(subscriber.marks()).toEqual([]);
  });

  it('learns of it from resumableSessionEvents', async () => {
    const server = await startStreamServer({ keepAliveMs, head: 2 });
    const client = createClient({ url: server.url, webSocketImpl: WebSocket, connectionParams: {} });
    onTestFinished(() => client.dispose());
    const told: string[] = [];
    const events = resumableSessionEvents(client, { ...NOBODY, onProgress: (cursor) => told.push(cursor) });
    void events.next();
    await eventually(() => server.stream.followerCount === 1);
    server.commit(3);

    await eventually(() => told.length === 2);
    expect(told.map(eventCursor.read)).toEqual([2, 5]);
    await events.return?.();
  });
});
