import { type SessionEventRecord, withoutGuests } from '../../src/guest-session/session-event.js';
import type { Follower } from '../../src/lifecycle/session-event-stream.js';

/** Reads a follower one event at a time, as slowly as one likes. */
export function iterate(follower: Follower): AsyncIterableIterator<SessionEventRecord> {
  let batch: SessionEventRecord[] = [];
  let isEnded = false;
  let wakeUp = () => {};
  follower.listen({
    onCommit: () => wakeUp(),
    onErased: (erased) => {
      batch = [...withoutGuests(batch, erased)];
    },
    onEnd: () => {
      isEnded = true;
      wakeUp();
    },
  });
  return {
    async next() {
      while (!isEnded) {
        const value = batch.shift();
        if (value) return { value, done: false };
        const read = follower.read();
        if (read instanceof Promise || read.length > 0) batch = [...(await read)];
        else {
          await new Promise<void>((resolve) => {
            wakeUp = resolve;
          });
        }
      }
      return { value: undefined, done: true };
    },
    async return() {
      follower.end();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
