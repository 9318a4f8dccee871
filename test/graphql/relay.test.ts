import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import { describe, expect, it } from 'vitest';
import { auditCursor, eventCursor, pageSize, sessionCursor, toConnection } from '../../src/graphql/relay.js';

const at = new Date('2026-01-02T03:04:05.678Z');
const id = randomUUID();
const base64url = (text: string) => Buffer.from(text).toString('base64url');

/** The code that a cursor is refused with. */
function refusal(read: () => unknown): unknown {
  try {
    return { value: read() };
  } catch (error) {
    return error instanceof GraphQLError ? error.extensions.code : error;
  }
}

describe('a cursor', () => {
  it('leads back to where it was made', () => {
    expect(sessionCursor.read(sessionCursor.of({ id }))).toBe(id);
    expect(auditCursor.read(auditCursor.of({ timestamp: at, sequence: 7 }))).toEqual({ timestamp: at, sequence: 7 });
    expect(eventCursor.read(eventCursor.of({ sequence: 7 }))).toBe(7);
    expect(eventCursor.read(eventCursor.of({ sequence: 0 }))).toBe(0);
  });

  it('is opaque: it can stand in a URL, and shows no name or number', () => {
    for (const cursor of [
      sessionCursor.of({ id }),
      auditCursor.of({ timestamp: at, sequence: 123_456 }),
      eventCursor.of({ sequence: 123_456 }),
    ]) {
      expect(cursor).toMatch(/^[\w-]+$/);
      expect(cursor).not.toMatch(/123456|session|audit|event/);
    }
  });

  it.each([
    '',
    ' ',
    'x',
    '%%%',
    '\0',
    base64url(''),
    base64url('session:'),
    base64url('session:1'),
    base64url(`session:${id}\n`),
    base64url(`session:${id}'; DROP TABLE x`),
    base64url(`session:${id.toUpperCase().replaceAll(/\d/g, 'F')}`),
    base64url(`audit:${'9'.repeat(16)}:1`),
    base64url('audit:-1:1'),
    base64url('audit:1:1e3'),
    base64url('event:-1'),
    base64url('event:1.5'),
    base64url('event:'),
    base64url('event:1\n'),
    'x'.repeat(10_000),
  ])('that is malformed is refused as bad input: %j', (cursor) => {
    expect(refusal(() => sessionCursor.read(cursor))).toBe('BAD_USER_INPUT');
    expect(refusal(() => auditCursor.read(cursor))).toBe('BAD_USER_INPUT');
    expect(refusal(() => eventCursor.read(cursor))).toBe('BAD_USER_INPUT');
  });

  it('of one list is refused by the others', () => {
    const [session, audit, event] = [
      sessionCursor.of({ id }),
      auditCursor.of({ timestamp: at, sequence: 1 }),
      eventCursor.of({ sequence: 1 }),
    ];

    expect(refusal(() => sessionCursor.read(audit))).toBe('BAD_USER_INPUT');
    expect(refusal(() => auditCursor.read(session))).toBe('BAD_USER_INPUT');
    expect(refusal(() => eventCursor.read(audit))).toBe('BAD_USER_INPUT');
    expect(refusal(() => auditCursor.read(event))).toBe('BAD_USER_INPUT');
  });

  it('reads every date that it can hold as a date', () => {
    const latest = auditCursor.read(base64url(`audit:${'9'.repeat(15)}:1`));

    expect(Number.isNaN(latest.timestamp.getTime())).toBe(false);
  });
});

describe('a page', () => {
  it.each([1, 20, 100])('may have %i items', (first) => {
    expect(pageSize(first)).toBe(first);
  });

  it.each([0, -1, 101, 2 ** 31 - 1, Number.NaN])('may not have %i items', (first) => {
    expect(refusal(() => pageSize(first))).toBe('BAD_USER_INPUT');
  });

  it('gives its items, their cursors, and where it begins and ends', () => {
    const page = toConnection({ rows: ['a', 'b'], hasNextPage: true }, (row) => `cursor of ${row}`, null);

    expect(page).toEqual({
      edges: [
        { cursor: 'cursor of a', node: 'a' },
        { cursor: 'cursor of b', node: 'b' },
      ],
      nodes: ['a', 'b'],
      pageInfo: {
        hasNextPage: true,
        hasPreviousPage: false,
        startCursor: 'cursor of a',
        endCursor: 'cursor of b',
      },
    });
  });

  it('that is empty ends where it was asked to begin, so that a reader can go on from there', () => {
    const empty = { rows: [], hasNextPage: false };

    expect(toConnection(empty, String, 'here').pageInfo).toEqual({
      hasNextPage: false,
      hasPreviousPage: true,
      startCursor: null,
      endCursor: 'here',
    });
    expect(toConnection(empty, String, undefined).pageInfo).toMatchObject({ hasPreviousPage: false, endCursor: null });
  });
});
