import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

const NEXT = Buffer.from('{"id":"1","type":"next"');
const REQUEST_ID = Buffer.from('"requestId":"');
const DIGITS = 12;

/**
 * A graphql-transport-ws client with one subscription that does nothing but count: on two cores a proper one would be the
 * bottleneck. The events' request ids are their sequences; each has to be one more than the last.
 */
export class RawSubscriber {
  #tcp;
  #rest = Buffer.alloc(0);
  #lastFrame = null;
  #isOpen = false;
  /** Sequence of the last event. */
  last = null;
  missed = 0;
  duplicates = 0;
  /** What the server said that was no event, the last first; for reports of failures. */
  messages = [];
  /** @type {number | null} the code with which the server closed the socket */
  closeCode = null;
  /** @type {(sequence: number) => void} */
  #onEvent;

  constructor(tcp, onEvent) {
    this.#tcp = tcp;
    this.#onEvent = onEvent;
    tcp.setNoDelay(true);
    tcp.on('data', (chunk) => this.#read(chunk));
    tcp.on('error', () => {}); // the close follows
  }

  /**
   * @param {{ port: number, query: string, after?: string | null, onEvent: (sequence: number) => void }} options
   * @returns {Promise<RawSubscriber>} once the server has acknowledged the connection and has been sent the subscription
   */
  static async connect({ port, query, after = null, onEvent }) {
    const tcp = connect({ port, host: '127.0.0.1' });
    const subscriber = new RawSubscriber(tcp, onEvent);
    await once(tcp, 'connect');
    tcp.write(
      `GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
        'Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
    );
    await subscriber.#until(() => subscriber.#isOpen, 'the handshake');
    subscriber.#send({ type: 'connection_init' });
    await subscriber.#until(() => subscriber.messages.some(({ type }) => type === 'connection_ack'), 'the ack');
    subscriber.#send({ type: 'subscribe', id: '1', payload: { query, variables: { after } } });
    return subscriber;
  }

  /** The cursor of the last event. */
  get cursor() {
    return this.#lastFrame === null ? null : JSON.parse(String(this.#lastFrame)).payload.data.sessionEvents.cursor;
  }

  stall() {
    this.#tcp.pause();
  }

  resume() {
    this.#tcp.resume();
  }

  close() {
    this.#tcp.destroy();
  }

  async #until(condition, what) {
    for (const deadline = performance.now() + 30_000; !condition(); ) {
      if (performance.now() > deadline) throw new Error(`${what} did not come: ${JSON.stringify(this.messages)}`);
      await once(this.#tcp, 'data', { signal: AbortSignal.timeout(30_000) });
    }
  }

  #read(chunk) {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (!this.#isOpen) {
      const end = data.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.#isOpen = true;
        data = data.subarray(end + 4);
      }
    }
    let at = 0;
    while (this.#isOpen && data.length - at >= 2) {
      const short = data[at + 1] & 0x7f;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (data.length - at < head) break;
      const size = short === 126 ? data.readUInt16BE(at + 2) : short === 127 ? data.readUInt32BE(at + 6) : short;
      if (data.length - at < head + size) break;
      this.#take(data[at] & 0x0f, data.subarray(at + head, at + head + size));
      at += head + size;
    }
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : Buffer.alloc(0);
  }

  #take(opcode, payload) {
    if (opcode === 0x9) this.#frame(0xa, payload);
    else if (opcode === 0x8) this.closeCode = payload.readUInt16BE(0);
    else if (payload.compare(NEXT, 0, NEXT.length, 0, NEXT.length) === 0) this.#count(payload);
    else if (opcode === 0x1) this.messages.push(JSON.parse(String(payload)));
  }

  #count(payload) {
    const at = payload.indexOf(REQUEST_ID) + REQUEST_ID.length;
    let sequence = 0;
    for (let i = at; i < at + DIGITS; i += 1) sequence = sequence * 10 + payload[i] - 48;
    const expected = this.last === null ? sequence : this.last + 1;
    if (sequence > expected) this.missed += sequence - expected;
    if (sequence < expected) this.duplicates += 1;
    this.last = sequence;
    this.#lastFrame = payload;
    this.#onEvent(sequence);
  }

  #send(message) {
    this.#frame(0x1, Buffer.from(JSON.stringify(message)));
  }

  /** A client has to mask what it sends; with zeros nothing changes. */
  #frame(opcode, payload) {
    const head =
      payload.length < 126
        ? Buffer.from([0x80 | opcode, 0x80 | payload.length])
        : Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff]);
    this.#tcp.write(Buffer.concat([head, Buffer.alloc(4), payload]));
  }
}
