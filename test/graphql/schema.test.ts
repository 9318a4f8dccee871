import { readFileSync } from 'node:fs';
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { buildGraphqlSchema, printGraphqlSchema } from '../../src/graphql/schema.js';

const schema = buildGraphqlSchema();
const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];

interface Described {
  readonly path: string;
  readonly description: string | null | undefined;
}

/** A type and everything in it that a reader can ask about. */
function describedParts(type: GraphQLNamedType): Described[] {
  const { name } = type;
  const parts: Described[] = [{ path: name, description: type.description }];
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      parts.push({ path: `${name}.${field.name}`, description: field.description });
      for (const argument of field.args) {
        parts.push({ path: `${name}.${field.name}(${argument.name})`, description: argument.description });
      }
    }
  }
  if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      parts.push({ path: `${name}.${field.name}`, description: field.description });
    }
  }
  if (isEnumType(type)) {
    for (const value of type.getValues()) {
      parts.push({ path: `${name}.${value.name}`, description: value.description });
    }
  }
  return parts;
}

describe('the GraphQL schema', () => {
  it('is the one in schema.graphql (npm run schema:emit writes it)', () => {
    expect(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8')).toBe(printGraphqlSchema());
  });

  it('describes every type, field, argument, enum value and input field', () => {
    const parts = Object.values(schema.getTypeMap())
      .filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
      .flatMap(describedParts)
      // The root types are described by their fields.
      .filter(({ path }) => !roots.some((root) => root?.name === path));

    expect(parts.length).toBeGreaterThan(150);
    expect(parts.filter(({ description }) => !description?.trim()).map(({ path }) => path)).toEqual([]);
  });

  it('has lists without holes: what is in a list is never null', () => {
    const fields = Object.values(schema.getTypeMap())
      .filter((type) => isObjectType(type) && !isIntrospectionType(type))
      .flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []));

    expect(fields.filter(({ type }) => /[^!]\]/.test(String(type))).map(({ name }) => name)).toEqual([]);
  });

  it('names a client token in one place only', () => {
    const places = Object.values(schema.getTypeMap()).flatMap((type) =>
      isObjectType(type) || isInputObjectType(type)
        ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`)
        : [],
    );

    expect(places.filter((place) => /token/i.test(place) && !place.startsWith('__'))).toEqual([
      'CreateGuestSessionPayload.clientToken',
    ]);
    expect(places.filter((place) => /fingerprint|secret/i.test(place))).toEqual([
      'CreateGuestSessionInput.deviceFingerprint',
    ]);
  });
});
