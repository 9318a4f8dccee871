import { expect, test } from 'vitest';
import { LastItems } from '../../src/sandbox/call-log.js';

test('the last 10,000 items are kept, oldest first', () => {
  const items = new LastItems<number>();
  for (let item = 0; item < 25_500; item += 1) items.push(item);
  const kept = items.list();
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([10_000, 15_500, 25_499]);
});
