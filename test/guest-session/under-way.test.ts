import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, startNetwork } from '../support/network.js';

test('a shutdown waits for an attempt whose caller has hung up, and writes its session down', async () => {
  const network = await startNetwork();
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 800 } });
  const caller = new AbortController();
  const asked = fetch(`${network.app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: OPEN, variables: { input: inputFor() } }),
    signal: caller.signal,
  });
  await eventually(() => network.cxone.count('create') === 1);
  caller.abort();
  await expect(asked).rejects.toThrow('aborted');

  await network.app[Symbol.asyncDispose]();

  const successor = await startNetwork({ databaseUrl: network.databaseUrl });
  const { data } = await successor.graphql('{ sessions { nodes { status sessionId audits { kind status } } } }');
  expect(data.sessions.nodes).toEqual([
    {
      status: 'ACTIVE',
      sessionId: network.cxone.sessions()[0]?.sessionId,
      audits: expect.arrayContaining([{ kind: 'SESSION_INITIATION', status: 'SUCCESS' }]),
    },
  ]);
});

test('after a shutdown has begun no attempt begins', async () => {
  const network = await startNetwork();
  const { services } = network.app.engine;
  await network.app[Symbol.asyncDispose]();

  await expect(services.open(inputFor(), { name: 'late', role: 'BACKEND', sourceAddress: null })).rejects.toThrow(
    'Something went wrong on our side.',
  );
  expect(network.cxone.count('create')).toBe(0);
});
