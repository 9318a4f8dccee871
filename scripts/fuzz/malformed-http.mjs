import { damaged } from './damage-bytes.mjs';
import { hostileJson, hostileString } from './hostile-values.mjs';
import { authorizationOf, ROLES } from './server-under-test.mjs';

/** @typedef {import('./random.mjs').Random} Random */

const PATHS = [
  '/graphql',
  '/',
  '/health/ready',
  '/health/live',
  '/.well-known/audit-key.json',
  '/playground',
  '/graphql/',
  '/graphql?query=%7B__typename%7D',
  '/GRAPHQL',
];
const HOSTILE_PATHS = [
  '*',
  '//',
  '/../../etc/passwd',
  '/%',
  '/%00',
  '/%ff%fe',
  '/graphql?query=%E0%A4%A',
  '/graphql?query=%7B%5B',
  '/graphql?variables=%7B&query=x',
  '/graphql?query=a&query=b',
  '/graphql?extensions=null&query=%7B__typename%7D',
  '/graphql?__proto__[a]=1',
  'http://other.example/graphql',
  '/playground/%2e%2e/main.js',
  '/playground/..%5c',
  '/graphql;a=b',
  '/graphql#a',
  '/\u00e9',
  '',
];
const METHODS = [
  'GET',
  'POST',
  'POST',
  'POST',
  'PUT',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'TRACE',
  'CONNECT',
  'PROPFIND',
  'PRI',
  'get',
  'FOO',
  'P OST',
  '',
];
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/2.0',
  'HTTP/3.0',
  'HTTP/9.9',
  'HTTP/1.11',
  'HTTP',
  'http/1.1',
  'ICE/1.0',
  '',
];
const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=utf-16',
  'application/json; charset=latin1',
  'application/json; charset="',
  'application/graphql',
  'application/graphql+json',
  'text/plain',
  'multipart/form-data',
  'multipart/form-data; boundary=a',
  'application/x-www-form-urlencoded',
  'APPLICATION/JSON',
  'json',
  '/',
  'a'.repeat(2_000),
  ';',
  '',
];
const HEADERS = [
  ['content-encoding', ['gzip', 'br', 'deflate', 'identity', 'x', 'gzip, gzip']],
  ['transfer-encoding', ['chunked', 'gzip', 'chunked, chunked', 'identity', ' chunked', 'xchunked']],
  ['content-length', ['-1', '0', '5', '1e3', '99999999999999999999', '0x10', '+1', '1, 1', 'a', '100001', '']],
  ['expect', ['100-continue', '200-ok', '']],
  [
    'accept',
    [
      '*/*',
      'text/html',
      'application/graphql-response+json',
      'multipart/mixed',
      'a'.repeat(3_000),
      ',,,',
      'q=0',
      '*/*;q=nan',
    ],
  ],
  ['accept-encoding', ['gzip', 'identity;q=0', '*;q=0', 'x'.repeat(500)]],
  ['if-modified-since', ['x', 'Thu, 01 Jan 1970 00:00:00 GMT']],
  ['range', ['bytes=0-1', 'bytes=-', 'bytes=9-1', 'x=1']],
  ['if-none-match', ['*', '"', 'W/"x"']],
  ['origin', ['null', 'https://a.example', 'x', 'https://[', 'file://']],
  ['access-control-request-method', ['POST', '']],
  ['authorization', ['Bearer', 'Bearer  ', 'Basic YTpi', 'Bearer \xff', `Bearer ${'a'.repeat(9_000)}`, 'bearer x y']],
  [
    'idempotency-key',
    ['"', '""', '"a\\', '"\\\\"', '\xff\xfe', 'a'.repeat(5_000), `"${'\\"'.repeat(2_000)}"`, ' ', '\t'],
  ],
  ['host', ['', 'a b', '[::', 'a:99999', 'x'.repeat(5_000), '<script>', 'localhost']],
  ['connection', ['close', 'keep-alive', 'upgrade', 'close, upgrade', '']],
  ['upgrade', ['websocket', 'h2c', 'x', '']],
  ['x-forwarded-for', ['127.0.0.1', 'x', '::1, 1.2.3.4', '"[::1]:1"']],
  ['apollo-require-preflight', ['1']],
  ['x-apollo-operation-name', ['a']],
  ['cookie', ['a=b', '__proto__=1', ';;;']],
  ['trailer', ['x']],
  ['te', ['trailers']],
];

/** Bodies of the right type that are wrong all the same. @param {Random} random */
const wrongBody = (random) =>
  random.pick([
    () => hostileJson(random, 5_000),
    () => `{"query":${hostileJson(random, 2_000)}}`,
    () =>
      `{"query":"{ __typename }","variables":${random.pick(['[]', '1', '"x"', 'null', '{"a":', hostileJson(random, 2_000)])}}`,
    () => `{"query":"{ __typename }","operationName":${random.pick(['1', '[]', '{}', '""', 'null', 'true'])}}`,
    () =>
      `{"query":"{ __typename }","extensions":${random.pick(['1', '[]', '"x"', 'null', '{"persistedQuery":1}', '{"persistedQuery":{}}', '{"persistedQuery":null}'])}}`,
    () =>
      random.pick([
        '',
        ' ',
        '\0',
        '\ufeff{}',
        '{',
        '}',
        '[]',
        '[{}]',
        '[null]',
        'null',
        'nul',
        '{}{}',
        '{"query"}',
        "{'query':1}",
        '{"a":1,}',
        '"',
        'NaN',
        '1e999',
        '{"__proto__":{}}',
        '{"constructor":{"prototype":{}}}',
        '{"query":"\\ud800"}',
        '{"query":"\\u0000"}',
        '{"query":""}',
        '{"query":"{"}',
      ]),
    () => '['.repeat(random.pick([100, 50_000, 99_000])),
    () => `${'['.repeat(49_000)}${']'.repeat(49_000)}`,
    () => `${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}`,
    () => `{"query":"{ __typename }","variables":${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}}`,
    () => `{"query":${JSON.stringify(hostileString(random, 2_000))}}`,
    () => `{"query":"${'a'.repeat(random.pick([99_900, 100_100, 200_000]))}"}`,
    () =>
      random.pick([
        'query={__typename}',
        '--a\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{}\r\n--a--',
        '{ __typename }',
      ]),
  ])();

const GOOD_BODIES = [
  '{"query":"{ __typename }"}',
  '{"query":"query ($f: Int!) { sessions(first: $f) { nodes { id guestId } } }","variables":{"f":2}}',
  '{"query":"mutation { createGuestSession(input: { guestId: \\"guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c\\", deviceFingerprint: \\"fp\\" }) { session { id } userErrors { code } } }"}',
  '{"query":"{ audits(first: 3, filter: { guestId: \\"x\\" }) { nodes { id } pageInfo { endCursor } } }","operationName":null}',
];

const assemble = ({ method, path, version, headers, body }) =>
  Buffer.concat([
    Buffer.from(
      `${method} ${path} ${version}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
      'latin1',
    ),
    Buffer.isBuffer(body) ? body : Buffer.from(body),
  ]);

/** A request that is good, in its parts. @param {Random} random */
function goodRequest(random) {
  const body = random.pick(GOOD_BODIES);
  return {
    method: 'POST',
    path: '/graphql',
    version: 'HTTP/1.1',
    headers: [
      ['host', '127.0.0.1'],
      ['content-type', 'application/json'],
      ['authorization', authorizationOf(random.pick(ROLES))],
      ['content-length', String(Buffer.byteLength(body))],
    ],
    body,
  };
}

const withHeader = (parts, name, value) => ({
  ...parts,
  headers: [...parts.headers.filter(([each]) => each !== name), [name, value]],
});
const withBody = (parts, body) => withHeader({ ...parts, body }, 'content-length', String(Buffer.byteLength(body)));

/** Body in chunks, well-formed or not. @param {Random} random */
function chunked(random, parts) {
  const bytes = Buffer.from(parts.body).toString('latin1');
  const size = bytes.length.toString(16);
  const body = random.pick([
    () => `${size}\r\n${bytes}\r\n0\r\n\r\n`,
    () => `${size};ext=${'x'.repeat(random.sizeUpTo(20_000))}\r\n${bytes}\r\n0\r\n\r\n`,
    () => `${size}\r\n${bytes}\r\n0\r\nx: ${'y'.repeat(random.sizeUpTo(20_000))}\r\n\r\n`,
    () => `fffffffff\r\n${bytes}`,
    () => `-1\r\n${bytes}\r\n0\r\n\r\n`,
    () => `zz\r\n${bytes}\r\n0\r\n\r\n`,
    () => `${size}\n${bytes}\n0\n\n`,
    () => `${size}\r\n${bytes}`,
    () => `${[...bytes].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`,
  ])();
  const headers = parts.headers.filter(([name]) => name !== 'content-length');
  return { ...parts, headers: [...headers, ['transfer-encoding', 'chunked']], body: Buffer.from(body, 'latin1') };
}

const KINDS = {
  garbage: (random) => Buffer.from(Array.from({ length: random.sizeUpTo(3_000) }, () => random.upTo(255))),
  'request line': (random) =>
    assemble({
      ...goodRequest(random),
      method: random.pick(METHODS),
      path: random.pick([...PATHS, ...HOSTILE_PATHS]),
      version: random.pick(VERSIONS),
    }),
  path: (random) =>
    assemble({
      ...goodRequest(random),
      method: random.pick(METHODS.slice(0, 9)),
      path: random.chance(0.2) ? `/${'a'.repeat(random.sizeUpTo(20_000))}` : random.pick([...PATHS, ...HOSTILE_PATHS]),
    }),
  'content type': (random) => assemble(withHeader(goodRequest(random), 'content-type', random.pick(TYPES))),
  headers: (random) => {
    let parts = goodRequest(random);
    for (let count = random.sizeUpTo(6); count > 0; count -= 1) {
      const [name, values] = random.pick(HEADERS);
      const header = [name, random.pick(values)];
      parts = random.chance(0.5) ? withHeader(parts, ...header) : { ...parts, headers: [...parts.headers, header] };
    }
    return assemble(parts);
  },
  'broken headers': (random) => {
    const header = random.pick([
      [' folded', 'x'],
      ['a b', 'x'],
      ['', 'x'],
      ['\0', 'x'],
      ['x', '\0'],
      ['x', '\n y'],
      ['x', '\r'],
      ['é', 'é'],
      ['__proto__', 'x'],
      ['constructor', 'x'],
      ['x', 'y'.repeat(random.sizeUpTo(30_000))],
    ]);
    const parts = goodRequest(random);
    return assemble({ ...parts, headers: [...parts.headers, ...Array(random.chance(0.2) ? 3_000 : 1).fill(header)] });
  },
  'wrong body': (random) => assemble(withBody(goodRequest(random), wrongBody(random))),
  'bytes of a body': (random) =>
    assemble(withBody(goodRequest(random), damaged(random, Buffer.from(random.pick(GOOD_BODIES))))),
  'wrong length': (random) =>
    assemble(
      withHeader(
        goodRequest(random),
        'content-length',
        String(random.pick([0, 1, 10, 1_000, 99_999, 100_000, 100_001, 2 ** 31, 2 ** 53])),
      ),
    ),
  chunks: (random) => assemble(chunked(random, goodRequest(random))),
  'damaged request': (random) => damaged(random, assemble(goodRequest(random))),
  'cut request': (random) => {
    const bytes = assemble(goodRequest(random));
    return bytes.subarray(0, random.upTo(bytes.length));
  },
  pipelined: (random) =>
    Buffer.concat(
      Array.from({ length: 2 + random.upTo(6) }, () =>
        random.chance(0.7) ? assemble(goodRequest(random)) : damaged(random, assemble(goodRequest(random))),
      ),
    ),
};

/** A message that no HTTP client would send. @param {Random} random */
export function malformedHttp(random) {
  const kind = random.pick(Object.keys(KINDS));
  return { kind: `HTTP: ${kind}`, bytes: KINDS[kind](random) };
}
