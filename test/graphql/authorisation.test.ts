import { createHash, randomUUID } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Role } from '../../src/access-settings.js';
import { buildGraphqlSchema } from '../../src/graphql/schema.js';
import { ROLES } from '../../src/key-formats.js';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { inputFor, OPEN } from '../support/network.js';
import { rootFields } from './operations.js';
import { RULES } from './role-rules.js';

const fields = rootFields(buildGraphqlSchema());

describe('an API key', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ API_KEYS, RATE_LIMITS: 'off' });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const overHttp = fields.filter(({ kind }) => kind !== 'subscription');

  it.each(overHttp.filter(({ name }) => !RULES[name]!.includes('GUEST')))(
    'of a GUEST may not use $kind $name',
    async ({ name, document }) => {
      const { data, errors } = await server.graphql(document, undefined, bearer('GUEST'));

      expect(data?.[name] ?? null).toBeNull();
      expect(errors).toEqual([
        {
          message: `A key with the role GUEST may not use "${name}".`,
          path: [name],
          locations: expect.anything(),
          extensions: { code: 'FORBIDDEN' },
        },
      ]);
    },
  );

  it.each(overHttp.map(({ name, document }) => [name, RULES[name]!, document] as const))(
    'gets to %s with the roles %j and no other',
    async (_name, allowed, document) => {
      const answers = await Promise.all(ROLES.map((role) => server.graphql(document, undefined, bearer(role))));

      const isForbidden = ({ errors }: (typeof answers)[number]) =>
        errors?.some(({ extensions }) => extensions.code === 'FORBIDDEN') ?? false;
      expect(ROLES.filter((_role, index) => !isForbidden(answers[index]!))).toEqual(allowed);
    },
  );

  it('gets to sessionEvents over a socket with the roles that the table has, and no other', async () => {
    await server.graphql(OPEN, { input: inputFor() }, bearer('BACKEND'));
    const { data } = await server.graphql('{ events(first: 1) { nodes { cursor } } }', undefined, bearer('OPS'));
    const variables = { after: data.events.nodes[0].cursor };
    const query = 'subscription ($after: String) { sessionEvents(after: $after) { type } }';
    const url = `${server.url.replace('http', 'ws')}/graphql`;
    const first = (role: Role) =>
      new Promise<'an event' | number>((resolve, reject) => {
        const client = createClient({
          url,
          webSocketImpl: WebSocket,
          retryAttempts: 0,
          connectionParams: bearer(role),
        });
        onTestFinished(async () => void (await client.dispose()));
        client.subscribe(
          { query, variables },
          {
            next: () => resolve('an event'),
            error: (event) => resolve((event as { code: number }).code),
            complete: () => reject(new Error('it ended without an event')),
          },
        );
      });

    const answers = await Promise.all(ROLES.map(first));
    const expected = ROLES.map((role) => (RULES.sessionEvents?.includes(role) ? 'an event' : 4403));
    expect(answers).toEqual(expected);
  });

  it('of a GUEST opens a session, under the name of the key', async () => {
    const input = inputFor();
    const opened = await server.graphql(
      'mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { requestId clientToken } }',
      { input },
      bearer('GUEST'),
    );
    expect(opened.data.createGuestSession.clientToken).toMatch(/^ctk_/);

    const { data } = await server.graphql(
      'query ($id: String) { audits(filter: { requestId: $id }) { nodes { actor } } }',
      { id: opened.data.createGuestSession.requestId },
      bearer('OPS'),
    );
    expect(data.audits.nodes).toEqual([{ actor: 'the GUEST key' }]);
  });

  it('of a GUEST never shows a fraud score: whoever can read it can try until it is low', async () => {
    const { data, errors } = await server.graphql(OPEN, { input: inputFor() }, bearer('GUEST'));

    expect(data.createGuestSession.session).toMatchObject({ status: 'ACTIVE', fraudScore: null });
    expect(errors).toMatchObject([
      { path: ['createGuestSession', 'session', 'fraudScore'], extensions: { code: 'FORBIDDEN' } },
    ]);
    expect(
      (await server.graphql(OPEN, { input: inputFor() }, bearer('BACKEND'))).data.createGuestSession,
    ).toMatchObject({
      session: { fraudScore: 60 },
    });
  });

  it.each(['events { cursor }', 'audits { sequence }'])(
    'of a GUEST does not show %s of a session, though it has opened it',
    async (field) => {
      const [name] = field.split(' ');
      const { data, errors } = await server.graphql(
        `mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { session { ${field} } } }`,
        { input: inputFor() },
        bearer('GUEST'),
      );

      expect(data.createGuestSession.session).toBeNull();
      expect(errors).toMatchObject([
        { path: ['createGuestSession', 'session', name], extensions: { code: 'FORBIDDEN' } },
      ]);
    },
  );

  describe('of a GUEST, asking for one session,', () => {
    const askFor = (selection: string, variables: object, role: Role = 'GUEST') =>
      server.graphql(
        `query ($id: ID, $sessionId: String) { session(id: $id, sessionId: $sessionId) { ${selection} } }`,
        variables,
        bearer(role),
      );
    const openAs = async (role: Role) => {
      const { data } = await server.graphql(OPEN, { input: inputFor() }, bearer(role));
      return data.createGuestSession.session as { id: string; sessionId: string; guestId: string };
    };

    it('reads what it has opened, by either id, also when that is over', async () => {
      const { id, sessionId, guestId } = await openAs('GUEST');
      const own = { id, sessionId, guestId, status: 'ACTIVE' };
      const selection = 'id sessionId guestId status';

      expect(await askFor(selection, { id })).toEqual({ status: 200, data: { session: own } });
      expect(await askFor(selection, { sessionId })).toEqual({ status: 200, data: { session: own } });
      const end = 'mutation ($id: ID) { endGuestSession(input: { id: $id }) { upstreamEnded } }';
      await server.graphql(end, { id }, bearer('GUEST'));
      expect((await askFor(selection, { id })).data.session.status).toBe('ENDED');
    });

    it.each(['id status', 'id fraudScore events { cursor } audits { sequence }'])(
      'is told the same of what another has opened as of what there is not: { %s }',
      async (selection) => {
        const { id, sessionId } = await openAs('BACKEND');
        const asked = [{ id }, { id: randomUUID() }, { sessionId }, { sessionId: `cxs_${randomUUID()}` }];

        const answers = await Promise.all(asked.map((which) => askFor(selection, which)));
        expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
          new Set(['{"status":200,"data":{"session":null}}']),
        );
      },
    );

    it('is the only one who is kept from what others have opened', async () => {
      for (const { id } of [await openAs('GUEST'), await openAs('BACKEND')])
        for (const role of ['BACKEND', 'CRM', 'OPS'] as const)
          expect((await askFor('id', { id }, role)).data.session, role).toEqual({ id });
    });
  });

  it('that may read sessions may not read their audits without the right to audits', async () => {
    const query = '{ sessions(first: 1) { nodes { id audits { sequence } } } }';
    await server.graphql(OPEN, { input: inputFor() }, bearer('BACKEND'));

    const { errors } = await server.graphql(query, undefined, bearer('BACKEND'));
    expect(errors).toMatchObject([{ path: ['sessions', 'nodes', 0, 'audits'], extensions: { code: 'FORBIDDEN' } }]);
    expect((await server.graphql(query, undefined, bearer('OPS'))).errors).toBeUndefined();
  });

  it.each([
    ['missing', {}],
    ['unknown', { authorization: 'Bearer wrong' }],
    ['of another scheme', { authorization: 'Basic b3BzOm9wcw==' }],
    ['given as its hash', { authorization: `Bearer ${createHash('sha256').update('ops').digest('hex')}` }],
  ])('that is %s gets 401, and nothing is done or told', async (_what, headers) => {
    const before = server.app.engine.sandbox.cxone!.count('create');
    for (const query of ['{ sessions { nodes { id } } }', '{ __schema { types { name } } }']) {
      const response = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(headers as Record<string, string>) },
        body: JSON.stringify({ query }),
      });

      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await response.json()).toEqual({
        errors: [{ message: expect.stringContaining('Send a valid API key'), extensions: { code: 'UNAUTHENTICATED' } }],
      });
    }
    const opened = await server.graphql(OPEN, { input: inputFor() }, headers as Record<string, string>);
    expect([opened.status, server.app.engine.sandbox.cxone!.count('create')]).toEqual([401, before]);
  });

  it('is not asked for where the health of the server is', async () => {
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
  });
});
