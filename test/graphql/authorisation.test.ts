import { createHash } from 'node:crypto';
import { execute, parse, subscribe, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createContext, type Services } from '../../src/graphql/context.js';
import { buildGraphqlSchema } from '../../src/graphql/schema.js';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { inputFor, OPEN } from '../support/network.js';
import { rootFields } from './operations.js';

const schema = buildGraphqlSchema();
const fields = rootFields(schema);

describe('a caller without any rights', () => {
  const nobody = createContext({ name: 'nobody', role: 'NOBODY' as never, sourceAddress: null }, {} as Services);

  it.each(fields)('may not use $kind $name: what has no rule is refused', async ({ kind, document: text }) => {
    const document = parse(text);
    expect(validate(schema, document)).toEqual([]);

    const run = kind === 'subscription' ? subscribe : execute;
    const result = await run({ schema, document, contextValue: nobody });

    expect(result).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
  });
});

describe('an API key', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ API_KEYS });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const overHttp = fields.filter(({ kind }) => kind !== 'subscription');

  it.each(overHttp.filter(({ name }) => !['createGuestSession', 'endGuestSession'].includes(name)))(
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

  it.each([
    ['createGuestSession', ['GUEST', 'BACKEND', 'OPS']],
    ['endGuestSession', ['GUEST', 'BACKEND', 'OPS']],
    ['session', ['BACKEND', 'CRM', 'OPS']],
    ['sessions', ['BACKEND', 'CRM', 'OPS']],
    ['events', ['CRM', 'OPS']],
    ['webhookDeliveries', ['CRM', 'OPS']],
    ['webhookEndpoint', ['CRM', 'OPS']],
    ['replayWebhookDelivery', ['OPS']],
    ['replayWebhookDeliveries', ['OPS']],
    ['resumeWebhookEndpoint', ['OPS']],
    ['audits', ['OPS']],
    ['metrics', ['OPS']],
    ['verifyAuditTrail', ['OPS']],
  ] as const)('gets to %s with the roles %j and no other', async (name, allowed) => {
    const { document } = fields.find((field) => field.name === name)!;
    const roles = ['GUEST', 'BACKEND', 'CRM', 'OPS'] as const;
    const answers = await Promise.all(roles.map((role) => server.graphql(document, undefined, bearer(role))));

    const isForbidden = ({ errors }: (typeof answers)[number]) =>
      errors?.some(({ extensions }) => extensions.code === 'FORBIDDEN') ?? false;
    expect(roles.filter((_role, index) => !isForbidden(answers[index]!))).toEqual(allowed);
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
