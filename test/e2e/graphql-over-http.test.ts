import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';

/** The audits of the specification (https://graphql.github.io/graphql-over-http/), by those who wrote it. */
describe('the audit suite of GraphQL over HTTP', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ API_KEYS });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const fetchFn = (url: string, init: RequestInit = {}) =>
    fetch(url, { ...init, headers: { ...init.headers, 'apollo-require-preflight': 'true', ...bearer('OPS') } });
  const audits = serverAudits({ url: () => `${server.url}/graphql`, fetchFn });

  it('is whole', () => expect(audits).toHaveLength(61));

  it.each(audits)('is content: $name', async ({ fn }) => {
    const { status, ...rest } = await fn();

    expect(status, 'reason' in rest ? rest.reason : '').toBe('ok');
  });
});
