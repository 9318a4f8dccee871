import { readFileSync } from 'node:fs';
import { buildSchema, execute, type GraphQLSchema, parse, subscribe, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createContext, type Services } from '../../src/graphql/context.js';
import { buildGraphqlSchema } from '../../src/graphql/schema.js';
import { ROLES } from '../../src/key-formats.js';
import { type RootField, rootFields } from './operations.js';
import { RULES } from './role-rules.js';

const schema = buildGraphqlSchema();
const fields = rootFields(schema);

/** What somebody who may do nothing gets from an operation. */
async function askedByNobody(schema: GraphQLSchema, { kind, document: text }: RootField) {
  const nobody = createContext({ name: 'nobody', role: 'NOBODY' as never, sourceAddress: null }, {} as Services);
  const document = parse(text);
  expect(validate(schema, document)).toEqual([]);
  const run = kind === 'subscription' ? subscribe : execute;
  return run({ schema, document, contextValue: nobody });
}

const FORBIDDEN = { errors: [{ extensions: { code: 'FORBIDDEN' } }] };

describe('a caller without any rights', () => {
  it.each(fields)('may not use $kind $name: what has no rule is refused', async (field) => {
    expect(await askedByNobody(schema, field)).toMatchObject(FORBIDDEN);
  });

  it.each(['query', 'mutation', 'subscription'] as const)(
    'would get to a %s that has no rule: the walk finds it',
    async (kind) => {
      const types = [
        'type Query { open: String }',
        'type Mutation { open: String }',
        'type Subscription { open: String }',
      ];
      const open = buildSchema(types.join('\n'));
      const { open: event } = open.getSubscriptionType()!.getFields();
      event!.subscribe = async function* () {};
      const field = rootFields(open).find((operation) => operation.kind === kind)!;

      expect(await askedByNobody(open, field)).not.toMatchObject(FORBIDDEN);
    },
  );
});

describe('the table of roles', () => {
  it('has every operation of the schema, and no other', () => {
    expect(Object.keys(RULES).sort()).toEqual(fields.map(({ name }) => name).sort());
  });

  it('is that of README', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    for (const role of ROLES.filter((name) => name !== 'OPS')) {
      const [, row = ''] = readme.match(new RegExp(`^\\| \`${role}\` \\|(.*)\\|$`, 'm')) ?? [];
      const named = [...row.matchAll(/`(\w+)`/g)].map(([, name]) => name!).filter((name) => name in RULES);
      const allowed = Object.keys(RULES).filter((name) => RULES[name]?.includes(role));
      expect(named.sort(), role).toEqual(allowed.sort());
    }
    expect(Object.values(RULES).every((roles) => roles.includes('OPS'))).toBe(true);
  });
});
