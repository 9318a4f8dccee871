import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';

/** What a check has got. */
interface Answer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  readonly json: any;
}
type Ask = (sent: {
  readonly method?: 'GET' | 'POST';
  readonly path?: string;
  readonly type?: string;
  readonly body?: string;
  readonly accept?: string;
}) => Promise<Answer>;

const json = (body: unknown) => ({ type: 'application/json', body: JSON.stringify(body) });
const query = (text: string) => json({ query: text, operationName: 'cop' });
const urlEncoded = (text: string) => new URLSearchParams({ query: text }).toString();
const errorsOf = ({ json: answer }: Answer): { message: string }[] => answer?.errors ?? [];

/** The checks of graphql-cop 1.x (https://github.com/dolevf/graphql-cop), by its names, and with what each takes for a finding. */
const CHECKS: readonly [name: string, finds: (ask: Ask) => Promise<boolean>][] = [
  [
    'Alias Overloading',
    async (ask) => {
      const aliases = Array.from({ length: 101 }, (_, index) => `alias${index}:__typename`).join(' ');
      return (await ask(query(`query cop { ${aliases} }`))).json?.data?.alias100 !== undefined;
    },
  ],
  [
    'Array-based Query Batching',
    async (ask) => {
      const { json: answer } = await ask(
        json(Array.from({ length: 10 }, () => ({ query: 'query cop { __typename }' }))),
      );
      return Array.isArray(answer) && answer.length >= 10;
    },
  ],
  [
    'Directive Overloading',
    // As many errors as directives, or more: each was looked at.
    async (ask) => errorsOf(await ask(query(`query cop { __typename ${'@aa'.repeat(10)} }`))).length >= 10,
  ],
  [
    'Introspection-based Circular Query',
    async (ask) => {
      const circle =
        'query cop { __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } } }';
      return (await ask(query(circle))).json?.data?.__schema !== undefined;
    },
  ],
  [
    'Field Duplication',
    async (ask) =>
      (await ask(query(`query cop { ${'__typename '.repeat(500)} }`))).json?.data?.__typename !== undefined,
  ],
  [
    'Introspection',
    async (ask) =>
      (await ask(query('query cop { __schema { types { name fields { name } } } }'))).json?.data?.__schema !==
      undefined,
  ],
  [
    'Field Suggestions',
    async (ask) => {
      const answers = [
        await ask(query('query cop { __schema { directive } }')),
        await ask(query('query cop { sesion { id } }')),
      ];
      return answers.some(({ text }) => /did you mean/i.test(text));
    },
  ],
  [
    'GraphQL IDE',
    async (ask) => {
      const pages = ['/', '/graphql', '/graphiql', '/playground', '/console'].map((path) =>
        ask({ method: 'GET', path, accept: 'text/html' }),
      );
      return (await Promise.all(pages)).some(
        ({ status, text }) => status === 200 && /graphiql|graphql.playground/i.test(text),
      );
    },
  ],
  [
    'GET Method Query Support',
    async (ask) => {
      const path = `/graphql?${urlEncoded('query cop { __typename }')}`;
      return (await ask({ method: 'GET', path })).json?.data?.__typename !== undefined;
    },
  ],
  [
    'Mutation is allowed over GET',
    async (ask) => {
      const path = `/graphql?${urlEncoded('mutation cop { __typename }')}`;
      return (await ask({ method: 'GET', path })).json?.data?.__typename !== undefined;
    },
  ],
  [
    'POST based url-encoded query (possible CSRF)',
    async (ask) => {
      const body = urlEncoded('query cop { __typename }');
      return (await ask({ type: 'application/x-www-form-urlencoded', body })).json?.data?.__typename !== undefined;
    },
  ],
  [
    'Trace Mode',
    async (ask) => /"(tracing|debug|stacktrace)"/.test((await ask(query('query cop { __typename }'))).text),
  ],
  [
    'Unhandled Errors Detection',
    async (ask) => /"exception"|stacktrace/.test((await ask(query('qwerty cop { abc }'))).text),
  ],
];

const askerOf =
  ({ url }: Server, headers: Record<string, string> = {}): Ask =>
  async ({ method = 'POST', path = '/graphql', type, body, accept = '*/*' }) => {
    const response = await request(url + path, {
      method,
      headers: { ...headers, accept, ...(type !== undefined && { 'content-type': type }) },
      body: body ?? null,
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).includes('json');
    return { status: response.statusCode, text, json: isJson ? JSON.parse(text) : null };
  };

describe.each<[string, Record<string, string>]>([
  ['an anonymous caller', {}],
  ['a GUEST key', bearer('GUEST')],
])('the checks of graphql-cop, with %s', (_who, headers) => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ API_KEYS });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(CHECKS)('find nothing: %s', async (_name, finds) => {
    expect(await finds(askerOf(server, headers))).toBe(false);
  });
});

it('the checks of graphql-cop find what there is to find: without keys, suggestions, introspection and an IDE', async () => {
  await using server = await startServer();
  const found = [];
  for (const [name, finds] of CHECKS) if (await finds(askerOf(server))) found.push(name);

  expect(found).toEqual(['Introspection', 'Field Suggestions', 'GraphQL IDE']);
});
