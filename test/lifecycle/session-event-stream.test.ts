import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type {
  SessionEventFilter,
  SessionEventRecord,
  SessionEventType,
} from '../../src/guest-session/session-event.js';
import { SessionEventStream } from '../../src/lifecycle/session-event-stream.js';
import type { EventLogReader } from '../../src/lifecycle/shared-pages.js';
import { EventReader } from '../../src/store/event-reader.js';
import { type Books, openBooks, someEvent } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { iterate } from './iterate.js';

const TYPES = ['SESSION_REQUESTED', 'SESSION_INITIATED', 'SESSION_FAILED'] as const satisfies SessionEventType[];
const upTo = (n: number, from = 1): number[] => Array.from({ length: n - from + 1 }, (_, i) => from + i);

/** A stream over real books, as the server wires it. */
async function openStream() {
  const books = await openBooks();
  const log = new EventReader(books);
  const stream = new SessionEventStream(log, books.writer.eventSequence);
  books.writer.onCommit(({ events }) => stream.publish(events));
  return { books, log, stream };
}

/** Writes events of all types, of guests 0 to 2, in commits of a few. */
async function write(books: Books, count: number, perCommit = 50): Promise<void> {
  for (let written = 0; written < count; written += perCommit) {
    await books.writer.submit((transaction) => {
      for (let i = 0; i < Math.min(perCommit, count - written); i++) {
        const sequence = transaction.heads.eventSequence;
        const guestId = `guest-${sequence % 3}`;
        transaction.appendEvent(someEvent({ type: TYPES[(sequence >> 1) % TYPES.length]!, guestId }));
      }
    });
  }
}

/** The next so many events of a follower. */
async function take(follower: AsyncIterator<SessionEventRecord>, count: number): Promise<SessionEventRecord[]> {
  const events: SessionEventRecord[] = [];
  while (events.length < count) {
    const { value, done } = await follower.next();
    if (done) break;
    events.push(value);
  }
  return events;
}
const sequences = (events: readonly SessionEventRecord[]): number[] => events.map(({ sequence }) => sequence);

/** Events without a database under them. */
const eventsFrom = (first: number, count: number): SessionEventRecord[] =>
  upTo(first + count - 1, first).map((sequence) => ({ ...someEvent(), sequence, id: `event-${sequence}` }));

const NO_LOG: EventLogReader = { eventsAfter: () => Promise.reject(new Error('the database was not to be asked')) };

describe('a follower', () => {
  it('without a cursor hears what happens from now on', async () => {
    const { books, stream } = await openStream();
    await write(books, 5);
    const follower = iterate(stream.follow({}));
    const heard = take(follower, 3);
    await write(books, 3);
    expect(sequences(await heard)).toEqual([6, 7, 8]);
  });

  it('gets exactly what was committed, as it was committed', async () => {
    const { books, log, stream } = await openStream();
    const follower = iterate(stream.follow({}));
    const content = someEvent({
      guestId: 'guest-1',
      crmId: 'crm-1',
      sessionId: 'cxs',
      channel: 'SMS',
      status: 'ACTIVE',
      reason: 'Zoë',
      expiresAt: new Date(),
    });
    const live = take(follower, 1);
    const committed = await books.writer.submit((transaction) => transaction.appendEvent(content));
    expect(await live).toEqual([committed]);
    expect(await log.eventsAfter(0, {}, 10)).toEqual([committed]);
  });

  it('with the cursor 0 hears everything from the beginning', async () => {
    const { books, stream } = await openStream();
    await write(books, 250);
    expect(sequences(await take(iterate(stream.follow({}, 0)), 250))).toEqual(upTo(250));
  });

  it('goes on after its cursor, from memory or from the database, to the same effect', async () => {
    const { books, log, stream } = await openStream();
    await write(books, 3_000, 500);
    const later = new SessionEventStream(log, books.writer.eventSequence); // one that has nothing in memory
    books.writer.onCommit(({ events }) => later.publish(events));
    for (const after of [0, 899, 952, 953, 1_976, 1_977, 2_899, 2_900, 2_999]) {
      for (const each of [stream, later]) {
        expect(sequences(await take(iterate(each.follow({}, after)), Math.min(400, 3_000 - after)))).toEqual(
          upTo(Math.min(after + 400, 3_000), after + 1),
        );
      }
    }
    const live = take(iterate(later.follow({}, 3_000)), 1);
    await write(books, 1);
    expect(sequences(await live)).toEqual([3_001]);
  });

  it('that is not behind what is kept in memory never asks the database', async () => {
    const stream = new SessionEventStream(NO_LOG, 100);
    const follower = iterate(stream.follow({}));
    stream.publish(eventsFrom(101, 1_000));
    expect(sequences(await take(follower, 1_000))).toEqual(upTo(1_100, 101));
    expect(sequences(await take(iterate(stream.follow({}, 100)), 500))).toEqual(upTo(600, 101));
    await expect(iterate(stream.follow({}, 99)).next()).rejects.toThrow('the database was not to be asked');
  });

  it('hears of what happens in the very moment in which it begins to wait', async () => {
    const stream = new SessionEventStream(NO_LOG, 0);
    const follower = iterate(stream.follow({}));
    const next = follower.next();
    stream.publish(eventsFrom(1, 1));
    expect(await next).toMatchObject({ value: { sequence: 1 }, done: false });
  });
});

describe('filters', () => {
  const FILTERS: [string, SessionEventFilter][] = [
    ['a type', { types: ['SESSION_INITIATED'] }],
    ['two types', { types: ['SESSION_FAILED', 'SESSION_REQUESTED'] }],
    ['a guest', { guestId: 'guest-1' }],
    ['a guest and two types', { guestId: 'guest-2', types: ['SESSION_INITIATED', 'SESSION_FAILED'] }],
  ];

  it.each(FILTERS)('by %s hold for replay and live alike', async (_, filter) => {
    const { books, log, stream } = await openStream();
    await write(books, 2_500, 250);
    const follower = new SessionEventStream(log, books.writer.eventSequence);
    books.writer.onCommit(({ events }) => follower.publish(events));
    const replayed = iterate(follower.follow(filter, 0));
    const inMemory = iterate(stream.follow(filter, 2_400));
    const all = await log.eventsAfter(0, {}, 10_000);
    const wanted = (event: SessionEventRecord) =>
      (!filter.types || filter.types.includes(event.type)) && (!filter.guestId || event.guestId === filter.guestId);
    const expected = all.filter(wanted);
    expect(await take(replayed, expected.length)).toEqual(expected);
    const recent = expected.filter(({ sequence }) => sequence > 2_400);
    expect(await take(inMemory, recent.length)).toEqual(recent);

    const live = Promise.all([take(replayed, 3), take(inMemory, 3)]);
    await write(books, 60, 7);
    const news = (await log.eventsAfter(2_500, {}, 100)).filter(wanted).slice(0, 3);
    expect(await live).toEqual([news, news]);
  });
});

describe('followers of a busy log', () => {
  it('miss nothing and hear nothing twice, wherever they begin', async () => {
    const { books, stream } = await openStream();
    await write(books, 1_500, 500);
    const total = 6_000;
    let busy = true;
    const writing = (async () => {
      while (books.writer.eventSequence < total) {
        // Many small groups, so that there is a commit at every turn of the event loop.
        await books.writer.submit((transaction) => {
          for (let i = 0; i < 3; i++) {
            transaction.appendEvent(someEvent({ type: TYPES[transaction.heads.eventSequence % 3]! }));
          }
        });
      }
      busy = false;
    })();
    const follow = async (after: number, filter: SessionEventFilter = {}) => {
      const follower = iterate(stream.follow(filter, after));
      const heard: number[] = [];
      let wereBusy = 0;
      for (;;) {
        const { value } = await follower.next();
        heard.push((value as SessionEventRecord).sequence);
        if (busy) wereBusy += 1;
        if (heard.at(-1)! >= total - 3) break;
        // Some read as fast as they can, others stop and go, and fall back behind what is in memory.
        if (heard.length % 97 === 0) await new Promise(setImmediate);
      }
      await follower.return?.();
      return { heard, wereBusy };
    };
    const followers = [0, 1, 700, 1_499, 1_500].map((after) => follow(after).then((result) => ({ after, ...result })));
    const filtered = follow(0, { types: [...TYPES] });
    await writing;
    for (const { after, heard, wereBusy } of await Promise.all(followers)) {
      expect(heard).toEqual(upTo(heard.at(-1)!, after + 1));
      expect(wereBusy).toBeGreaterThan(0);
    }
    const { heard } = await filtered;
    expect(heard).toEqual(upTo(heard.at(-1)!));
    expect(stream.followerCount).toBe(0);
  });

  it('miss nothing either when the database takes its time over each of its answers', async () => {
    const { books, log, stream } = await openStream();
    await write(books, 250);
    const slow: EventLogReader = {
      async eventsAfter(...args) {
        const events = await log.eventsAfter(...args);
        await write(books, 5); // committed and published while the answer is on its way
        return events;
      },
    };
    const late = new SessionEventStream(slow, books.writer.eventSequence);
    books.writer.onCommit(({ events }) => late.publish(events));
    expect(stream.head).toBe(250);
    expect(sequences(await take(iterate(late.follow({}, 0)), 265))).toEqual(upTo(265));
    expect(sequences(await take(iterate(late.follow({ types: [...TYPES] }, 0)), 265))).toEqual(upTo(265));
  });
});

describe('a follower that stands still', () => {
  const collectGarbage = (): void => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
  };
  const heapUsed = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };

  it('holds up nobody and costs next to nothing, whatever happens meanwhile', async () => {
    const stream = new SessionEventStream(NO_LOG, 0);
    const stalled = iterate(stream.follow({}));
    const waiting = iterate(stream.follow({}));
    const firstOfWaiting = waiting.next(); // asked for one event, and never for another
    let heard = 0;
    const live = (async () => {
      for await (const { sequence } of iterate(stream.follow({}))) {
        expect(sequence).toBe(heard + 1);
        heard += 1;
        if (heard === 50_000) return;
      }
    })();

    stream.publish(eventsFrom(1, 50));
    await eventually(() => heard === 50);
    const before = heapUsed();
    for (let first = 51; first <= 50_000; first += 50) {
      stream.publish(eventsFrom(first, 50));
      await new Promise(setImmediate);
    }
    await live;
    expect(heard).toBe(50_000);
    // 50,000 events are some 10 MB; those that are kept on purpose less than 1 MB.
    expect(heapUsed() - before).toBeLessThan(4_000_000);
    expect((await firstOfWaiting).value).toMatchObject({ sequence: 1 });
    await Promise.all([stalled.return?.(), waiting.return?.()]);
    expect(stream.followerCount).toBe(0);
  });

  it('finds everything in the database when it goes on', async () => {
    const { books, stream } = await openStream();
    const stalled = iterate(stream.follow({}));
    await write(books, 4_000, 500);
    expect(sequences(await take(stalled, 4_000))).toEqual(upTo(4_000));
  });
});

describe('the end', () => {
  it('comes to a follower that waits, when it is returned', async () => {
    const { stream } = await openStream();
    const follower = iterate(stream.follow({}));
    const next = follower.next();
    await follower.return?.();
    expect(await next).toEqual({ value: undefined, done: true });
    expect(await follower.next()).toEqual({ value: undefined, done: true });
    expect(stream.followerCount).toBe(0);
  });

  it('comes to a follower that is reading from the database', async () => {
    const { books, log } = await openStream();
    await write(books, 200);
    const stream = new SessionEventStream(log, 200);
    const follower = iterate(stream.follow({}, 0));
    const next = follower.next();
    await follower.return?.();
    expect(await next).toEqual({ value: undefined, done: true });
  });

  it('comes to a loop that is left', async () => {
    const { books, stream } = await openStream();
    await write(books, 5);
    for await (const event of iterate(stream.follow({}, 0))) if (event.sequence === 3) break;
    expect(stream.followerCount).toBe(0);
  });

  it('comes to all when the stream ends', async () => {
    const { stream } = await openStream();
    const followers = upTo(10).map(() => iterate(stream.follow({})));
    const waiting = followers.map((follower) => follower.next());
    expect(stream.followerCount).toBe(10);
    stream.end();
    expect(await Promise.all(waiting)).toEqual(followers.map(() => ({ value: undefined, done: true })));
    expect(stream.followerCount).toBe(0);
  });

  it('forgets a guest that is erased, in memory as in the pages that are shared', async () => {
    const { books, log, stream } = await openStream();
    await write(books, 6);
    const later = new SessionEventStream(log, books.writer.eventSequence);
    books.writer.onCommit(({ events, erased }) => later.publish(events, erased));
    books.writer.onCommit(({ erased }) => stream.publish([], erased));
    const guestsOf = async (from: SessionEventStream) =>
      (await take(iterate(from.follow({}, 0)), 6)).map(({ guestId }) => guestId);
    const everybody = ['guest-0', 'guest-1', 'guest-2', 'guest-0', 'guest-1', 'guest-2'];
    expect([await guestsOf(stream), await guestsOf(later)]).toEqual([everybody, everybody]);

    const actor = { name: 'ops', role: 'OPS', sourceAddress: null } as const;
    await books.writer.execute('eraseGuest', { guestId: 'guest-1', requestId: 'r', actor, now: new Date() });
    await write(books, 6);

    const left = ['guest-0', null, 'guest-2', 'guest-0', null, 'guest-2'];
    expect([await guestsOf(stream), await guestsOf(later)]).toEqual([left, left]);
    const fresh = await take(iterate(stream.follow({ guestId: 'guest-1' }, 0)), 2);
    expect(fresh.map(({ sequence }) => sequence)).toEqual([8, 11]);
  });
});
