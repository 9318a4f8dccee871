import { getIntrospectionQuery } from 'graphql';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../http/server.js';
import { inputFor } from '../support/network.js';

describe('GraphQL over HTTP', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Not fetch: that one sets a content type by itself. */
  async function send(method: 'GET' | 'POST', path: string, headers: Record<string, string>, body?: string) {
    const response = await request(server.url + path, { method, headers, body: body ?? null });
    const text = await response.body.text();
    const type = String(response.headers['content-type'] ?? '');
    // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
    const json: any = type.includes('json') ? JSON.parse(text) : null;
    return { status: response.statusCode, headers: response.headers, text, json };
  }
  const get = (query: string, headers: Record<string, string> = {}) =>
    send('GET', `/graphql?${new URLSearchParams({ query })}`, headers);
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    send(
      'POST',
      '/graphql',
      { 'content-type': 'application/json', ...headers },
      typeof body === 'string' ? body : JSON.stringify(body),
    );
  const creates = () => server.app.engine.sandbox.cxone!.count('create');
  const preflight = { 'apollo-require-preflight': 'true' };

  it('answers a query by POST', async () => {
    const { status, headers, json } = await post({ query: 'query Name { __typename }', operationName: 'Name' });

    expect([status, json]).toEqual([200, { data: { __typename: 'Query' } }]);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(headers['cache-control']).toBe('no-store');
  });

  it('answers in the newer media type to those who ask for it', async () => {
    const { headers } = await post({ query: '{ __typename }' }, { accept: 'application/graphql-response+json' });

    expect(headers['content-type']).toMatch(/^application\/graphql-response\+json/);
  });

  it('answers a query by GET to a program, and not to a page that has not asked', async () => {
    expect(await get('{ __typename }', preflight)).toMatchObject({ status: 200, json: { data: expect.anything() } });
    expect(await get('{ __typename }')).toMatchObject({ status: 400, text: expect.stringContaining('CSRF') });
  });

  it('refuses a mutation by GET', async () => {
    const before = creates();
    const { guestId, deviceFingerprint } = inputFor();
    const { status, headers } = await get(
      `mutation { createGuestSession(input: { guestId: "${guestId}", deviceFingerprint: "${deviceFingerprint}" }) { requestId } }`,
      preflight,
    );

    expect([status, headers.allow]).toEqual([405, 'POST']);
    expect(creates()).toBe(before);
  });

  it.each([
    ['text/plain', 400],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['', 415],
  ])('refuses a POST of type "%s", which any page may send', async (type, expected) => {
    const before = creates();
    const input = inputFor();
    const body = JSON.stringify({
      query: 'mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { requestId } }',
      variables: { input },
    });
    const { status, json } = await send('POST', '/graphql', type === '' ? {} : { 'content-type': type }, body);

    expect(status).toBe(expected);
    expect(json?.data).toBeUndefined();
    expect(creates()).toBe(before);
  });

  it('refuses several operations in one request', async () => {
    const { status, json } = await post([{ query: '{ __typename }' }, { query: '{ __typename }' }]);

    expect(status).toBe(400);
    expect(json.errors[0].extensions.code).toBe('BAD_REQUEST');
  });

  it.each([
    ['no JSON', '{', 400],
    ['JSON that is no object', '"x"', 400],
    ['no query', '{}', 400],
    ['an empty query', '{"query":""}', 400],
    ['a query that is no text', '{"query":1}', 400],
    ['variables that are no object', '{"query":"{ __typename }","variables":"x"}', 400],
    ['nothing', '', 400],
  ])('answers a body with %s by status 400', async (_what, body, expected) => {
    const { status, json } = await post(body);

    expect(status).toBe(expected);
    expect(json).not.toBeNull();
  });

  it.each([
    ['{ sessions {', 'GRAPHQL_PARSE_FAILED'],
    ['{ nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    ['{ sessions(first: "x") { nodes { id } } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['subscription { sessionEvents { id } }', 'BAD_USER_INPUT'],
    ['query A { __typename } query B { __typename }', 'GRAPHQL_VALIDATION_FAILED'],
  ])('answers the document %s by status 400', async (query, code) => {
    const { status, json } = await post({ query });

    expect(status).toBe(400);
    expect(json.errors[0].extensions.code).toBe(code);
    expect(json.errors[0].extensions.stacktrace).toBeUndefined();
  });

  it.each([
    [{ from: 'yesterday' }, 'DateTime'],
    [{ from: 5.5 }, 'DateTime'],
    [{ colour: 'red' }, 'colour'],
    [{ status: 'GONE' }, 'SessionStatus'],
    [{ guestId: 7 }, 'String'],
  ])('answers the variable %j by status 400, and says what is wrong with it', async (filter, named) => {
    const query = 'query ($filter: SessionFilter) { sessions(filter: $filter) { nodes { id } } }';
    const { status, json } = await post({ query, variables: { filter } });

    expect(status).toBe(400);
    expect(json.errors).toMatchObject([
      { message: expect.stringContaining(named), extensions: { code: 'BAD_USER_INPUT' } },
    ]);
  });

  it('refuses a document of more than 1,000 tokens before it is looked at', async () => {
    const { status, json } = await post({ query: `{ ${'__typename '.repeat(1_001)} }` });

    expect(status).toBe(400);
    expect(json.errors).toMatchObject([
      { message: expect.stringContaining('1000 tokens'), extensions: { code: 'GRAPHQL_PARSE_FAILED' } },
    ]);
  });

  describe('asked in circles', () => {
    /** A session, its events, their session, its events, … to a number of levels. */
    const circle = (levels: number): string => {
      const inside = levels <= 1 ? 'id' : circle(levels - 1);
      return levels % 2 === 0 ? `events { ${inside} }` : levels <= 1 ? inside : `session { ${inside} }`;
    };
    const create = (selection: string) => {
      const { guestId, deviceFingerprint } = inputFor();
      return `mutation { createGuestSession(input: { guestId: "${guestId}", deviceFingerprint: "${deviceFingerprint}" }) { session { ${selection} } } }`;
    };

    it('refuses: each round multiplies the answer, and a public key would be enough', async () => {
      const before = creates();
      const { status, json } = await post({ query: create(circle(20)) });

      expect(status).toBe(400);
      expect(json.errors).toMatchObject([
        { message: expect.stringContaining('deep'), extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
      ]);
      expect(creates()).toBe(before);
    });

    it('sees through fragments', async () => {
      const query = `${create('...A')}
        fragment A on GuestSession { events { session { ...B } } }
        fragment B on GuestSession { events { session { ... on GuestSession { ...C } } } }
        fragment C on GuestSession { events { session { events { session { events { id } } } } } }`;

      expect(await post({ query })).toMatchObject({
        status: 400,
        json: { errors: [{ message: expect.stringContaining('deep') }] },
      });
    });

    it('is not caught in circles itself', async () => {
      const query = `${create('...A')}
        fragment A on GuestSession { events { session { ...B } } }
        fragment B on GuestSession { events { session { ...A } } }`;

      const { status, json } = await post({ query });
      expect(status).toBe(400);
      expect(json.errors).toMatchObject([{ message: expect.stringMatching(/within itself/) }]);
    });

    it('answers what a page needs, and the introspection of tools', async () => {
      const deep = '{ sessions { edges { node { events { session { audits { sequence } events { id } } } } } } }';

      expect((await post({ query: deep })).json.errors).toBeUndefined();
      const introspection = await post({ query: getIntrospectionQuery({ inputValueDeprecation: true }) });
      expect(introspection.json.errors).toBeUndefined();
      expect(introspection.json.data.__schema.types.length).toBeGreaterThan(20);
    });
  });
});
