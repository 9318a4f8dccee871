import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSchema, coerceInputValue, parse, typeFromAST, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { operations } from '../../scripts/playground/operations.mjs';

const schemaFile = fileURLToPath(new URL('../../schema.graphql', import.meta.url));

const named = operations.map(({ query, variables }) => {
  const document = parse(query);
  const [definition, ...others] = document.definitions;
  if (definition?.kind !== 'OperationDefinition' || others.length > 0) throw new Error(`not one operation: ${query}`);
  return { name: definition.name!.value, query, variables, document, definition };
});

describe('the operations of the playground', () => {
  it('have a name each, which is what their tab is called', () => {
    expect(new Set(named.map(({ name }) => name)).size).toBe(operations.length);
  });

  it.each(named)('begin with a comment that says what $name is for, and fits into the editor', ({ query }) => {
    const comment = query.split('\n').filter((line) => line.startsWith('#'));

    expect(query.startsWith('# ')).toBe(true);
    for (const line of comment) expect(line.length, line).toBeLessThanOrEqual(54);
  });

  it.each(named)('give $name only variables that it declares', ({ definition, variables }) => {
    const declared = definition.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];

    expect(declared).toEqual(expect.arrayContaining(Object.keys(variables)));
  });
});

describe.skipIf(!existsSync(schemaFile))('the operations of the playground against schema.graphql', () => {
  const schema = existsSync(schemaFile)
    ? buildSchema(readFileSync(schemaFile, 'utf8'))
    : buildSchema('type Query { no: Int }');

  it.each(named)('$name is valid', ({ document }) => {
    expect(validate(schema, document)).toEqual([]);
  });

  it.each(named)('$name has variables of the declared types', ({ definition, variables }) => {
    for (const { variable, type } of definition.variableDefinitions ?? []) {
      const value = variables[variable.name.value];
      if (value === undefined) continue;
      const problems: string[] = [];
      coerceInputValue(value, typeFromAST(schema, type as never) as never, (_path, _value, error) =>
        problems.push(error.message),
      );
      expect(problems).toEqual([]);
    }
  });
});
