import { parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { readsMoreThanTheEvent, shareKey } from '../../src/graphql/share-key.js';

const QUERY = `subscription A($after: String, $guestId: String) { sessionEvents(after: $after, guestId: $guestId) { id } }
  subscription B($after: String) { sessionEvents(after: $after) { id } }`;

const keyOf = ({ query = QUERY, operationName = 'A', variables = {} as object | null, role = 'OPS' }) =>
  shareKey(parse(query), { role, query, operationName, variables: variables as Record<string, unknown> });

describe('two subscriptions share their events', () => {
  it.each([
    ['start in different places', { variables: { after: 'x' } }],
    ['name variables that nobody declares', { variables: { more: 1 } }],
    ['leave all variables out', { variables: null }],
    ['leave a variable out that is undefined', { variables: { guestId: undefined } }],
  ])('when they %s', (_what, other) => {
    expect(keyOf(other)).toBe(keyOf({}));
  });

  it('whatever the order of their variables', () => {
    expect(keyOf({ variables: { guestId: 'g', after: 'x' } })).toBe(keyOf({ variables: { after: 'y', guestId: 'g' } }));
  });
});

describe('two subscriptions share nothing', () => {
  it.each([
    ['role', { role: 'CRM' }],
    ['document', { query: `${QUERY} ` }],
    ['operation', { operationName: 'B' }],
    ['guest', { variables: { guestId: 'g' } }],
    ['guest, also when it is null', { variables: { guestId: null } }],
  ])('when they differ in the %s', (_what, other) => {
    expect(keyOf(other)).not.toBe(keyOf({}));
  });

  it.each([
    ['argument', 'subscription A($after: String) { sessionEvents(after: $after, guestId: $after) { id } }'],
    ['field', 'subscription A($after: String) { sessionEvents(after: $after) { id session { find(after: $after) } } }'],
    [
      'place',
      'subscription A($after: String) { ...F } fragment F on Subscription { sessionEvents(after: $after) { id } }',
    ],
  ])('when the variable of the start is used in another %s, too', (_what, query) => {
    expect(keyOf({ query, variables: { after: 'x' } })).not.toBe(keyOf({ query }));
  });
});

it.each([
  ['subscription { sessionEvents { id cursor } }', false],
  ['subscription { sessionEvents { ...F } } fragment F on SessionEvent { id }', false],
  ['subscription { sessionEvents { id session { id } } }', true],
  ['subscription { sessionEvents { ...F } } fragment F on SessionEvent { session { id } }', true],
])('%s reads more than the event: %s', (query, readsMore) => {
  expect(readsMoreThanTheEvent(parse(query))).toBe(readsMore);
});

it('is short, however long the document is', () => {
  expect(keyOf({ query: `${QUERY} # ${'x'.repeat(90_000)}` })).toMatch(/^[\w+/]{43}=$/);
});
