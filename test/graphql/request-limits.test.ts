import { getIntrospectionQuery } from 'graphql';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { operations } from '../../scripts/playground/operations.mjs';
import { type Server, startServer } from '../http/server.js';
import { inputFor, OPEN } from '../support/network.js';

/** The same documents are sent as queries and as subscriptions. */
interface Way {
  readonly kind: 'query' | 'subscription';
  readonly root: 'Query' | 'Subscription';
  /** A field of the root that gives one object. */
  readonly field: string;
  readonly type: 'GuestSession' | 'SessionEvent';
}
const HTTP: Way = { kind: 'query', root: 'Query', field: 'session(id: "none")', type: 'GuestSession' };
const SOCKET: Way = {
  kind: 'subscription',
  root: 'Subscription',
  field: 'sessionEvents(after: "ZXZlbnQ6MA")', // from the beginning
  type: 'SessionEvent',
};

const repeat = (count: number, part: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => part(index)).join(' ');

/** A session, its events, their session, … for so many levels. */
const circle = (type: Way['type'], levels: number): string => {
  if (levels === 1) return 'id';
  return type === 'SessionEvent'
    ? `session { ${circle('GuestSession', levels - 1)} }`
    : `events { ${circle('SessionEvent', levels - 1)} }`;
};

const FIELDS = ['id', 'requestId', 'guestId', 'crmId', 'channel', 'status', 'sessionId', 'expiresAt', '__typename'];
const inside = ({ kind, field }: Way, selection: string) => `${kind} Asked { ${field} { ${selection} } }`;

/** What is limited, the setting, its default, and a document that asks for so much of it. */
const CASES: readonly [what: string, setting: string, limit: number, asking: (n: number, way: Way) => string][] = [
  ['levels', 'MAX_QUERY_DEPTH', 10, (n, way) => inside(way, circle(way.type, n - 1))],
  [
    'levels behind fragments',
    'MAX_QUERY_DEPTH',
    10,
    (n, way) => `${way.kind} Asked { ...A } fragment A on ${way.root} { ${way.field} { ... on ${way.type} { ...B } } }
      fragment B on ${way.type} { ${circle(way.type, n - 1)} }`,
  ],
  [
    'aliases',
    'MAX_QUERY_ALIASES',
    15,
    (n, way) =>
      inside(
        way,
        repeat(n, (index) => `a${index}: id`),
      ),
  ],
  [
    'aliases in a fragment that is spread thrice',
    'MAX_QUERY_ALIASES',
    15,
    (n, way) => `${inside(way, `...A ...B ...C ${n > 15 ? 'another: id' : ''}`)}
      fragment A on ${way.type} { ...D } fragment B on ${way.type} { ...D } fragment C on ${way.type} { ...D }
      fragment D on ${way.type} { ${repeat(5, (index) => `a${index}: id`)} }`,
  ],
  [
    'repetitions of a field',
    'MAX_QUERY_ALIASES',
    15,
    (n, way) =>
      inside(
        way,
        repeat(n + 1, () => 'id'),
      ),
  ],
  [
    'repetitions of a fragment',
    'MAX_QUERY_ALIASES',
    15,
    (n, way) =>
      `${inside(
        way,
        repeat(n + 1, () => '...A'),
      )} fragment A on ${way.type} { id }`,
  ],
  [
    'repetitions behind fragments without a name',
    'MAX_QUERY_ALIASES',
    15,
    (n, way) =>
      inside(
        way,
        repeat(n + 1, () => '... { id }'),
      ),
  ],
  ['directives on one field', 'MAX_QUERY_DIRECTIVES', 8, (n, way) => inside(way, `id ${repeat(n, () => '@unknown')}`)],
  [
    'directives here and there',
    'MAX_QUERY_DIRECTIVES',
    8,
    (n, way) =>
      inside(
        way,
        repeat(n, (index) => `${FIELDS[index]} @include(if: true)`),
      ),
  ],
  [
    'fragments',
    'MAX_QUERY_FRAGMENTS',
    20,
    (
      n,
      way,
    ) => `${inside(way, '...F0')} ${repeat(n - 1, (index) => `fragment F${index} on ${way.type} { ...F${index + 1} }`)}
      fragment F${n - 1} on ${way.type} { id }`,
  ],
  ['lines', 'MAX_QUERY_TOKENS', 1_000, (n, way) => '\n'.repeat(n - 1) + inside(way, 'id')],
  [
    'operations',
    'MAX_QUERY_OPERATIONS',
    1,
    (n, way) => `${inside(way, 'id')} ${repeat(n - 1, (index) => `query Other${index} { __typename }`)}`,
  ],
];

type Errors = readonly { readonly message: string; readonly extensions?: object }[];

describe('one request', () => {
  let server: Server;
  beforeAll(async () => {
    // To go ten levels deep through lists costs more.
    server = await startServer({ MAX_QUERY_COST: '1000000' });
    await server.graphql(OPEN, { input: inputFor() });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const overHttp = async (query: string, variables?: Record<string, unknown>): Promise<Errors> =>
    (await server.graphql(query, variables)).errors ?? [];

  /** The errors that a subscription is refused with; none when an event comes. */
  async function overSocket(query: string, variables?: Record<string, unknown>): Promise<Errors> {
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
    const errors = await new Promise<Errors>((resolve) => {
      const hears = { next: () => resolve([]), complete: () => resolve([]) };
      client.subscribe(
        { query, variables, operationName: 'Asked' },
        { ...hears, error: (error) => resolve(error as Errors) },
      );
    });
    await client.dispose();
    return errors;
  }

  describe.each([
    ['HTTP', HTTP, overHttp],
    ['a socket', SOCKET, overSocket],
  ] as const)('over %s', (_name, way, ask) => {
    it.each(CASES)(
      'may have so many %s as %s says, %i by default, and not one more',
      async (...[, setting, limit, asking]) => {
        expect(await ask(asking(limit, way))).not.toContainEqual(
          expect.objectContaining({ extensions: expect.objectContaining({ limit: expect.anything() }) }),
        );
        expect(await ask(asking(limit + 1, way))).toEqual([
          {
            message: expect.stringMatching(/^The request asks for too much: /),
            locations: expect.anything(),
            extensions: { code: 'GRAPHQL_VALIDATION_FAILED', limit: setting },
          },
        ]);
      },
    );

    it('may have 1,000 tokens, and not one more', async () => {
      const asking = (tokens: number) =>
        inside(
          way,
          repeat(tokens - 12, () => 'id'),
        );
      expect(await ask(asking(1_000))).toMatchObject([{ extensions: { limit: 'MAX_QUERY_ALIASES' } }]);
      expect(await ask(asking(1_001))).toMatchObject([
        { message: expect.stringContaining('1000 tokens'), extensions: { code: 'GRAPHQL_PARSE_FAILED' } },
      ]);
    });

    it('may have variables that are wrong in up to eight places, and is told of no more', async () => {
      const field = way.kind === 'query' ? 'events(types: $t) { nodes { id } }' : 'sessionEvents(types: $t) { id }';
      const query = `${way.kind} Asked($t: [SessionEventType!]) { ${field} }`;
      const wrong = (places: number) => ask(query, { t: Array(places).fill('SESSION_ENDD') });
      const told = {
        message: expect.stringMatching(/^Variable "\$t" got invalid/),
        extensions: { code: 'BAD_USER_INPUT' },
      };
      expect(await wrong(8)).toMatchObject(Array(8).fill(told));
      expect(await wrong(9)).toEqual([
        {
          message: expect.stringMatching(
            /^The variables have more than 8 errors\. The first: Variable "\$t" got invalid/,
          ),
          extensions: { code: 'BAD_USER_INPUT' },
        },
      ]);
    });

    it('may not make null by a variable what cannot be null', async () => {
      const field = way.kind === 'query' ? 'events(types: [$t]) { nodes { id } }' : 'sessionEvents(types: [$t]) { id }';
      const query = `${way.kind} Asked($t: SessionEventType = SESSION_ENDED) { ${field} }`;
      const told = { message: 'Argument "types" has invalid value.', extensions: { code: 'BAD_USER_INPUT' } };
      expect(await ask(query, { t: null })).toMatchObject([told]);
    });

    it('may not have fragments that double with every line, nor go in circles', async () => {
      const bomb = repeat(
        60,
        (index) => `fragment F${index} on ${way.type} { ...F${index + 1} ... { ...F${index + 1} } }`,
      );
      const doubling = `${inside(way, '...F0')} ${bomb} fragment F60 on ${way.type} { a: id }`;
      expect(await ask(doubling)).toMatchObject([{ extensions: { limit: 'MAX_QUERY_ALIASES' } }]);

      const circular = `${inside(way, '...A')} fragment A on ${way.type} { ...B } fragment B on ${way.type} { ...A }`;
      expect(await ask(circular)).toMatchObject([{ message: expect.stringMatching(/within itself/) }]);
    });
  });

  it('is answered by status 400 when it is over a limit', async () => {
    expect(await server.graphql('{ a: __typename '.padEnd(60, '@x ').concat('}'))).toMatchObject({ status: 400 });
  });
});

describe('what a request costs', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
    await server.graphql(OPEN, { input: inputFor() });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const tooMuch = (cost: number) => ({
    status: 400,
    errors: [
      {
        message: `The request asks for too much: It costs ${cost}; at most 5000 is answered.`,
        extensions: { code: 'GRAPHQL_VALIDATION_FAILED', limit: 'MAX_QUERY_COST' },
      },
    ],
  });

  it.each([
    ['a page of a hundred, with a list of ten to each and ten to each of those', 'first: 100', 100],
    ['a page of as many as there can be, for a number that is none of ours', 'first: 1000', 100],
    ['a page of the usual length', '', 20],
  ])('is a product of its lists: %s', async (_what, given, length) => {
    const args = given === '' ? '' : `(${given})`;
    const cost = 1 + length * (1 + 10 * (1 + 1 + 40));
    const query = `{ sessions${args} { nodes { events { session { audits { id } events { id } a: audits { id } b: events { id } } } } } }`;

    expect(await server.graphql(query)).toMatchObject(tooMuch(cost));
  });

  it('goes by the value of a variable', async () => {
    const query = `query ($first: Int!) {
      sessions(first: $first) { nodes { events { session { audits { id } events { id } } } } } }`;
    expect((await server.graphql(query, { first: 21 })).errors).toBeUndefined(); // 1 + 21 × 221… = 4,642
    expect(await server.graphql(query, { first: 23 })).toMatchObject(tooMuch(1 + 23 * (1 + 10 * 22)));
    expect(await server.graphql(query.replace('Int!', 'Int! = 24'))).toMatchObject(tooMuch(1 + 24 * (1 + 10 * 22)));
    expect((await server.graphql(query.replace('Int!', 'Int'))).errors).toBeUndefined(); // the usual 20
    expect(await server.graphql(query, { first: 'many' })).toMatchObject(tooMuch(1 + 100 * (1 + 10 * 22)));
  });

  it('goes through fragments, as often as they are spread', async () => {
    const query = `{ sessions(first: 4) { nodes { ...A } } webhookDeliveries(first: 1) { nodes { session { ...A } } } }
      fragment A on GuestSession { events { session { ...B } } }
      fragment B on GuestSession { ... { events { session { events { id } } } } }`;
    const b = 10 * (1 + 1 + 10);
    const a = 10 * (1 + 1 + b);
    expect(await server.graphql(query)).toMatchObject(tooMuch(1 + 4 * (1 + a) + 1 + (1 + 1 + a)));
  });

  it('is more for what reads the whole trail: two of them are enough', async () => {
    const verify = (times: number) => `{ ${repeat(times, (index) => `a${index}: verifyAuditTrail { ok }`)} }`;
    expect((await server.graphql(verify(2))).errors).toBeUndefined();
    expect(await server.graphql(verify(3))).toMatchObject(tooMuch(6_000));
  });

  it('is a twenty-fifth of that for introspection: all of the schema once or twice, and not fifteen times', async () => {
    expect((await server.graphql(getIntrospectionQuery())).errors).toBeUndefined();
    const types = '__schema { types { fields { args { type { name } } type { name ofType { name } } } } }';
    const { errors } = await server.graphql(`{ ${repeat(15, (index) => `a${index}: ${types}`)} }`);
    expect(errors).toMatchObject([{ extensions: { limit: 'MAX_QUERY_COST' } }]);
  });

  it('is little for all that the playground asks', async () => {
    for (const { query, variables } of operations.filter((operation) => /^query/m.test(operation.query))) {
      const { errors } = await server.graphql(query, { ...variables, ...('first' in variables && { first: 100 }) });
      expect(errors, query).toBeUndefined();
    }
  });
});
