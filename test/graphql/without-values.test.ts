import {
  buildSchema,
  execute,
  type GraphQLError,
  type GraphQLScalarType,
  getVariableValues,
  parse,
  validate,
} from 'graphql';
import { GraphQLDateTime } from 'graphql-scalars';
import { describe, expect, it } from 'vitest';
import { withoutValues } from '../../src/graphql/without-values.js';

/** Every kind of input that graphql-js knows, DateTime, and a scalar that speaks in words of its own. */
const schema = buildSchema(`
  scalar DateTime
  scalar Odd
  enum Colour { RED }
  input Point { x: Int!, label: String, colour: Colour, points: [Point!] }
  type Query {
    int(v: Int): Int float(v: Float): Int string(v: String): Int boolean(v: Boolean): Int id(v: ID): Int odd(v: Odd): Int
    colour(v: Colour): Int colours(v: [Colour!]): Int point(v: Point): Int date(v: DateTime): Int
  }
`);
const { parseValue, parseLiteral } = GraphQLDateTime;
Object.assign(schema.getType('DateTime') as GraphQLScalarType, { parseValue, parseLiteral });
const odd = (value: unknown) => {
  throw new Error(`The value ${JSON.stringify(value)} is odd`);
};
Object.assign(schema.getType('Odd') as GraphQLScalarType, { parseValue: odd, parseLiteral: odd });

/** What graphql-js says of a document and its variables, in the first step that finds anything. */
function errorsOf(query: string, variables: Record<string, unknown> = {}): readonly GraphQLError[] {
  let document: ReturnType<typeof parse>;
  try {
    document = parse(query);
  } catch (error) {
    return [error as GraphQLError];
  }
  const invalid = validate(schema, document);
  if (invalid.length > 0) return invalid;
  const definitions = document.definitions.flatMap((definition) =>
    definition.kind === 'OperationDefinition' ? (definition.variableDefinitions ?? []) : [],
  );
  const { errors } = getVariableValues(schema, definitions, variables);
  if (errors) return errors;
  const result = execute({ schema, document, variableValues: variables });
  return 'errors' in result ? (result.errors ?? []) : [];
}

type Sent = readonly [query: string, variables?: Record<string, unknown>];
type Case = readonly [left: string, sent: (value: string) => Sent];

const literal = (field: string, written: (value: string) => string, left: string): Case => [
  left,
  (value) => [`{ ${field}(v: ${written(value)}) }`],
];
const variable = (field: string, type: string, given: (value: string) => unknown, left: string): Case => [
  `Variable "$v" got invalid value${left}`,
  (value) => [`query ($v: ${type}) { ${field}(v: $v) }`, { v: given(value) }],
];
const name = (value: string) => value;
const text = (value: string) => `"${value}"`;
const digits = (value: string) => value.replaceAll('CANARY', '987654321987');

/** All that graphql-js 16.15 and graphql-scalars' DateTime say with a value in it: what is left, and what they are sent. */
const CASES: readonly Case[] = [
  ['Syntax Error: Unexpected Name.', (value) => [`{ a } ${value}`]],
  ['Syntax Error: Unexpected String.', (value) => [`{ a } "x" "${value}"`]],
  ['Syntax Error: Expected Name, found String.', (value) => [`{ a("${value}") }`]],
  ['Syntax Error: Expected Name, found BlockString.', (value) => [`{ a("""${value}""") }`]],
  ['Syntax Error: Expected Name, found Int.', (value) => [`{ a(${digits(value)}) }`]],
  ['Syntax Error: Expected Name, found Float.', (value) => [`{ a(0.${digits(value)}) }`]],
  ['Syntax Error: Expected ":", found Name.', (value) => [`{ a(b ${value}) }`]],
  ['Syntax Error: Expected "on", found Name.', (value) => [`fragment a ${value}`]],
  ['Syntax Error: Invalid Unicode escape sequence.', (value) => [`{ a(b: "\\u${value}") }`]],
  ['Syntax Error: Invalid Unicode escape sequence.', (value) => [`{ a(b: "\\u{${value}}") }`]],
  ['Syntax Error: Invalid character escape sequence.', (value) => [`{ a(b: "\\${value}") }`]],
  literal('int', text, 'Int cannot represent non-integer value.'),
  literal('int', name, 'Int cannot represent non-integer value.'),
  literal('int', (value) => `[{ a: "${value}" }]`, 'Int cannot represent non-integer value.'),
  literal('int', digits, 'Int cannot represent non 32-bit signed integer value.'),
  literal('float', text, 'Float cannot represent non numeric value.'),
  literal('string', name, 'String cannot represent a non string value.'),
  literal('boolean', text, 'Boolean cannot represent a non boolean value.'),
  literal('id', name, 'ID cannot represent a non-string and non-integer value.'),
  literal('colour', text, 'Enum "Colour" cannot represent non-enum value.'),
  literal('colour', name, 'The value does not exist in "Colour" enum.'),
  literal('point', text, 'Expected value of type "Point".'),
  literal('odd', text, 'Expected value of type "Odd".'),
  literal('date', text, 'DateTime cannot represent an invalid date-time-string.'),
  literal('date', name, 'DateTime cannot represent non string or Date type.'),
  [
    'Argument "v" has invalid value.',
    (value) => [`query ($x: Int = 1) { point(v: { x: $x, label: "${value}" }) }`, { x: null }],
  ],
  variable('int', 'Int', name, '; Int cannot represent non-integer value.'),
  variable(
    'int',
    'Int',
    (value) => Number(`1${digits(value)}`.slice(0, 300)),
    '; Int cannot represent non 32-bit signed integer value.',
  ),
  variable('float', 'Float', name, '; Float cannot represent non numeric value.'),
  variable('string', 'String', (value) => [value], '; String cannot represent a non string value.'),
  variable('boolean', 'Boolean', name, '; Boolean cannot represent a non boolean value.'),
  variable('id', 'ID', (value) => ({ [value]: value }), '; ID cannot represent value.'),
  variable('colour', 'Colour', name, '; The value does not exist in "Colour" enum.'),
  variable('colour', 'Colour', (value) => ({ a: value }), '; Enum "Colour" cannot represent non-string value.'),
  variable('colours', '[Colour!]', (value) => ['RED', value], ' at "v[1]"; The value does not exist in "Colour" enum.'),
  variable(
    'colours',
    '[Colour!]',
    (value) => [null, value],
    ' at "v[0]"; Expected non-nullable type "Colour!" not to be null.',
  ),
  variable('date', 'DateTime', name, '; DateTime cannot represent an invalid date-time-string.'),
  variable('date', 'DateTime', (value) => ({ a: value }), '; DateTime cannot represent non string or Date type.'),
  variable('odd', 'Odd', name, '; Expected type "Odd".'),
  variable('point', 'Point', name, '; Expected type "Point" to be an object.'),
  variable('point', 'Point', (value) => ({ label: value }), '; Field "x" of required type "Int!" was not provided.'),
  variable(
    'point',
    'Point',
    (value) => ({ x: null, label: value }),
    ' at "v.x"; Expected non-nullable type "Int!" not to be null.',
  ),
  variable(
    'point',
    'Point',
    (value) => ({ x: 1, points: [{ x: 1, colour: value }] }),
    ' at "v.points[0].colour"; The value does not exist in "Colour" enum.',
  ),
  variable('point', 'Point', (value) => ({ x: 1, [`${value}-1`]: 1 }), '; A field is not defined by type "Point".'),
  variable('point', 'Point', (value) => ({ x: 1, [value.repeat(12)]: 1 }), '; A field is not defined by type "Point".'),
];

/** Their first errors' messages as they are, and as they are told. */
function told(...sent: Sent) {
  const [error] = errorsOf(...sent);
  if (!error) throw new Error(`nothing is wrong with ${sent[0]}`);
  return { whole: error.message, left: withoutValues(error) };
}

describe('an error of graphql-js is told without the value that it repeats', () => {
  it.each(CASES)('%s', (left, sent) => {
    for (const value of ['CANARY', 'CANARY'.repeat(350)]) {
      const { whole, left: message } = told(...sent(value));
      expect(message.replace(/ Did you mean .*/, '')).toBe(left);
      expect(whole.length).toBeGreaterThan(left.length);
    }
  });

  const HOSTILE = [
    ' Did you mean "CANARY"?',
    'x Did you mean CANARY?',
    'a" does not exist in "CANARY" enum.',
    'a" does not exist in CANARY',
    'a" is not defined by type "CANARY".',
    'x at "CANARY"; Expected type "CANARY". ',
    'a: CANARY", found Name "CANARY". value: CANARY',
    '; CANARY\n"CANARY"',
    `${'x'.repeat(490)} Did you mean "CANARY"?`,
  ];
  it.each(HOSTILE)('also where the value has the same words: %j', (value) => {
    const inJson = JSON.stringify(value).slice(1, -1);
    for (const field of ['int', 'float', 'boolean', 'colour', 'point', 'date', 'odd'])
      expect(told(`{ ${field}(v: "${inJson}") }`).left).not.toContain('CANARY');
    for (const [field, type] of [
      ['int', 'Int'],
      ['float', 'Float'],
      ['string', 'String'],
      ['boolean', 'Boolean'],
      ['id', 'ID'],
      ['colour', 'Colour'],
      ['colours', '[Colour!]'],
      ['point', 'Point'],
      ['date', 'DateTime'],
      ['odd', 'Odd'],
    ])
      for (const given of [value, { [value]: value }, [[value]], { x: 1, [value]: 1 }]) {
        if (typeof given === 'string' && ['string', 'id'].includes(field!)) continue;
        expect(told(`query ($v: ${type}) { ${field}(v: $v) }`, { v: given }).left).not.toContain('CANARY');
      }
  });

  it('with what it suggests, and with names', () => {
    expect(told('{ colour(v: RE) }').left).toBe(
      'The value does not exist in "Colour" enum. Did you mean the enum value "RED"?',
    );
    expect(told('query ($v: Point) { point(v: $v) }', { v: { x: 1, lable: 'CANARY' } }).left).toBe(
      'Variable "$v" got invalid value; Field "lable" is not defined by type "Point". Did you mean "label"?',
    );
    for (const query of [
      '{ strin }',
      '{ string(w: 1) }',
      '{ point(v: { x: 1, y: 2 }) }',
      '{ string { a } }',
      '{',
      '{ a(b: $) }',
    ])
      expect(told(query).left).toBe(told(query).whole);
  });
});
