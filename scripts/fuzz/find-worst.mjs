import { fits } from './envelope.mjs';
import { hostileRequest, KINDS } from './hostile-requests.mjs';
import { mutate } from './mutate-request.mjs';

/** Code that ran never, or seldom, is slow: what these take is not looked at. */
const WARM_UP = 100;
const REPEATS = 5;
const REPORTED = 5;
/** What is looked at a second time. */
const SUSPECT_SHARE = 0.4;

/** @typedef {import('./hostile-requests.mjs').HostileRequest} HostileRequest */
/** @typedef {{ request: HostileRequest, ms: number, delayMs: number, turnMs: number, status: number | string }} Measured */

/**
 * Looks for the request that blocks the event loop longest: half of the time among all kinds, then among what differs a little
 * from the worst so far.
 *
 * What is judged is the smaller of two numbers, each of which is at least as long as the block: the longest delay of the event
 * loop by the clock, and the most CPU time of its thread within one turn of it. Other programs lengthen the first by whole time
 * slices, the second hardly. What seems long is repeated, and its median counts: a garbage collection hits one of five.
 *
 * @param {object} options
 * @param {import('./server-under-test.mjs').ServerUnderTest} options.server
 * @param {import('./send-requests.mjs').RequestSender} options.sender
 * @param {import('./random.mjs').Random} options.random
 * @param {readonly string[]} options.ids of sessions
 * @param {number} options.requests
 * @param {number} options.mostMs how long a block may be
 * @param {() => boolean} options.isOver
 */
export async function findWorst({ server, sender, random, ids, requests, mostMs, isOver }) {
  /** @type {Measured[]} of each kind the worst, and the worst of all first: the next ones are made from all of them */
  let worst = [];
  /** @type {Measured[]} */
  const bugs = [];
  let sent = 0;

  const once = async (request) => {
    const { status, text } = await sender.send(request);
    const { delayMs, turnMs } = await server.read();
    sent += 1;
    const measured = { request, status, delayMs, turnMs, ms: Math.min(delayMs, turnMs) };
    if (Number(status) >= 500 || /INTERNAL_SERVER_ERROR/.test(text) || /^closed (1011|4500)$/.test(String(status)))
      bugs.push(measured);
    return measured;
  };

  /** The median, where it is worth while. */
  const measure = async (request) => {
    const first = await once(request);
    const known = worst.find(({ request: { kind } }) => kind === request.kind)?.ms ?? 0;
    if (first.ms <= known || first.ms < SUSPECT_SHARE * mostMs) return first;
    const all = [first];
    while (all.length < REPEATS) all.push(await once(request));
    return all.sort((one, other) => one.ms - other.ms)[REPEATS >> 1];
  };

  const consider = async (request) => {
    if (!fits(request)) return;
    const measured = await measure(request);
    const others = worst.filter((other) => other.request.kind !== request.kind);
    const known = worst.find((other) => other.request.kind === request.kind);
    if (known && known.ms >= measured.ms) return;
    worst = [...others, measured].sort((one, other) => other.ms - one.ms);
  };

  for (let index = 0; index < Math.min(WARM_UP, requests / 4); index += 1) {
    const request = hostileRequest(random, ids, KINDS[index % KINDS.length]);
    if (fits(request)) await once(request);
  }
  for (let index = 0; sent < requests && !isOver(); index += 1) {
    const isEarly = worst.length === 0 || sent < requests / 2;
    if (isEarly) await consider(hostileRequest(random, ids, KINDS[index % KINDS.length]));
    else await consider(mutate(random, worst[random.sizeUpTo(worst.length) - 1].request, hostileRequest(random, ids)));
  }
  return { sent, worst: worst.slice(0, REPORTED), bugs };
}
