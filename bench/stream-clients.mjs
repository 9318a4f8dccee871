// The subscribers of `npm run bench:stream`: thousands of sockets that check that each event comes once and in order.
import { serveParent } from './lib/helper-child.mjs';
import { RawSubscriber } from './lib/raw-subscriber.mjs';

const port = Number(process.argv[2]);
const CONNECTING_AT_ONCE = 100;

/** @type {RawSubscriber[]} */
let subscribers = [];
/** How many subscribers have had an event, by its sequence. */
const arrivals = new Uint32Array(1 << 20);
/** How many have to have had it, and whom to tell. @type {{ sequence: number, count: number, resolve: () => void }[]} */
let waiting = [];
let deliveries = 0;

function onEvent(sequence) {
  deliveries += 1;
  arrivals[sequence] += 1;
  for (const each of waiting) if (each.sequence === sequence && arrivals[sequence] >= each.count) each.resolve();
}

async function connect({ count, query, after }) {
  for (let done = 0; done < count; done += CONNECTING_AT_ONCE) {
    const batch = Array.from({ length: Math.min(CONNECTING_AT_ONCE, count - done) }, () =>
      RawSubscriber.connect({ port, query, after, onEvent }),
    );
    subscribers.push(...(await Promise.all(batch)));
  }
}

/** Resolves when so many subscribers have had an event. */
function waitFor({ sequence, count }) {
  if (arrivals[sequence] >= count) return undefined;
  return new Promise((resolve) => {
    const entry = {
      sequence,
      count,
      resolve: () => {
        waiting = waiting.filter((each) => each !== entry);
        resolve();
      },
    };
    waiting.push(entry);
  });
}

/** What became of the subscribers. */
function report() {
  const lasts = subscribers.map(({ last }) => last ?? 0);
  return {
    deliveries,
    missed: subscribers.reduce((sum, { missed }) => sum + missed, 0),
    duplicates: subscribers.reduce((sum, { duplicates }) => sum + duplicates, 0),
    slowest: Math.min(...lasts),
    closed: subscribers.filter(({ closeCode }) => closeCode !== null).map(({ closeCode }) => closeCode),
    messages: [...new Set(subscribers.flatMap(({ messages }) => messages.map(({ type }) => type)))],
  };
}

/** How many have not heard anything yet. */
const silent = () => subscribers.filter(({ last }) => last === null).length;

/** The last so many stop reading. */
function stall(count) {
  for (const subscriber of subscribers.slice(-count)) subscriber.stall();
}

/** They read again, what is left for them and why they were closed, and subscribe again after the last that they have. */
async function comeBack({ count, query, patienceMs }) {
  const stalled = subscribers.slice(-count);
  for (const subscriber of stalled) subscriber.resume();
  const deadline = performance.now() + patienceMs;
  while (stalled.some(({ closeCode }) => closeCode === null)) {
    if (performance.now() > deadline) throw new Error('stalled sockets were not closed');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const closeCodes = [...new Set(stalled.map(({ closeCode }) => closeCode))];
  const again = await Promise.all(
    stalled.map(async (old) => {
      const subscriber = await RawSubscriber.connect({ port, query, after: old.cursor, onEvent });
      // Where the old socket stopped is where the new one has to go on.
      subscriber.last ??= old.last;
      subscriber.missed += old.missed;
      subscriber.duplicates += old.duplicates;
      old.close();
      return subscriber;
    }),
  );
  subscribers.splice(-count, count, ...again);
  return closeCodes;
}

function disconnect() {
  for (const subscriber of subscribers) subscriber.close();
  subscribers = [];
  arrivals.fill(0);
}

serveParent({ connect, waitFor, report, silent, stall, comeBack, disconnect });
