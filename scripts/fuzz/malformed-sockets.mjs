import { damaged } from './damage-bytes.mjs';
import { hostileJson, hostileString } from './hostile-values.mjs';
import { authorizationOf, ROLES } from './server-under-test.mjs';

/** @typedef {import('./random.mjs').Random} Random */

/** A handshake, with headers in place of its own. */
function handshake(headers = {}, line = 'GET /graphql HTTP/1.1') {
  const all = {
    host: '127.0.0.1',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': 'graphql-transport-ws',
    ...headers,
  };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${line}\r\n${lines.join('')}\r\n`, 'latin1');
}

const BAD_HANDSHAKES = [
  { 'sec-websocket-version': '12' },
  { 'sec-websocket-version': '' },
  { 'sec-websocket-key': 'short' },
  { 'sec-websocket-key': null },
  { 'sec-websocket-protocol': null },
  { 'sec-websocket-protocol': 'graphql-ws' },
  { 'sec-websocket-protocol': ',' },
  { 'sec-websocket-protocol': 'a, a' },
  { 'sec-websocket-protocol': 'x'.repeat(9_000) },
  { 'sec-websocket-extensions': 'permessage-deflate' },
  { 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits=99' },
  { 'sec-websocket-extensions': ';;=' },
  { upgrade: 'h2c' },
  { upgrade: 'websocket, websocket' },
  { connection: 'close' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
  { origin: 'https://[' },
  { host: '' },
  { host: '<' },
  { 'content-length': '5' },
  { 'transfer-encoding': 'chunked' },
  { expect: '100-continue' },
];
const LINES = [
  'POST /graphql HTTP/1.1',
  'GET / HTTP/1.1',
  'GET /graphql/ HTTP/1.1',
  'GET /graphql?a=%ff HTTP/1.1',
  'GET * HTTP/1.1',
  'GET /graphql HTTP/1.0',
  'CONNECT /graphql HTTP/1.1',
  'GET //graphql HTTP/1.1',
];

/** A frame of a client; what is left out is as it should be. RFC 6455 §5.2. */
function frame(payload, { first = 0x81, isMasked = true, length = payload.length, form = null } = {}) {
  const size = form ?? (length < 126 ? 7 : length < 65_536 ? 16 : 64);
  const mask = isMasked ? 0x80 : 0;
  const head = Buffer.alloc(size === 7 ? 2 : size === 16 ? 4 : 10);
  head[0] = first;
  if (size === 7) head[1] = mask | (length & 0x7f);
  else if (size === 16) {
    head[1] = mask | 126;
    head.writeUInt16BE(length & 0xffff, 2);
  } else {
    head[1] = mask | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  const key = Buffer.from([1, 2, 3, 4]);
  const body = isMasked
    ? Buffer.concat([key, Buffer.from(payload.map((byte, index) => byte ^ key[index % 4]))])
    : payload;
  return Buffer.concat([head, body]);
}

const text = (message) => frame(Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)));
const init = (random) =>
  text({ type: 'connection_init', payload: { authorization: authorizationOf(random.pick(ROLES)) } });
const subscribe = (id, payload = { query: 'subscription { sessionEvents { id type } }' }) =>
  text({ id, type: 'subscribe', payload });

/** Messages of the protocol, each good by itself or nearly so. */
const MESSAGES = [
  (random) => init(random),
  () => text({ type: 'connection_init' }),
  (random) => text(`{"type":"connection_init","payload":${hostileJson(random, 2_000)}}`),
  (random) =>
    text({ type: 'connection_init', payload: { authorization: random.pick([1, null, [], {}, 'x'.repeat(50_000)]) } }),
  () => subscribe('a'),
  () => subscribe('a', { query: 'subscription { sessionEvents(after: "ZXZlbnQ6MA") { id session { id } } }' }),
  () => subscribe('b', { query: '{ __typename }' }),
  (random) => subscribe(random.pick(['', '__proto__', 'constructor', 'x'.repeat(20_000)])),
  (random) => subscribe('c', { query: hostileString(random, 2_000) }),
  (random) => text(`{"id":"d","type":"subscribe","payload":${hostileJson(random, 3_000)}}`),
  (random) =>
    text(
      `{"id":"e","type":"subscribe","payload":{"query":"subscription ($t: [SessionEventType!], $a: String) { sessionEvents(types: $t, after: $a) { id } }","variables":${hostileJson(random, 3_000)}}}`,
    ),
  (random) =>
    text(
      `{"id":"f","type":"subscribe","payload":{"query":"subscription { sessionEvents { id } }","operationName":${hostileJson(random, 200)},"extensions":${hostileJson(random, 200)}}}`,
    ),
  (random) => text(`{"id":${hostileJson(random, 200)},"type":"subscribe","payload":{"query":"{ __typename }"}}`),
  (random) =>
    text(
      `{"id":"a","type":${random.pick(['"next"', '"error"', '"connection_ack"', '"complete"', '"stop"', '"start"', '""', '1', 'null', '"__proto__"', '"ping"', '"pong"'])},"payload":${hostileJson(random, 500)}}`,
    ),
  () => text({ id: 'a', type: 'complete' }),
  () => text({ type: 'ping', payload: {} }),
  () => text({ type: 'pong' }),
  (random) => text(hostileJson(random, 20_000)),
  (random) => text(hostileString(random, 20_000)),
  () => text(`${'['.repeat(45_000)}${']'.repeat(45_000)}`),
];

/** Frames that are wrong, whatever is in them. */
const FRAMES = [
  (random) => frame(Buffer.from('{"type":"ping"}'), { first: random.upTo(255) }),
  () => frame(Buffer.from('{"type":"ping"}'), { isMasked: false }),
  (random) => frame(Buffer.from('{}'), { first: 0x80 | random.pick([0, 2, 3, 7, 8, 9, 10, 11, 15]) }),
  () => frame(Buffer.from([0xff, 0xfe, 0xc0, 0x80])),
  () => frame(Buffer.from([0xed, 0xa0, 0x80])),
  (random) => frame(Buffer.from('{}'), { length: random.pick([1, 125, 1_000, 65_535]) }),
  (random) =>
    frame(Buffer.from('{}'), {
      form: 64,
      length: random.pick([2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER, 50_000_000]),
    }),
  () => frame(Buffer.from('{}'), { form: 16 }),
  () => frame(Buffer.alloc(126), { first: 0x89 }),
  (random) => frame(Buffer.from([random.pick([0, 3, 255]), random.upTo(255), 0xff, 0xfe]), { first: 0x88 }),
  () => frame(Buffer.from([1]), { first: 0x88 }),
  () => Buffer.concat([frame(Buffer.from('{"type":'), { first: 0x01 }), frame(Buffer.from('x'), { first: 0x81 })]),
  () =>
    Buffer.concat([frame(Buffer.from('{"type":'), { first: 0x01 }), frame(Buffer.from('"ping"}'), { first: 0x80 })]),
  () => frame(Buffer.from('x'), { first: 0x80 }),
  () =>
    Buffer.concat(
      Array(300)
        .fill(frame(Buffer.alloc(0), { first: 0x01 }))
        .map((one, index) => (index === 0 ? one : frame(Buffer.alloc(0), { first: 0x00 }))),
    ),
  () => Buffer.concat(Array(200).fill(frame(Buffer.from('x'), { first: 0x89 }))),
  () => frame(Buffer.alloc(100_001, 0x61)),
  (random) => Buffer.from(Array.from({ length: random.sizeUpTo(500) }, () => random.upTo(255))),
];

const several = (random, most, makers) =>
  Array.from({ length: random.sizeUpTo(most) }, () => random.pick(makers)(random));

const KINDS = {
  handshake: (random) => [
    handshake(random.pick(BAD_HANDSHAKES), random.chance(0.3) ? random.pick(LINES) : undefined),
    init(random),
  ],
  'damaged handshake': (random) => [damaged(random, handshake()), init(random)],
  'messages in any order': (random) => [handshake(), ...several(random, 8, MESSAGES)],
  'messages after init': (random) => [handshake(), init(random), ...several(random, 8, MESSAGES)],
  'duplicate ids': (random) => [
    handshake(),
    init(random),
    ...Array(1 + random.sizeUpTo(200)).fill(subscribe(random.pick(['a', 'b']))),
  ],
  frames: (random) => [handshake(), init(random), ...several(random, 4, FRAMES)],
  'damaged frames': (random) => [
    handshake(),
    damaged(random, Buffer.concat([init(random), ...several(random, 4, MESSAGES)])),
  ],
};

/** What no WebSocket client, or no client of graphql-transport-ws, would send. @param {Random} random */
export function malformedSocket(random) {
  const kind = random.pick(Object.keys(KINDS));
  return { kind: `socket: ${kind}`, bytes: Buffer.concat(KINDS[kind](random)) };
}
