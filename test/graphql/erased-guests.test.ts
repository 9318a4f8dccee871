import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { SharedExecution } from '../../src/graphql/shared-execution.js';
import { SubscriptionSocket } from '../../src/graphql/subscription-socket.js';
import { UnwrittenEvents } from '../../src/graphql/unwritten-events.js';
import type { SessionEventRecord } from '../../src/guest-session/session-event.js';
import { someEvent } from '../store/ledger.js';
import { bytesWaiting } from '../support/bytes-waiting.js';
import { eventually } from '../support/eventually.js';
import { startStreamServer } from './stream-server.js';

const GUEST = 'guest-1';
const PERSONAL = { guestId: GUEST, crmId: 'crm-1', sessionId: 'cxs-1' };
const FROM_THE_START = { after: Buffer.from('event:0').toString('base64url') };
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => 1 + i);

type Server = Awaited<ReturnType<typeof startStreamServer>>;
type Subscriber = Awaited<ReturnType<Server['subscriber']>>;

const query = (fields: string) =>
  `subscription ($after: String) { sessionEvents(after: $after) { cursor guestId ${fields} } }`;

const guestsTold = ({ messages }: Subscriber): (string | null)[] =>
  messages.filter(({ type }) => type === 'next').map(({ payload }) => payload.data.sessionEvents.guestId);

/** Waits until a number grows no more. */
async function standsStill(read: () => number): Promise<number> {
  let before = Number.NaN;
  while (before !== read() || before === 0) {
    before = read();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return before;
}

describe('a guest that is erased', () => {
  it('is in nothing more that a client gets whose socket was full', async () => {
    const write = vi.spyOn(SubscriptionSocket.prototype, 'write');
    onTestFinished(() => write.mockRestore());
    const server = await startStreamServer();
    const subscriber = await server.subscriber();
    // Some 25 kB each, so that the buffers of the kernel cannot take them all.
    subscriber.subscribe(
      query(
        `${upTo(230)
          .map((index) => `a${index}: requestId`)
          .join(' ')}`,
      ),
    );
    await eventually(() => server.stream.followerCount === 1);
    subscriber.tcp.pause();
    server.commit(1_000, { ...PERSONAL, requestId: 'x'.repeat(100) });
    const written = await standsStill(() => write.mock.calls.length);
    expect(written).toBeLessThan(1_000);
    expect(Math.max(...bytesWaiting(server.port))).toBeGreaterThan(64 * 1024);

    server.stream.publish([], [{ guestId: GUEST, eventSequence: 1_000 }]);
    server.commit(1, PERSONAL); // a new request
    subscriber.tcp.resume();
    await eventually(() => subscriber.heard().length === 1_001);

    expect(subscriber.heard()).toEqual(upTo(1_001));
    expect(guestsTold(subscriber)).toEqual(upTo(1_001).map((n) => (n <= written || n === 1_001 ? GUEST : null)));
  });

  it('is not in a payload that was being made', async () => {
    const server = await startStreamServer();
    const subscriber = await server.subscriber();
    subscriber.subscribe(query('requestId session { id }'));
    await eventually(() => server.stream.followerCount === 1);
    server.commit(3, PERSONAL);
    while (server.sessions.asked.length === 0) await new Promise(setImmediate);

    server.stream.publish([], [{ guestId: GUEST, eventSequence: 3 }]);
    await eventually(() => subscriber.heard().length === 3);

    expect(subscriber.heard()).toEqual([1, 2, 3]);
    expect(guestsTold(subscriber)).toEqual([null, null, null]);
  });

  it('is not in a page that was being read', async () => {
    const server = await startStreamServer({ head: 3 });
    let answer = () => {};
    const events: SessionEventRecord[] = [1, 2, 3].map((sequence) => ({ ...someEvent(PERSONAL), sequence }));
    server.log.eventsAfter = async () => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return events;
    };
    const subscriber = await server.subscriber();
    subscriber.subscribe(query(''), FROM_THE_START);
    await eventually(() => server.stream.followerCount === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));

    server.stream.publish([], [{ guestId: GUEST, eventSequence: 2 }]);
    answer();
    await eventually(() => subscriber.heard().length === 3);

    expect(guestsTold(subscriber)).toEqual([null, null, GUEST]);
  });
});

describe('a payload that is finished and not yet written', () => {
  const event = (sequence: number, guestId: string): SessionEventRecord => ({
    ...someEvent({ guestId, reason: 'because' }),
    sequence,
  });

  /** What is unwritten of events whose payloads have to be waited for. */
  function unwrittenOf(...events: SessionEventRecord[]) {
    const made = new Map<number, string>();
    const execution: Pick<SharedExecution, 'payload' | 'forget'> = {
      payload: ({ sequence, guestId, reason }) => {
        const payload = `${sequence} ${guestId} ${reason}`;
        if (made.get(sequence) === payload) return payload;
        return Promise.resolve().then(() => {
          made.set(sequence, payload);
          return payload;
        });
      },
      forget: () => made.clear(),
    };
    const unwritten = new UnwrittenEvents(execution);
    unwritten.take(events);
    /** Waits until the next payload can be written. */
    const settle = async () => {
      for (;;) {
        const payload = unwritten.payload(unwritten.next!);
        if (typeof payload === 'string') return payload;
        await payload;
      }
    };
    return { unwritten, settle, made };
  }

  it('is made anew when its guest is erased, and what it was is kept nowhere', async () => {
    const { unwritten, settle, made } = unwrittenOf(event(1, GUEST), event(2, 'guest-2'), event(3, GUEST));
    expect(await settle()).toBe('1 guest-1 because');

    unwritten.forget([{ guestId: GUEST, eventSequence: 3 }]);

    expect([...made.values()]).toEqual([]);
    const told: string[] = [];
    while (unwritten.next) {
      told.push(await settle());
      unwritten.advance();
    }
    expect(told).toEqual(['1 null null', '2 guest-2 because', '3 null null']);
  });

  it('is let go of when its guest is erased while it is made', async () => {
    const { unwritten, settle } = unwrittenOf(event(1, GUEST));
    const making = unwritten.payload(unwritten.next!);
    unwritten.forget([{ guestId: GUEST, eventSequence: 1 }]);
    await making;

    expect(await settle()).toBe('1 null null');
  });
});
