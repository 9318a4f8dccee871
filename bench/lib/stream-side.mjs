import { setTimeout as sleep } from 'node:timers/promises';

/** How many events may be under way. Stock's pub/sub ends the process when 1,024 wait for one subscriber. */
const WINDOW = 8;
const EVENTS_PER_COMMIT = 1;
const HANG_MS = 20_000;

/** What both servers are asked for. */
export const QUERY = `subscription Watch($after: String) {
  sessionEvents(after: $after) { cursor id type occurredAt requestId guestId sessionId channel status }
}`;

/** One of the two servers, and its subscribers. */
export class StreamSide {
  #lastSequence = 0;
  /** The first event that everybody has heard. */
  #allSince = 0;
  sockets = 0;

  /**
   * @param {import('./helper.mjs').Helper} server
   * @param {import('./helper.mjs').Helper} clients
   */
  constructor(name, server, clients) {
    this.name = name;
    this.server = server;
    this.clients = clients;
  }

  /** Connects so many more, and writes events until each has begun to hear them. */
  async connect(count) {
    await this.clients.ask('connect', { count, query: QUERY, after: null });
    this.sockets += count;
    for (const deadline = performance.now() + HANG_MS; (await this.clients.ask('silent')) > 0; ) {
      if (performance.now() > deadline) throw new Error(`${this.name}: not every subscription began`);
      this.#lastSequence = await this.server.ask('commit', 1);
      await sleep(100);
    }
    await this.taken(this.#lastSequence, this.sockets);
    this.#allSince = this.#lastSequence;
  }

  async disconnect() {
    await this.check();
    await this.clients.ask('disconnect');
    this.sockets = 0;
  }

  /**
   * Writes events for some time, no faster than all subscribers take them.
   *
   * @param {number} seconds
   * @returns {Promise<number>} deliveries per second
   */
  async run(seconds) {
    const began = performance.now();
    const first = this.#lastSequence;
    while (performance.now() - began < seconds * 1_000) await this.commit(EVENTS_PER_COMMIT, WINDOW, this.sockets);
    await this.taken(this.#lastSequence, this.sockets);
    return ((this.#lastSequence - first) * this.sockets * 1_000) / (performance.now() - began);
  }

  /** Writes one commit, when so many subscribers have taken all but the last `window` events. */
  async commit(events, window, subscribers) {
    this.#lastSequence = await this.server.ask('commit', events);
    const sequence = this.#lastSequence - window;
    if (sequence >= this.#allSince) await this.taken(sequence, subscribers);
  }

  /** Resolves when so many subscribers have had an event. */
  async taken(sequence, count) {
    let timer;
    const hang = new Promise((_, reject) => {
      timer = setTimeout(reject, HANG_MS, new Error(`event ${sequence} did not come to ${count} subscribers`));
    });
    try {
      await Promise.race([this.clients.ask('waitFor', { sequence, count }), hang]);
    } catch (error) {
      const report = JSON.stringify(await this.clients.ask('report'));
      throw new Error(`${this.name}: ${error.message}: ${report}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  get lastSequence() {
    return this.#lastSequence;
  }

  /** @throws Error unless every subscriber had every event once */
  async check() {
    const { missed, duplicates, slowest, messages } = await this.clients.ask('report');
    if (missed === 0 && duplicates === 0 && slowest === this.#lastSequence) return;
    throw new Error(
      `${this.name}: ${missed} events missed, ${duplicates} came twice, the slowest socket is at ${slowest} of ` +
        `${this.#lastSequence} (messages: ${messages})`,
    );
  }
}
