import { connect } from 'node:net';
import { malformedHttp } from './malformed-http.mjs';
import { malformedSocket } from './malformed-sockets.mjs';
import { Random } from './random.mjs';
import { readAnswers } from './read-answers.mjs';

const AT_ONCE = 16;
const SOCKET_SHARE = 0.4;
/** Who waits for more than this waits for something that the message does not have. */
const QUIET_MS = 60;
const GIVE_UP_MS = 5_000;
const READ_EVERY = 500;

/** The server must not fail on what others send; that it does not speak their version of HTTP it may say. */
const HTTP_VERSION_NOT_SUPPORTED = 505;
/** "Internal error" of WebSocket, and of graphql-ws. */
const OUR_FAULT = [1011, 4500];

/**
 * @typedef {object} Bout
 * @property {number} sent
 * @property {Map<string, number>} answers how often each status and each code of a close came
 * @property {{ kind: string, seed: number, why: string, bytes: Buffer }[]} faults
 * @property {number} mostRssMb
 */

/** One message of those that a seed stands for. */
function malformedMessage(seed) {
  const random = new Random(seed);
  return random.chance(SOCKET_SHARE) ? malformedSocket(random) : malformedHttp(random);
}

/**
 * Sends what is malformed over connections of their own, some at once.
 *
 * @param {object} options
 * @param {import('./server-under-test.mjs').ServerUnderTest} options.server
 * @param {Random} options.random
 * @param {number} options.messages
 * @param {() => boolean} options.isOver
 * @returns {Promise<Bout>}
 */
export async function barrage({ server, random, messages, isOver }) {
  /** @type {Bout} */
  const bout = { sent: 0, answers: new Map(), faults: [], mostRssMb: 0 };
  const one = async () => {
    const [seed, waits] = [random.seed(), random.chance(0.5)];
    const { kind, bytes } = malformedMessage(seed);
    const loggedBefore = server.errors().length;
    const { statuses, closeCode, text } = readAnswers(await exchange(server.url, bytes, waits));
    const names = closeCode === null ? statuses.map(String) : [`closed ${closeCode}`];
    for (const name of names.length > 0 ? names : ['no answer'])
      bout.answers.set(name, (bout.answers.get(name) ?? 0) + 1);
    const why =
      statuses.find((status) => status >= 500 && status !== HTTP_VERSION_NOT_SUPPORTED) ??
      OUR_FAULT.find((code) => code === closeCode) ??
      (text.includes('"INTERNAL_SERVER_ERROR"') ? 'INTERNAL_SERVER_ERROR' : undefined) ??
      (server.errors().length > loggedBefore
        ? `logged by this or one of ${AT_ONCE - 1} others: ${server.errors().at(-1)}`
        : undefined);
    if (why !== undefined) bout.faults.push({ kind, seed, why: String(why), bytes });
  };
  const work = async () => {
    while (bout.sent < messages && server.isRunning && !isOver()) {
      bout.sent += 1;
      if (bout.sent % READ_EVERY === 0) bout.mostRssMb = Math.max(bout.mostRssMb, (await server.read()).rssMb);
      await one();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  bout.mostRssMb = Math.max(bout.mostRssMb, (await server.read()).rssMb);
  return bout;
}

/** Writes all, ends at once or when nothing more comes, and gives what was said. @returns {Promise<Buffer>} */
function exchange({ hostname, port }, bytes, waits) {
  return new Promise((resolve) => {
    /** @type {Buffer[]} */
    const heard = [];
    const socket = connect(Number(port), hostname);
    const end = () => socket.end();
    let quiet = setTimeout(end, QUIET_MS);
    const giveUp = setTimeout(() => socket.destroy(), GIVE_UP_MS);
    socket.on('connect', () => {
      socket.write(bytes);
      if (!waits) end();
    });
    socket.on('data', (chunk) => {
      heard.push(chunk);
      clearTimeout(quiet);
      quiet = setTimeout(end, QUIET_MS);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(quiet);
      clearTimeout(giveUp);
      resolve(Buffer.concat(heard));
    });
  });
}
