import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, bearer, RawConnection, type Server, startServer } from './server.js';

const PAGE = 'https://shop.example.com';

/** What every answer carries, whatever it is. */
const EVERYWHERE = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
};
const NO_PAGE = "default-src 'none'; frame-ancestors 'none'";

interface Sent {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'OPTIONS' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const json = { 'content-type': 'application/json' };
const query = (text: string): Sent => ({
  method: 'POST',
  path: '/graphql',
  headers: { ...json, ...bearer('OPS') },
  body: JSON.stringify({ query: text }),
});

/** One of each kind of answer: what it is, its status, who may keep it, and what is sent to get it. */
const ANSWERS: readonly (readonly [string, number, string, Sent])[] = [
  ['data', 200, 'no-store', query('{ __typename }')],
  [
    'a client token',
    200,
    'no-store',
    query(
      'mutation { createGuestSession(input: { guestId: "guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c", deviceFingerprint: "fp_1" }) { clientToken } }',
    ),
  ],
  [
    'data by GET',
    200,
    'no-store',
    { path: '/graphql?query={__typename}', headers: { 'apollo-require-preflight': '1', ...bearer('OPS') } },
  ],
  [
    'a mutation by GET',
    405,
    'no-store',
    {
      path: '/graphql?query=mutation{resumeWebhookEndpoint{revived}}',
      headers: { 'apollo-require-preflight': '1', ...bearer('OPS') },
    },
  ],
  ['what CSRF prevention refuses', 400, 'no-store', { path: '/graphql?query={__typename}', headers: bearer('OPS') }],
  ['a parse error', 400, 'no-store', query('{')],
  ['an answer to nobody', 401, 'no-store', { ...query('{ __typename }'), headers: json }],
  [
    'an answer to another origin',
    403,
    'no-store',
    {
      ...query('{ __typename }'),
      headers: { ...json, authorization: 'Bearer widget', origin: 'https://evil.example.com' },
    },
  ],
  [
    'a preflight that is granted',
    204,
    'no-store',
    { method: 'OPTIONS', path: '/graphql', headers: { origin: PAGE, 'access-control-request-method': 'POST' } },
  ],
  [
    'a preflight that is not',
    404,
    'no-store',
    {
      method: 'OPTIONS',
      path: '/graphql',
      headers: { origin: 'https://evil.example.com', 'access-control-request-method': 'POST' },
    },
  ],
  [
    'a body that is too long',
    413,
    'no-store',
    { method: 'POST', path: '/graphql', headers: json, body: 'x'.repeat(200_000) },
  ],
  ['a body that is no JSON', 400, 'no-store', { method: 'POST', path: '/graphql', headers: json, body: '{' }],
  [
    'a body of another type',
    415,
    'no-store',
    { method: 'POST', path: '/graphql', headers: { 'content-type': 'application/xml' }, body: '<a/>' },
  ],
  ['a method that it has not', 404, 'no-store', { method: 'DELETE', path: '/graphql' }],
  ['a path that is not there', 404, 'no-store', { path: '/nowhere' }],
  ['a path that cannot be decoded', 400, 'no-store', { path: '/%zz' }],
  ['the root', 200, 'no-store', { path: '/' }],
  ['the root, for a browser', 302, 'no-store', { path: '/', headers: { accept: 'text/html' } }],
  ['liveness', 200, 'no-store', { path: '/health/live' }],
  ['readiness', 200, 'no-store', { path: '/health/ready' }],
  ['the key of the audit trail', 200, 'public, max-age=3600', { path: '/.well-known/audit-key.json' }],
  ['the playground', 200, 'no-store', { path: '/playground' }],
  ['the playground, by HEAD', 200, 'no-store', { method: 'HEAD', path: '/playground' }],
  ['a file that the playground has not', 404, 'no-store', { path: '/playground/missing.js' }],
  ['a file of the playground', 200, 'public, max-age=31536000, immutable', { path: '/playground/SCRIPT' }],
];

describe('the headers of every kind of answer', () => {
  let server: Server;
  let script: string;
  beforeAll(async () => {
    const widget = { name: 'widget', role: 'GUEST', origins: [PAGE], sha256: sha256('widget') };
    const keys = JSON.stringify([...(JSON.parse(API_KEYS) as object[]), widget]);
    server = await startServer({ API_KEYS: keys, PLAYGROUND: 'on' });
    const page = await (await fetch(`${server.url}/playground`)).text();
    script = /styles\.\w+\.js/.exec(page)![0];
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function answerTo({ method = 'GET', path, headers = {}, body }: Sent) {
    const url = server.url + path.replace('SCRIPT', script);
    const response = await request(url, { method, headers, body: body ?? null });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  }

  it.each(ANSWERS)('protect %s (%i)', async (_what, status, cacheControl, sent) => {
    const answer = await answerTo(sent);

    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({ ...EVERYWHERE, 'cache-control': cacheControl });
    const policy = String(answer.headers['content-security-policy']);
    if (sent.path.startsWith('/playground')) expect(policy).toContain("default-src 'none'; script-src 'self';");
    else expect(policy).toBe(NO_PAGE);
    expect(policy).not.toMatch(/unsafe|\*/);
    for (const name of ['server', 'x-powered-by', 'set-cookie']) expect(answer.headers).not.toHaveProperty(name);
    // Named, or nobody: never all, and never with what a browser sends by itself.
    expect(answer.headers['access-control-allow-origin']).toBe(sent.headers?.origin === PAGE ? PAGE : undefined);
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
  });

  it.each([
    [417, 'GET / HTTP/1.1\nHost: localhost\nExpect: tea\nConnection: close\n\n'],
    [431, `GET / HTTP/1.1\nHost: localhost\nX-Long: ${'x'.repeat(20_000)}\n\n`],
    [400, 'This is no HTTP.\n\n'],
  ])('are those of %i where no request could be read', async (status, sent) => {
    const connection = await RawConnection.open(server.url);
    connection.write(sent);
    await connection.closes();

    const [head = '', body = ''] = connection.received.split('\r\n\r\n');
    const [first, ...lines] = head.split('\r\n');
    const headers = Object.fromEntries(lines.map((line) => line.split(': ')));
    expect(first).toMatch(`HTTP/1.1 ${status} `);
    expect(headers).toMatchObject({ ...EVERYWHERE, 'content-security-policy': NO_PAGE, 'cache-control': 'no-store' });
    if (status !== 417) expect(JSON.parse(body)).toEqual({ error: STATUS_CODES[status] });
  });

  it('do not repeat what was asked for as markup', async () => {
    const { headers, text } = await answerTo({ path: '/%3Cscript%3Ealert(1)%3C/script%3E' });

    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(text).not.toContain('<script>');
  });
});
