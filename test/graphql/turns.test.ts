import { buildSchema, execute, type GraphQLObjectType, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { completeInTurns } from '../../src/graphql/turns.js';

const PER_TURN = 20;
const LENGTH = 10;
const items = Array.from({ length: LENGTH }, (_, index) => ({ index }));

/** A list of lists of lists, and how many objects were looked at in each turn of the event loop. */
async function completeAll(resolveItems: () => unknown) {
  const schema = buildSchema('type Query { items: [Item!]! } type Item { index: Int! items: [Item!]! }');
  const turns: number[] = [];
  let seen = 0;
  const fields = (name: string) => (schema.getType(name) as GraphQLObjectType).getFields();
  for (const name of ['Query', 'Item']) fields(name).items!.resolve = resolveItems;
  fields('Item').index!.resolve = ({ index }: { index: number }) => {
    seen += 1;
    return index;
  };
  const document = parse('{ items { index items { index items { index } } } }');
  let isOver = false;
  const count = () => {
    turns.push(seen);
    seen = 0;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const result = await execute({ schema: completeInTurns(schema, PER_TURN), document });
  isOver = true;
  return { result, turns: [...turns, seen] };
}

describe('the objects of lists', () => {
  it.each([
    ['that are there', () => items],
    ['that are waited for', async () => items],
  ])(
    'are completed a few at a time, whatever they are nested in, and all of them: lists %s',
    async (_which, resolveItems) => {
      const { result, turns } = await completeAll(resolveItems);

      const leaf = items;
      const inner = items.map((item) => ({ ...item, items: leaf }));
      expect(JSON.parse(JSON.stringify(result))).toEqual({
        data: { items: items.map((item) => ({ ...item, items: inner })) },
      });
      expect(turns.reduce((sum, each) => sum + each)).toBe(LENGTH + LENGTH ** 2 + LENGTH ** 3);
      // One who counts between two turns may see the end of one and the beginning of the next.
      expect(Math.max(...turns)).toBeLessThanOrEqual(2 * PER_TURN);
    },
  );

  it('may be missing', async () => {
    expect((await completeAll(() => null)).result.errors).toMatchObject([
      { message: expect.stringContaining('non-null') },
    ]);
  });
});

it('fields of the root that read are begun a few in each turn', async () => {
  const schema = buildSchema('type Query { page: Page } type Page { index: Int }');
  let begun = 0;
  schema.getQueryType()!.getFields().page!.resolve = () => ({ index: begun++ });
  const document = parse(`{ ${Array.from({ length: 6 }, (_, index) => `p${index}: page { index }`).join(' ')} }`);

  const result = execute({ schema: completeInTurns(schema), document });
  expect(begun).toBe(2);
  await new Promise(setImmediate);
  expect(begun).toBeLessThan(6);

  const pages = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`p${index}`, { index }]));
  expect(JSON.parse(JSON.stringify(await result))).toEqual({ data: pages });
});
