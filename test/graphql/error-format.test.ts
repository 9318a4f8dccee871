import { DatabaseSync } from '@photostructure/sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../http/server.js';
import { inputFor, OPEN, open, startNetwork } from '../support/network.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function sql(path: string, script: string): void {
  const database = new DatabaseSync(path);
  try {
    database.exec(script);
  } finally {
    database.close();
  }
}

/** What the public gets to see of a bug. */
const bugAt = (...path: (string | number)[]) => ({
  message: expect.stringMatching(/^Something went wrong on our side\. Quote the request id \S+ when you report it\.$/),
  path,
  extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.stringMatching(UUID) },
});

describe('a bug of ours', () => {
  it('in a query shows the public a request id, under which the log has the rest', async () => {
    await using server = await startServer();
    sql(server.databasePath, 'DROP TABLE "MetricBucket"');

    const { status, data, errors } = await server.graphql('{ metrics { totalRequests } }');

    expect([status, data]).toEqual([200, null]);
    expect(errors).toEqual([bugAt('metrics')]);
    const requestId = errors?.[0]?.extensions.requestId;
    const lines = server.logLines.filter((line) => line.includes(requestId!));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('MetricBucket');
  });

  it('in the pipeline is told under the request id of the attempt', async () => {
    const network = await startNetwork();
    sql(network.app.engine.databasePath, 'DROP TABLE "SessionEvent"');

    const { data, errors } = await network.graphql(OPEN, { input: inputFor() });

    // The books cannot be written at all: there is no session, and CXone was not asked for one.
    expect(data).toBeNull();
    expect(errors).toEqual([bugAt('createGuestSession')]);
    expect(network.cxone.count('create')).toBe(0);
    const requestId = errors?.[0]?.extensions.requestId;
    expect(network.logLines.filter((line) => line.includes(requestId!)).length).toBeGreaterThan(0);
  });

  it('in one field leaves the rest of the answer as it is', async () => {
    const network = await startNetwork();
    await open(network);
    sql(network.app.engine.databasePath, 'DROP TRIGGER "AuditEntry_no_delete"; DROP TABLE "AuditEntry"');

    const { data, errors } = await network.graphql(
      '{ sessions { nodes { id } } session(id: "x") { id } metrics { totalRequests } verifyAuditTrail { ok } }',
    );

    expect(data).toBeNull(); // verifyAuditTrail may not be null
    expect(errors).toEqual([bugAt('verifyAuditTrail')]);
    const { data: rest, errors: none } = await network.graphql('{ sessions { nodes { id } } session(id: "x") { id } }');
    expect(rest).toEqual({ sessions: { nodes: [{ id: expect.stringMatching(UUID) }] }, session: null });
    expect(none).toBeUndefined();
  });

  it('that GraphQL itself finds, in what the store gave, is one of ours and not of the caller', async () => {
    await using server = await startServer();
    sql(
      server.databasePath,
      `INSERT INTO "SessionEvent" ("sequence", "id", "type", "occurredAt", "requestId") VALUES (1, 'x', 'SECRET_TYPE', 0, 'y')`,
    );

    const { errors } = await server.graphql('{ events { nodes { type } } }');

    expect(errors).toEqual([bugAt('events', 'nodes', 0, 'type')]);
    expect(server.logLines.join()).toContain('SECRET_TYPE');
  });
});

describe("a caller's own fault", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('is told in words, and does not show in the log as an error', async () => {
    for (const query of [
      '{ sessions(first: 0) { nodes { id } } }',
      '{ sessions(first: 101) { nodes { id } } }',
      '{ sessions(after: "x") { nodes { id } } }',
      '{ audits(after: "x") { nodes { id } } }',
      '{ events(after: "x") { nodes { id } } }',
      '{ events(first: -1) { nodes { id } } }',
      '{ session { id } }',
      '{ session(id: "x", sessionId: "y") { id } }',
      '{ session(id: "x\\u0000") { id } }',
      '{ verifyAuditTrail(from: 0) { ok } }',
      '{ verifyAuditTrail(from: 2, to: 1) { ok } }',
      '{ metrics(from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z") { totalRequests } }',
      '{ metrics(from: "2026-01-01T00:00:30Z", to: "2026-01-01T00:00:10Z") { totalRequests } }',
      '{ metrics(from: "2026-01-01T00:00:30Z", to: "2026-01-01T00:00:30Z") { totalRequests } }',
      '{ metrics(from: "2025-01-01T00:00:00Z", to: "2026-01-01T00:00:00Z") { totalRequests } }',
    ]) {
      const { status, errors } = await server.graphql(query);
      expect(status, query).toBe(200);
      expect(errors, query).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
      expect(errors?.[0]?.message, query).not.toContain('request id ');
    }
    expect(server.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  });

  const mutation = (input: string) =>
    `mutation ($v: String = "x") { createGuestSession(input: ${input}) { requestId } }`;
  it.each([
    [
      'Argument "input" has invalid value.',
      ['createGuestSession'],
      mutation('{ guestId: $v, deviceFingerprint: "canary4711" }'),
    ],
    [
      'Argument "first" of non-null type "Int!" must not be null.',
      ['sessions'],
      'query ($v: Int = 1) { sessions(first: $v) { nodes { id } } }',
    ],
    [
      'Argument "if" of non-null type "Boolean!" must not be null.',
      undefined,
      'query ($v: Boolean = true) { sessions @skip(if: $v) { nodes { id } } }',
    ],
    [
      'Argument "if" of non-null type "Boolean!" must not be null.',
      ['sessions'],
      'query ($v: Boolean = true) { sessions { nodes @include(if: $v) { id } } }',
    ],
  ])('is also that a variable is null where no null may be: %s', async (message, path, query) => {
    const { errors } = await server.graphql(query, { v: null });

    expect(errors).toEqual([
      { message, locations: [expect.anything()], ...(path && { path }), extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    expect(server.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
    expect(server.logLines.join()).not.toContain('canary');
  });

  it('is that it names no operation of its document, and no other name is repeated', async () => {
    const ask = async (operationName: string) => {
      const body = JSON.stringify({ query: 'query A { __typename }', operationName });
      const headers = { 'content-type': 'application/json' };
      return (await fetch(`${server.url}/graphql`, { method: 'POST', headers, body })).text();
    };

    expect(await ask('B')).toContain('Unknown operation named \\"B\\".');
    expect(await ask('canary4711-x')).toContain('"Unknown operation."');
  });

  it('is none where exactly 31 days of metrics are asked for, to the second', async () => {
    const { errors } = await server.graphql(
      '{ metrics(from: "2026-01-01T00:00:59Z", to: "2026-02-01T00:00:59Z") { from to totalRequests } }',
    );

    expect(errors).toBeUndefined();
  });
});
