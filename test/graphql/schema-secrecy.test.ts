import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Role } from '../../src/access-settings.js';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';

const OTHERS = ['GUEST', 'BACKEND', 'CRM'] as const;
/** Documents that make graphql-js suggest something, when they are read and when their variables are. */
const GUESSES: readonly [query: string, variables?: object][] = [
  ['{ sesion(id: "x") { id } }'],
  ['{ session(idd: "x") { id } }'],
  ['{ session(id: "x") { idd } }'],
  ['query ($a: SesionFilter) { __typename }'],
  ['{ events(types: [SESSION_INITIATE]) { nodes { id } } }'],
  ['query ($a: [SessionEventType!]) { events(types: $a) { nodes { id } } }', { a: ['SESSION_INITIATE'] }],
  ['query ($a: SessionFilter) { sessions(filter: $a) { nodes { id } } }', { a: { guestIdd: 'x' } }],
];

describe('where there are API keys', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ API_KEYS });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const ask = (role: Role, query: string, variables?: object) => server.graphql(query, variables, bearer(role));
  const subscribe = async (role: Role, query: string, variables: Record<string, unknown> = {}) => {
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: bearer(role) });
    const errors = await new Promise((resolve, reject) => {
      const hears = { next: () => undefined, complete: () => reject(new Error('it was not refused')) };
      client.subscribe({ query, variables }, { ...hears, error: resolve });
    });
    await client.dispose();
    return JSON.stringify(errors);
  };

  const INTROSPECTIONS = [
    '{ __schema { types { name } } }',
    '{ __type(name: "Query") { name } }',
    '{ __typename ... { ... on Query { __schema { types { name } } } } }',
    '{ ...A } fragment A on Query { __typename ...B } fragment B on Query { a: __schema { types { name } } }',
  ];

  it.each(INTROSPECTIONS)('%s is answered to OPS alone, whoever has asked before', async (query) => {
    // Apollo keeps documents that it has found valid.
    for (let again = 0; again < 2; again += 1) {
      expect((await ask('OPS', query)).errors).toBeUndefined();
      for (const role of OTHERS) {
        const { status, data, errors } = await ask(role, query);
        expect([status, data]).toEqual([400, undefined]);
        expect(errors).toEqual([
          {
            message: `A key with the role ${role} may not use introspection. Read schema.graphql.`,
            extensions: { code: 'FORBIDDEN' },
          },
        ]);
      }
    }
  });

  it('everybody may ask for the name of a type, as clients do', async () => {
    for (const role of OTHERS) expect((await ask(role, '{ __typename }')).data).toEqual({ __typename: 'Query' });
  });

  it.each(GUESSES)('nothing is suggested for %s but to OPS', async (query, variables) => {
    expect((await ask('OPS', query, variables)).errors?.[0]?.message).toContain('Did you mean');
    for (const role of OTHERS) {
      const { status, errors } = await ask(role, query, variables);
      expect(status).toBe(400);
      expect(errors?.[0]?.message).not.toMatch(/^$|did you mean/i);
    }
  });

  it.each([
    ['subscription { sesionEvents { id } }', {}],
    ['subscription ($a: [SessionEventType!]) { sessionEvents(types: $a) { id } }', { a: ['SESSION_INITIATE'] }],
  ])('over a socket nothing is suggested for %s but to OPS', async (query, variables) => {
    expect(await subscribe('OPS', query, variables)).toContain('Did you mean');
    expect(await subscribe('CRM', query, variables)).not.toMatch(/did you mean/i);
  });

  it('over a socket nobody gets introspection, and who may not see the schema is told that', async () => {
    const query = '{ __schema { types { name } } }';
    expect(await subscribe('OPS', query)).toContain('Sockets are for subscriptions');
    expect(await subscribe('CRM', query)).toContain('"FORBIDDEN"');
  });

  it('who asks for it all the same is in the audit trail, whether over HTTP or a socket; who asks too much is not', async () => {
    await ask('BACKEND', INTROSPECTIONS[0]!);
    await subscribe('CRM', INTROSPECTIONS[0]!);
    await ask('GUEST', `{ ${'a: __typename '.repeat(20)} }`);
    await ask('OPS', INTROSPECTIONS[0]!);

    const query =
      '{ audits(first: 100, filter: { kind: ACCESS_REFUSED }) { nodes { actor actorRole reason attempts } } }';
    const refusalOf = (role: Role) => ({
      actor: `the ${role} key`,
      actorRole: role,
      reason: `the role ${role} may not: introspection`,
      attempts: 1, // what was asked before or after is counted, and written when the minute is over
    });
    const entries = await eventually(async () => {
      const { nodes } = (await ask('OPS', query)).data.audits;
      return ['BACKEND', 'CRM'].every((role) => JSON.stringify(nodes).includes(`the role ${role} may not`)) && nodes;
    });
    expect(entries).toEqual(expect.arrayContaining([refusalOf('BACKEND'), refusalOf('CRM')]));
    expect(entries.every(({ reason }: { reason: string }) => reason.endsWith('may not: introspection'))).toBe(true);
    expect(JSON.stringify(entries)).not.toContain('the OPS key');
  });
});
