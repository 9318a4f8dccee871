import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CrmWebhook } from '../../src/crm/crm-webhook.js';
import { createHttpClient } from '../../src/outbound/http-client.js';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { serve } from '../outbound/raw-server.js';
import { eventually } from '../support/eventually.js';

const BODY = '{"event":"session.initiated"}';
const TIMEOUT_MS = 200;
/** What a busy machine may take on top. */
const SLACK_MS = 1_500;

async function start({ secrets = [] as string[], url = '', timeoutMs = TIMEOUT_MS } = {}) {
  const crm = await CrmSandbox.start();
  const http = createHttpClient();
  onTestFinished(async () => {
    await http[Symbol.asyncDispose]();
    await crm[Symbol.asyncDispose]();
  });
  const webhook = new CrmWebhook(http.axios, { url: url || crm.url, timeoutMs, secrets });
  return { crm, webhook };
}

describe('posting to the CRM', () => {
  it('sends the body as it is, with its id, as JSON', async () => {
    const { crm, webhook } = await start();
    const posted = await webhook.post('evt-1', BODY);
    expect(posted).toEqual({
      startedAt: expect.any(Date),
      durationMs: expect.any(Number),
      statusCode: 200,
      error: null,
      retryAfterMs: null,
    });
    expect(crm.received).toMatchObject([
      { rawBody: BODY, headers: { 'webhook-id': 'evt-1', 'content-type': 'application/json' } },
    ]);
    expect(crm.received[0]?.headers).not.toHaveProperty('webhook-signature');
  });

  it('signs with every secret, anew for each try', async () => {
    const secrets = [0, 1].map(() => `whsec_${randomBytes(32).toString('base64')}`);
    const { crm, webhook } = await start({ secrets });
    await webhook.post('evt-1', BODY);
    await webhook.post('evt-1', BODY);
    for (const { headers, rawBody } of crm.received) {
      for (const secret of secrets) {
        expect(new Webhook(secret).verify(rawBody, headers as Record<string, string>)).toEqual(JSON.parse(BODY));
      }
    }
    expect(crm.received.map(({ headers }) => headers['webhook-id'])).toEqual(['evt-1', 'evt-1']);
  });

  it.each([200, 201, 202, 204, 299])('takes %d for a success', async (status) => {
    const { crm, webhook } = await start();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status, body: '' } });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: status, error: null });
  });

  it.each([304, 400, 401, 404, 410, 429, 500, 503])('takes %d for a failure', async (status) => {
    const { crm, webhook } = await start();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status, body: '' } });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: status, error: `status ${status}` });
  });

  it.each([301, 302, 307, 308])('takes %d for a failure, and goes nowhere', async (status) => {
    const elsewhere = await start();
    const { crm, webhook } = await start();
    const headers = { location: elsewhere.crm.url };
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status, headers, body: '' } });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: status, error: `status ${status}` });
    expect([elsewhere.crm.count('webhook'), crm.count('webhook')]).toEqual([0, 1]);
  });

  it.each<[string, Fault]>([
    ['never answers', { kind: 'hang' }],
    ['begins to answer and never ends', { kind: 'drip', everyMs: 20 }],
    ['answers too late', { kind: 'slow', delayMs: 10_000 }],
  ])('gives up on time when the CRM %s', async (_, fault) => {
    const { crm, webhook } = await start();
    crm.scenarios.add({ on: 'webhook', fault });
    const { statusCode, error, durationMs } = await webhook.post('evt-1', BODY);
    expect({ statusCode, error }).toEqual({ statusCode: null, error: 'no answer (ETIMEDOUT)' });
    expect(durationMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    expect(durationMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  });

  it.each<[string, Fault, string]>([
    ['resets the connection', { kind: 'reset' }, 'no answer (ECONNRESET)'],
    ['drops the connection', { kind: 'outage' }, 'no answer (UND_ERR_SOCKET)'],
    ['ends in the middle of its answer', { kind: 'truncated' }, 'no answer (UND_ERR_SOCKET)'],
  ])('is not taken when the CRM %s', async (_, fault, error) => {
    const { crm, webhook } = await start();
    crm.scenarios.add({ on: 'webhook', fault });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: null, error });
  });

  it('reads no more than 16 KiB of the answer: its status says all that counts', async () => {
    const { crm, webhook } = await start({ timeoutMs: 5_000 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'oversized' } });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: 200, error: null });
  });

  it.each([200, 500])('does not wait for the end of an answer of %d that has none', async (status) => {
    const server = await serve((_request, response) => {
      response.writeHead(status);
      const write = () => {
        while (!response.destroyed && response.write('x'.repeat(8_192)));
      };
      response.on('drain', write);
      write();
    });
    const { webhook } = await start({ url: server.url });
    const { statusCode, error, durationMs } = await webhook.post('evt-1', BODY);
    expect({ statusCode, error }).toEqual({ statusCode: status, error: status === 200 ? null : 'status 500' });
    expect(durationMs).toBeLessThan(TIMEOUT_MS);
    await eventually(() => server.open() === 0); // it was cut
  });

  it('goes by the status of an answer that is compressed, though nobody asked for that', async () => {
    const { crm, webhook } = await start();
    const gzipped = (status: number, headers = {}) =>
      ({ kind: 'status', status, headers: { ...headers, 'content-encoding': 'gzip' }, body: 'x' }) as const;
    crm.scenarios.add({ on: 'webhook', fault: gzipped(200), times: 1 });
    crm.scenarios.add({ on: 'webhook', fault: gzipped(410), times: 1 });
    crm.scenarios.add({ on: 'webhook', fault: gzipped(503, { 'retry-after': '7' }), times: 1 });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: 200, error: null });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: 410, error: 'status 410' });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: 503, retryAfterMs: 7_000 });
  });

  it('does not mind an answer that is no JSON: only the status counts', async () => {
    const { crm, webhook } = await start();
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'malformed' } });
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: 200, error: null });
  });

  it('does not throw when there is nobody, or somebody who does not speak HTTP', async () => {
    const { crm, webhook } = await start();
    await crm.refuseConnections();
    expect(await webhook.post('evt-1', BODY)).toMatchObject({ statusCode: null, error: 'no answer (ECONNREFUSED)' });

    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('SSH-2.0-OpenSSH_9.9\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const other = await start({ url: `http://127.0.0.1:${port}/hook` });
    const { statusCode, error } = await other.webhook.post('evt-1', BODY);
    expect({ statusCode, error }).toEqual({ statusCode: null, error: expect.stringMatching(/^no answer \(\w+\)$/) });
  });
});
