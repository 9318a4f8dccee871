import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CursorExpiredError } from '../../src/errors.js';
import {
  matchesFilter,
  type SessionEventFilter,
  type SessionEventRecord,
} from '../../src/guest-session/session-event.js';
import { type Follower, SessionEventStream } from '../../src/lifecycle/session-event-stream.js';
import { someEvent } from '../store/ledger.js';

const SOME_EVENT = someEvent();

/** A log in memory, whose answers come when they are let go. */
function openLog(head: number) {
  const events = Array.from({ length: head }, (_, index) => eventAt(index + 1));
  const asked: number[] = [];
  let open: (() => void)[] = [];
  const stream = new SessionEventStream(
    {
      eventsAfter: async (after, filter, limit) => {
        asked.push(after);
        const answer = events.filter((event) => event.sequence > after && matchesFilter(event, filter)).slice(0, limit);
        await new Promise<void>((resolve) => open.push(resolve));
        return answer;
      },
    },
    head,
  );
  return {
    stream,
    events,
    asked,
    publish: (count: number) => {
      const committed = Array.from({ length: count }, (_, index) => eventAt(events.length + index + 1));
      events.push(...committed);
      stream.publish(committed);
    },
    /** Lets the answers go. */
    answer: async () => {
      for (const resolve of open) resolve();
      open = [];
      await new Promise(setImmediate);
    },
  };
}

const eventAt = (sequence: number): SessionEventRecord => ({
  ...SOME_EVENT,
  guestId: `guest-${sequence % 3}`,
  type: sequence % 2 ? 'SESSION_INITIATED' : 'SESSION_ENDED',
  sequence,
});

/** Reads a follower as a pump does: one batch a step. */
function reader(follower: Follower) {
  const heard: SessionEventRecord[] = [];
  let isReading = false;
  const step = (): boolean => {
    if (isReading) return true;
    const read = follower.read();
    if (!(read instanceof Promise)) {
      heard.push(...read);
      return read.length > 0;
    }
    isReading = true;
    void read.then((events) => {
      heard.push(...events);
      isReading = false;
    });
    return true;
  };
  return { heard, step };
}

const FILTERS: readonly SessionEventFilter[] = [
  {},
  { guestId: 'guest-1' },
  { types: ['SESSION_ENDED'] },
  { types: ['SESSION_INITIATED'], guestId: 'guest-2' },
];

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ publish: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 1_200 })) }),
  },
  { weight: 6, arbitrary: fc.record({ read: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.constant('answer' as const) },
  { weight: 1, arbitrary: fc.record({ join: fc.nat(3_000), filter: fc.nat(FILTERS.length - 1) }) },
);

describe('followers', () => {
  it('hear all that they have asked for, once and in order, however reading, publishing and standing still alternate', async () => {
    const play = async (steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
      const log = openLog(1_200);
      const joined: { after: number; filter: SessionEventFilter; heard: SessionEventRecord[]; step: () => boolean }[] =
        [];
      const join = (after: number, filter: SessionEventFilter) => {
        joined.push({ after, filter, ...reader(log.stream.follow(filter, after)) });
      };
      for (const filter of FILTERS) join(0, filter);
      join(log.stream.head, {});
      for (const each of steps) {
        if (each === 'answer') await log.answer();
        else if ('publish' in each) log.publish(each.publish);
        else if ('read' in each) joined[each.read % joined.length]!.step();
        else join(Math.min(each.join, log.stream.head), FILTERS[each.filter]!);
      }
      // In the end everybody reads on.
      while (joined.map(({ step }) => step()).some(Boolean)) await log.answer();

      for (const { after, filter, heard } of joined) {
        const wanted = log.events.filter((event) => event.sequence > after && matchesFilter(event, filter));
        expect(heard.map(({ sequence }) => sequence)).toEqual(wanted.map(({ sequence }) => sequence));
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), play), { numRuns: 15 });
  });

  it('that want the same page share it, also when it is asked for again', async () => {
    const log = openLog(300);
    const readers = [0, 0, 0].map((after) => reader(log.stream.follow({}, after)));
    while (readers.map(({ step }) => step()).some(Boolean)) await log.answer();
    const late = reader(log.stream.follow({}, 0));
    while (late.step()) await log.answer();

    for (const { heard } of [...readers, late]) expect(heard).toHaveLength(300);
    expect(log.asked).toEqual([0, 100, 200]);
  });

  it('that begin at different places soon read the same pages', async () => {
    const log = openLog(400);
    const readers = [3, 42, 99].map((after) => reader(log.stream.follow({}, after)));
    while (readers.map(({ step }) => step()).some(Boolean)) await log.answer();

    expect(log.asked).toEqual([3, 42, 99, 100, 200, 300]);
  });

  it('are told when their cursor has expired, and may ask again', async () => {
    let isExpired = true;
    const stream = new SessionEventStream(
      {
        eventsAfter: async (after) => {
          if (isExpired) throw new CursorExpiredError();
          return [eventAt(after + 1)];
        },
      },
      1,
    );
    await expect(stream.follow({}, 0).read()).rejects.toThrow(CursorExpiredError);
    isExpired = false;
    expect(await stream.follow({}, 0).read()).toMatchObject([{ sequence: 1 }]);
  });

  it('tell their listener of every commit, and of the end, once', async () => {
    const { stream, publish } = openLog(0);
    const told: string[] = [];
    const follower = stream.follow({ guestId: 'guest-1' });
    follower.listen({
      onCommit: ({ length }) => told.push(`${length} events`),
      onErased: () => undefined,
      onEnd: () => told.push('end'),
    });
    publish(2);
    stream.end();
    follower.end();
    publish(1);

    expect(told).toEqual(['2 events', 'end']);
    follower.listen({ onCommit: () => undefined, onErased: () => undefined, onEnd: () => told.push('ended already') });
    expect(told.at(-1)).toBe('ended already');
  });
});
