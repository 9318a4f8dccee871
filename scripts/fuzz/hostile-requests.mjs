import { hostileJson, hostileLiteral, hostileString } from './hostile-values.mjs';
import { SCHEMA, selectionOf, validOperation } from './selections.mjs';
import { ROLES } from './server-under-test.mjs';

/** @typedef {import('./random.mjs').Random} Random */

/**
 * A request that is well-formed as far as its envelope goes.
 *
 * @typedef {object} HostileRequest
 * @property {string} kind what it is about
 * @property {'http' | 'socket'} via
 * @property {string} role whose key it is sent with
 * @property {string} query
 * @property {string} [variables] JSON
 * @property {string} [more] further members of the envelope, as JSON without the braces
 * @property {boolean} [isBatch]
 * @property {Record<string, string>} [headers]
 */

const repeat = (count, part) =>
  Array.from({ length: Math.max(0, Math.floor(count)) }, (_, index) => part(index)).join(' ');
/** A request of more tokens is not even parsed; some go beyond. */
const MANY = 320;
const PAIRS = Object.entries({
  query: 'Query',
  mutation: 'Mutation',
  subscription: 'Subscription',
});
const FIELDS = [
  'id',
  'guestId',
  'status',
  'events { id }',
  'audits { id }',
  'session { id }',
  'nodes { id }',
  '__typename',
  'x',
];
const TYPES = [
  'GuestSession',
  'SessionEvent',
  'Audit',
  'Query',
  'Subscription',
  'Unknown',
  'PageInfo',
  'AuditFilter',
  '__Type',
];
const ROOT_FIELDS = [
  'session(id: "x")',
  'sessions(first: 100)',
  'audits',
  'sessionEvents',
  'webhookDeliveries',
  '__schema',
  'none',
];

const inside = (random, selection) => `${random.pick(PAIRS)[0]} Fuzz { ${random.pick(ROOT_FIELDS)} { ${selection} } }`;

/** Documents by what they are about; each takes chance, and ids of sessions that there are. */
const DOCUMENTS = {
  'valid operation': (random, ids) => {
    const shape = { depth: 1 + random.upTo(9), fullness: 0.2 + 0.8 * random.next(), ids };
    return { query: validOperation(random, random.pick(PAIRS)[0], shape) };
  },
  'many objects': (random, ids) => {
    const shape = { depth: 2 + random.upTo(2), fullness: 1, ids };
    const [list, type] = random.pick([
      ['sessions', 'GuestSession'],
      ['events', 'SessionEvent'],
      ['audits', 'Audit'],
      ['webhookDeliveries', 'WebhookDelivery'],
    ]);
    const selection = selectionOf(random, SCHEMA.getType(type), shape);
    const field = `${list}(first: ${random.pick([20, 50, 100])}) { nodes${selection} ${random.chance(0.5) ? `edges { cursor node${selection} }` : ''} }`;
    return { query: `query Fuzz { ${repeat(random.sizeUpTo(8), (index) => `a${index}: ${field}`)} }` };
  },
  'web of fragments': (random) => {
    const [count, spread, type] = [random.sizeUpTo(60), random.sizeUpTo(8), random.pick(TYPES)];
    const to = () => (random.chance(0.1) ? random.upTo(count) : null);
    const fragments = repeat(
      count,
      (index) => `fragment F${index} on ${type} { ${repeat(spread, (each) => `...F${to() ?? index + 1 + each}`)} id }`,
    );
    return { query: `${inside(random, '...F0')} ${fragments}` };
  },
  'fragments in circles': (random) => {
    const count = random.sizeUpTo(30);
    return {
      query: `${inside(random, '...F0')} ${repeat(count, (index) => `fragment F${index} on ${random.pick(TYPES)} { ${repeat(random.sizeUpTo(5), () => `...F${random.upTo(count - 1)}`)} }`)}`,
    };
  },
  'deep nesting': (random) => {
    const [depth, open] = [
      random.sizeUpTo(490),
      random.pick(['session {', 'events {', '... {', '... on GuestSession {', 'a: b {', 'fields {']),
    ];
    return { query: inside(random, `${repeat(depth, () => open)} id ${'}'.repeat(depth)}`) };
  },
  aliases: (random) => ({
    query: inside(
      random,
      repeat(random.sizeUpTo(MANY), (index) => `a${index}: ${random.pick(FIELDS)}`),
    ),
  }),
  'conflicting fields': (random) => {
    const names = random.sizeUpTo(15);
    const set = () =>
      repeat(
        random.sizeUpTo(15),
        () =>
          `... on ${random.pick(TYPES)} { n${random.upTo(names)}: ${random.pick(FIELDS)} ${random.chance(0.5) ? `...F${random.upTo(19)}` : ''} }`,
      );
    return {
      query: `${inside(random, set())} ${repeat(random.upTo(20), (index) => `fragment F${index} on ${random.pick(TYPES)} { ${set()} }`)}`,
    };
  },
  directives: (random) => {
    const name = random.pick(['include(if: true)', 'skip(if: $a)', 'unknown', 'deprecated', 'specifiedBy(url: "x")']);
    return {
      query: inside(
        random,
        `id ${repeat(random.sizeUpTo(MANY), (index) => `@${random.chance(0.2) ? `d${index}` : name}`)}`,
      ),
    };
  },
  'root of a subscription': (random) => {
    const condition = () => {
      const name = random.pick(['skip', 'include', 'unknown']);
      return random.chance(0.4)
        ? ''
        : `@${name}${random.pick(['', '(if: $b)', '(if: true)', '(if: "x")', '(if: null)'])}`;
    };
    const field = () => `sessionEvents(guestId: "x") ${condition()} { id }`;
    const spread = () => random.pick([field, () => `... ${condition()} { ${field()} }`, () => `...F ${condition()}`])();
    const definition = random.pick(['', '($b: Boolean!)', '($b: Boolean = true)', '($b: Boolean = null)']);
    return {
      query: `subscription Fuzz${definition} { ${repeat(random.sizeUpTo(4), spread)} } fragment F on Subscription { ${random.pick([field, () => '...F'])()} }`,
      variables: random.pick(['{}', '{"b":true}', '{"b":null}', '{"b":"x"}']),
    };
  },
  'unknown fields': (random) => {
    const name = () => random.pick(['sesion', 'event', 'guestid', 'nodess', 'x'.repeat(random.sizeUpTo(200))]);
    return {
      query: inside(
        random,
        repeat(random.sizeUpTo(MANY), (index) => `${name()}${index}`),
      ),
    };
  },
  'unknown types': (random) => ({
    query: inside(
      random,
      repeat(random.sizeUpTo(MANY / 2), (index) => `... on ${random.pick(['GuestSesion', 'T'])}${index} { id }`),
    ),
  }),
  'variable definitions': (random) => {
    const name = (index) => random.pick(['a', `v${index}`, 'first']);
    const type = () =>
      random.pick([
        'Int',
        'Int!',
        '[[[[String!]!]!]!]',
        'Unknown',
        'AuditFilter',
        'GuestSession',
        'DateTime = "x"',
        'Int = 1',
      ]);
    const one = random.pick([() => '$a: Int', (index) => `$${name(index)}: ${type()}`]);
    return {
      query: `query Fuzz(${repeat(random.sizeUpTo(MANY), one)}) { __typename ${random.chance(0.5) ? 'sessions(first: $a) { nodes { id } }' : ''} }`,
      variables: `{"a":${hostileJson(random, 200)}}`,
    };
  },
  arguments: (random) => {
    const name = random.pick([
      () => 'first',
      (index) => `a${index}`,
      () => random.pick(['first', 'after', 'filter', 'frst']),
    ]);
    return {
      query: `query Fuzz { sessions(${repeat(random.sizeUpTo(MANY), (index) => `${name(index)}: ${random.pick(['1', '$a', '"x"', '{}'])}`)}) { nodes { id } } }`,
    };
  },
  literals: (random) => {
    const field = random.pick([
      'sessions(filter: %) { nodes { id } }',
      'sessions(first: %) { nodes { id } }',
      'session(id: %) { id }',
      'events(types: %) { nodes { id } }',
      'metrics(from: %) { from }',
      'audits(after: %) { nodes { id } }',
    ]);
    return { query: `query Fuzz { ${field.replace('%', () => hostileLiteral(random))} }` };
  },
  variables: (random) => {
    const uses = random.pick([
      ['$v: CreateGuestSessionInput!', 'createGuestSession(input: $v) { userErrors { message } }'],
      ['$v: EndGuestSessionInput!', 'endGuestSession(input: $v) { userErrors { message } }'],
      ['$v: [SessionEventType!]', 'events(types: $v) { nodes { id } }'],
      ['$v: SessionFilter', 'sessions(filter: $v) { nodes { id } }'],
      ['$v: AuditFilter', 'audits(filter: $v) { nodes { id } }'],
      ['$v: DateTime', 'metrics(from: $v) { from }'],
      ['$v: Int!', 'sessions(first: $v) { nodes { id } }'],
      ['$v: String', 'events(after: $v) { nodes { id } }'],
    ]);
    const mutates = /^(create|end)/.test(uses[1]);
    return {
      query: `${mutates ? 'mutation' : 'query'} Fuzz(${uses[0]}) { ${uses[1]} }`,
      variables: `{"v":${hostileJson(random)}}`,
    };
  },
  'lists of enums': (random) => {
    const types = random.pick(['"SESSION_ENDED"', '"SESION_ENDED"', '1', 'null', '{"a":1}', `"${'S'.repeat(30)}"`]);
    const kind = random.pick(['query', 'subscription']);
    const field = kind === 'query' ? 'events(types: $v) { nodes { id } }' : 'sessionEvents(types: $v) { id }';
    return {
      query: `${kind} Fuzz($v: [SessionEventType!]) { ${field} }`,
      variables: `{"v":[${Array(random.sizeUpTo(15_000)).fill(types).join(',')}]}`,
    };
  },
  'text of a mutation': (random) => {
    const input = Object.fromEntries(
      ['guestId', 'deviceFingerprint', 'crmId', 'queueId', 'languagePreference', 'idempotencyKey']
        .filter((name) => name !== 'idempotencyKey' || random.chance(0.5))
        .map((name) => [
          name,
          random.chance(0.3) ? hostileString(random, 20_000) : 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
        ]),
    );
    const country = { ipMetadata: { country: hostileString(random, 1_000) } };
    return {
      query:
        'mutation Fuzz($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { session { id } userErrors { code field message } } }',
      variables: JSON.stringify({ input: { ...input, ...(random.chance(0.3) && country) } }),
    };
  },
  'text of a query': (random) => {
    const [definition, use] = random.pick([
      ['$t: ID', 'session(id: $t) { id }'],
      ['$t: String', 'session(sessionId: $t) { id }'],
      ['$t: String', 'sessions(after: $t) { nodes { id } }'],
      ['$t: String', 'audits(after: $t, filter: { guestId: $t, requestId: $t }) { nodes { id } }'],
      ['$t: String', 'events(after: $t, guestId: $t) { nodes { id } }'],
      ['$t: DateTime', 'metrics(from: $t) { from }'],
      ['$t: String', 'webhookDeliveries(after: $t, filter: { requestId: $t }) { nodes { id } }'],
    ]);
    return { query: `query Fuzz(${definition}) { ${use} }`, variables: JSON.stringify({ t: hostileString(random) }) };
  },
  operations: (random) => ({
    query: repeat(
      random.sizeUpTo(200),
      (index) => `${random.pick(PAIRS)[0]} ${random.chance(0.5) ? 'Fuzz' : `O${index}`} { __typename }`,
    ),
    more: `"operationName":${JSON.stringify(random.pick(['Fuzz', 'None', '', hostileString(random)]))}`,
  }),
  introspection: (random) => {
    const list = () =>
      random.pick(['fields', 'interfaces', 'possibleTypes', 'inputFields', 'args', 'ofType', 'type', 'enumValues']);
    const depth = random.sizeUpTo(8);
    const nest = `${repeat(depth, () => `${list()} { name description`)} ${'}'.repeat(depth)}`;
    const all =
      'name description fields(includeDeprecated: true) { name description args { name type { name ofType { name ofType { name } } } } type { name ofType { name ofType { name ofType { name fields { name description type { name } args { name } } } } } } } inputFields { name description type { name ofType { name } } } enumValues { name description }';
    const types = `types { ${random.chance(0.5) ? all : `name kind description ${nest}`} }`;
    return {
      query:
        `query Fuzz { ${repeat(random.sizeUpTo(15), (index) => `s${index}: __schema { ${types} ${random.chance(0.3) ? `b: ${types}` : ''} }`)} }`.replaceAll(
          /(\w+) \{ +\}/g,
          '$1',
        ),
    };
  },
  'what is ignored': (random) => {
    const shard = random.pick(['\n', '\r', ' ', ',', '\t', '\ufeff', '#\n', '# é\n', '#x', '\r\n']);
    const text = shard.repeat(random.sizeUpTo(49_000));
    return { query: random.chance(0.7) ? `${text}${inside(random, 'id')}` : inside(random, `id ${text}`) };
  },
  'broken syntax': (random) => {
    const { query } = DOCUMENTS[
      random.pick(['aliases', 'deep nesting', 'literals', 'what is ignored', 'valid operation'])
    ](random, []);
    return {
      query:
        query.slice(0, random.upTo(query.length)) +
        random.pick(['', '}', '"', '"""', '\0', '\ud800', '…', '$', '&', '...', '@']),
    };
  },
  envelope: (random) => {
    const more = random.pick([
      '"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"}}',
      `"extensions":${hostileJson(random)}`,
      `"operationName":${hostileJson(random, 300)}`,
      `"query":${hostileJson(random)}`,
      `"variables":${hostileJson(random)}`,
      `"__proto__":${hostileJson(random, 300)}`,
      `${'"query":"{ __typename }",'.repeat(random.sizeUpTo(3_000))}"a":1`,
    ]);
    return { query: 'query Fuzz { __typename }', more, isBatch: random.chance(0.3) };
  },
};

/** What requests can be about. */
export const KINDS = Object.keys(DOCUMENTS);

/**
 * A request of some kind, for some role.
 *
 * @param {Random} random
 * @param {readonly string[]} ids
 * @returns {HostileRequest}
 */
export function hostileRequest(random, ids, kind = random.pick(KINDS)) {
  const document = DOCUMENTS[kind](random, ids);
  const role = random.chance(0.1) ? 'nobody' : random.chance(0.5) ? 'OPS' : random.pick(ROLES);
  const headers = random.chance(0.1) ? { 'idempotency-key': headerText(random) } : undefined;
  return { kind, via: random.chance(0.3) ? 'socket' : 'http', role, ...document, ...(headers && { headers }) };
}

/** What Node's own client lets through in a header. */
const headerText = (random) => hostileString(random, 6_000).replace(/[^\t\x20-\x7e\x80-\xff]/g, '"');
