import { createHash } from 'node:crypto';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { inputFor, OPEN } from '../support/network.js';

const SHOP = 'https://shop.example.com';
const PORTAL = 'https://portal.example.com:8443';
const EVIL = 'https://evil.example.com';

const entry = (key: string, role: string, origins?: string[]) => ({
  name: `the ${key} key`,
  role,
  sha256: createHash('sha256').update(key).digest('hex'),
  ...(origins && { origins }),
});
const API_KEYS = JSON.stringify([
  entry('shop', 'GUEST', [SHOP]),
  entry('portal', 'CRM', [PORTAL, 'http://127.0.0.1:1']),
  entry('backend', 'BACKEND'),
  entry('ops', 'OPS'),
]);

let server: Server;
beforeAll(async () => {
  server = await startServer({ API_KEYS });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Sends what a page of this origin would send; not by fetch, which would write the header itself. */
async function ask(key: string, origin: string | undefined, query: string, variables?: object) {
  const { statusCode, headers, body } = await request(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...(origin && { origin }) },
    body: JSON.stringify({ query, variables }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  return { status: statusCode, headers, answer: (await body.json()) as any };
}

const preflight = (origin: string, path = '/graphql') =>
  request(server.url + path, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
  });
/** What lets the page read an answer. */
const READABLE = { 'access-control-allow-origin': SHOP, 'access-control-expose-headers': 'retry-after' };
const corsOf = (headers: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')));

/** Why somebody was turned away is in the trail. */
const isAudited = (actor: string, reason: string) =>
  eventually(async () => {
    const query = '{ audits(first: 100, filter: { kind: ACCESS_REFUSED }) { nodes { actor reason } } }';
    const { answer } = await ask('ops', undefined, query);
    return answer.data.audits.nodes.some(
      (entry: object) => JSON.stringify(entry) === JSON.stringify({ actor, reason }),
    );
  });

describe('a page of an origin that a key names', () => {
  it('is told before it asks that it may, with which headers, and without credentials', async () => {
    const { statusCode, headers, body } = await preflight(SHOP);

    expect([statusCode, await body.text()]).toEqual([204, '']);
    expect(corsOf(headers)).toEqual({
      'access-control-allow-origin': SHOP,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization, content-type, idempotency-key, apollo-require-preflight',
      'access-control-max-age': '600',
    });
    expect(headers.vary).toBe('Origin');
  });

  it('opens a session with that key, and may read the answer', async () => {
    const { status, headers, answer } = await ask('shop', SHOP, OPEN, { input: inputFor() });

    expect([status, answer.data.createGuestSession.session.status]).toEqual([200, 'ACTIVE']);
    expect(corsOf(headers)).toEqual(READABLE);
    expect(headers.vary).toBe('Origin');
  });

  it('may read also why it is refused: without a key, and before GraphQL sees the request', async () => {
    const { status, headers } = await ask('nonsense', SHOP, '{ __typename }');
    expect([status, corsOf(headers)]).toEqual([401, READABLE]);

    const tooLarge = await ask('shop', SHOP, `{ ${'x'.repeat(110_000)} }`);
    expect([tooLarge.status, corsOf(tooLarge.headers)]).toEqual([413, READABLE]);
  });

  it('may not use the key of other pages: 403, which is in the trail', async () => {
    const { status, answer } = await ask('shop', PORTAL, OPEN, { input: inputFor() });

    expect([status, answer.errors[0].extensions, answer.data]).toEqual([403, { code: 'FORBIDDEN' }, undefined]);
    await isAudited('the shop key', `the origin ${PORTAL} is not one of the key's`);
  });

  it.each(['/', '/playground/', '/health/ready', '/.well-known/audit-key.json'])('may not ask at %s', async (path) => {
    const { headers, body } = await preflight(SHOP, path);
    await body.dump();
    expect(corsOf(headers)).toEqual({});
    const got = await request(server.url + path, { headers: { origin: SHOP } });
    await got.body.dump();
    expect(corsOf(got.headers)).toEqual({});
  });
});

describe('any other page', () => {
  it.each([
    EVIL,
    'null',
    '*',
    'http://shop.example.com',
    `${SHOP}:8443`,
    `${SHOP}.evil.com`,
    `${SHOP}/`,
    `${SHOP}, ${PORTAL}`,
  ])('as of %s is granted no preflight, and may read no answer', async (origin) => {
    const { statusCode, headers, body } = await preflight(origin);
    await body.dump();
    expect([statusCode, corsOf(headers), headers.vary]).toEqual([404, {}, 'Origin']);

    const refused = await ask('shop', origin, OPEN, { input: inputFor() });
    expect([refused.status, refused.answer.errors[0].extensions.code]).toEqual([403, 'FORBIDDEN']);
    expect(corsOf(refused.headers)).toEqual({});
    // A key that is for programs is not a page's to have, whatever the program sends.
    const { status, headers: theirs } = await ask('backend', origin, '{ __typename }');
    expect([status, corsOf(theirs)]).toEqual([200, {}]);
  });
});

it('a key of pages without an origin is a copy in a program: 403, which is in the trail', async () => {
  const { status, answer } = await ask('shop', undefined, OPEN, { input: inputFor() });
  expect([status, answer.errors[0].extensions.code]).toEqual([403, 'FORBIDDEN']);

  const url = `${server.url}/graphql?query={__typename}`;
  const headers = { authorization: 'Bearer shop', 'apollo-require-preflight': 'true', 'sec-fetch-site': 'same-origin' };
  const got = await request(url, { headers });
  await got.body.dump();
  expect(got.statusCode).toBe(403);
  await isAudited('the shop key', 'the key is for web pages, and no origin was sent');
});

describe('a socket', () => {
  it.each([EVIL, 'null', `${SHOP}.evil.com`, `${SHOP}:8443`, 'http://127.0.0.1:2'])(
    'of a page of %s is refused at the upgrade, whatever key it would present, which is in the trail',
    async (origin) => {
      expect((await openWithKey(server.url, 'ops', origin)).refused).toBe(403);
      await isAudited('anonymous', 'a socket for a page whose origin is not one of any key');
    },
  );

  it('of a page that the key names is let in', async () => {
    expect(await openWithKey(server.url, 'portal', PORTAL)).toMatchObject({ refused: null, isAcknowledged: true });
    expect(await openWithKey(server.url, 'portal', 'http://127.0.0.1:1')).toMatchObject({ isAcknowledged: true });
  });

  it.each([
    ['a page that another key names', SHOP, `the origin ${SHOP} is not one of the key's`],
    ['no page', undefined, 'the key is for web pages, and no origin was sent'],
  ])('of %s is closed when it presents the key', async (_what, origin, reason) => {
    expect(await openWithKey(server.url, 'portal', origin)).toMatchObject({ refused: null, code: 4403 });
    await isAudited('the portal key', reason);
  });

  it("of the server's own page is let in with a key that names no page, and not with one that names others", async () => {
    expect(await openWithKey(server.url, 'ops', server.url)).toMatchObject({ isAcknowledged: true });
    expect(await openWithKey(server.url, 'portal', server.url)).toMatchObject({ code: 4403 });
  });

  it('of a program is let in with a key that names no page', async () => {
    expect(await openWithKey(server.url, 'ops')).toMatchObject({ isAcknowledged: true });
  });
});
