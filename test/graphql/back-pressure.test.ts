import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bytesWaiting } from '../support/bytes-waiting.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

/** Events of some 25 kB, so that the kernel's buffers cannot take many. */
const LARGE = `subscription ($after: String, $guestId: String) {
  sessionEvents(after: $after, guestId: $guestId) { cursor ${Array.from({ length: 230 }, (_, index) => `a${index}: requestId`).join(' ')} }
}`;
const REQUEST_ID = 'x'.repeat(100);
const SMALL = 'subscription { sessionEvents { cursor } }';
const CLOSED = { code: 4429, reason: 'Too many unread events: subscribe again after your last cursor' };
const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => from + i);

type Server = Awaited<ReturnType<typeof startStreamServer>>;

async function follow(server: Server, query: string, variables: object = {}) {
  const before = server.stream.followerCount;
  const subscriber = await server.subscriber();
  subscriber.subscribe(query, variables);
  await eventually(() => server.stream.followerCount === before + 1);
  return subscriber;
}

/** Commits in small pieces, as the ledger does. */
async function commit(server: Server, count: number, guestId = 'guest-1'): Promise<void> {
  for (let committed = 0; committed < count; committed += 20) {
    server.commit(Math.min(20, count - committed), { guestId, requestId: REQUEST_ID });
    await new Promise(setImmediate);
  }
}

describe('a subscriber that reads nothing', () => {
  it('is closed when too much has happened that it has asked for, and goes on after its cursor', async () => {
    const server = await startStreamServer({ maxBufferedEvents: 650 });
    const stalled = await follow(server, LARGE);
    const other = await follow(server, LARGE, { guestId: 'somebody else' });
    const live = await follow(server, SMALL);
    for (const { tcp } of [stalled, other]) tcp.pause();
    server.commit(600, { guestId: 'somebody else', requestId: REQUEST_ID });
    await eventually(() => bytesWaiting(server.port).filter((bytes) => bytes > 64 * 1024).length === 2);
    // Both stand still now. What follows only one of them has asked for.
    await commit(server, 500);

    await eventually(() => live.heard().length === 1_100);
    expect(live.heard()).toEqual(upTo(1_100));
    await eventually(() => server.stream.followerCount === 2); // the server has let go of it
    stalled.tcp.resume();
    expect(await stalled.closes()).toEqual(CLOSED);
    expect(stalled.heard().length).toBeLessThan(1_100);
    const again = await follow(server, LARGE, { after: stalled.lastCursor() });
    await eventually(() => again.heard().at(-1) === 1_100);
    expect([...stalled.heard(), ...again.heard()]).toEqual(upTo(1_100));

    expect(other.isOpen).toBe(true);
    other.tcp.resume();
    await eventually(() => other.heard().length === 600);
  });

  it('costs next to nothing, and no other an event, even if there are many', async () => {
    const server = await startStreamServer();
    const stalled = await Promise.all(Array.from({ length: 8 }, () => server.subscriber()));
    for (const { subscribe } of stalled) subscribe(LARGE);
    await eventually(() => server.stream.followerCount === 8);
    const live = await follow(server, SMALL);
    for (const { tcp } of stalled) tcp.pause();
    await commit(server, 1_000);
    await eventually(() => live.heard().length === 1_000);

    expect(live.heard()).toEqual(upTo(1_000));
    const bytes = bytesWaiting(server.port).filter((each) => each > 0);
    expect(bytes).toHaveLength(8);
    // What it is written before it counts as full, and a payload; 1,000 events are 25 MB.
    expect(Math.max(...bytes)).toBeLessThan(100_000);
    for (const { tcp } of stalled) tcp.destroy();
  });
});

describe('a subscriber that reads slowly', () => {
  it('is not closed however far behind it is, and hears everything once', async () => {
    const server = await startStreamServer({ maxBufferedEvents: 20 });
    const slow = await follow(server, LARGE);
    const total = 1_200;
    slow.tcp.pause();
    await commit(server, total / 2);
    await eventually(() => bytesWaiting(server.port).some((bytes) => bytes > 64 * 1024));
    let pauseMs = 60;
    let isDone = false;
    const reading = (async () => {
      while (!isDone) {
        slow.tcp.resume();
        await sleep(1);
        slow.tcp.pause();
        await sleep(pauseMs);
      }
    })();
    // For longer than one that reads nothing would be left alone.
    for (let committed = total / 2; committed < total; committed += 20) {
      await commit(server, 20);
      await sleep(50);
    }
    pauseMs = 1;
    await eventually(() => slow.heard().length === total || !slow.isOpen, 15_000);
    isDone = true;
    await reading;

    expect(slow.heard()).toEqual(upTo(total));
    expect(slow.isOpen).toBe(true);
  });

  it('is given a chance when more than it may leave unread comes at once', async () => {
    const server = await startStreamServer({ maxBufferedEvents: 1 });
    const subscriber = await follow(server, LARGE);
    server.commit(1_000, { requestId: REQUEST_ID });
    await eventually(() => subscriber.heard().length === 1_000);
    expect(subscriber.heard()).toEqual(upTo(1_000));
  });
});
