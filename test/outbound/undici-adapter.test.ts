import { once } from 'node:events';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import axios, { AxiosError, type AxiosRequestConfig } from 'axios';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CxoneExchange, NoAnswer } from '../../src/cxone/exchange.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import { wasNothingSent } from '../../src/outbound/undici-adapter.js';
import { eventually } from '../support/eventually.js';
import { bodyOf, closedUrl, httpClient, serve } from './raw-server.js';

const LONG_MS = 60_000;

test('a request arrives as it was meant, and its answer comes as text with its status and headers', async () => {
  const { url, requests } = await serve(async (request, response) => {
    response.writeHead(202, { 'content-type': 'application/json', 'X-Echo': await bodyOf(request) }).end('{"a":1}');
  });

  const answer = await httpClient().axios.request({
    method: 'POST',
    url: `${url}/path?kept=1`,
    params: { guestId: 'a b&c', status: 'active' },
    headers: { 'X-Request-Id': 'r-1', 'content-type': 'application/json' },
    data: '{"ok":true}',
    timeout: LONG_MS,
  });

  expect(answer).toMatchObject({ status: 202, data: '{"a":1}' });
  expect(answer.headers['x-echo']).toBe('{"ok":true}');
  expect(requests[0]?.method).toBe('POST');
  expect(new URL(requests[0]?.url ?? '', url).searchParams.toString()).toBe('kept=1&guestId=a+b%26c&status=active');
  expect(requests[0]?.headers).toMatchObject({
    'x-request-id': 'r-1',
    'content-type': 'application/json',
    'accept-encoding': 'identity',
  });
});

test.each([200, 302, 400, 404, 429, 500, 503])('an answer of %i is an answer, not an error', async (status) => {
  const { url } = await serve((_request, response) => void response.writeHead(status).end('x'));
  expect((await ask({ url })).status).toBe(status);
});

test('a body that drips is cut at the timeout, and its connection is closed', async () => {
  const { url, open } = await serve((_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 10);
    response.once('close', () => clearInterval(timer));
  });
  expect(await failureOf({ url, timeout: 150 })).toMatchObject({ code: 'ETIMEDOUT' });
  await eventually(() => open() === 0);
});

test('an answer that never comes is given up at the timeout, and its connection is closed', async () => {
  const { url, open } = await serve(() => undefined);
  expect(await failureOf({ url, timeout: 100 })).toMatchObject({ code: 'ETIMEDOUT' });
  await eventually(() => open() === 0);
});

test('a caller can abort before the request and in the middle of it', async () => {
  const { url, requests } = await serve(() => undefined);
  expect(await failureOf({ url, signal: AbortSignal.abort() })).toMatchObject({ code: 'ERR_CANCELED' });
  expect(requests).toHaveLength(0);

  const abort = new AbortController();
  const failure = failureOf({ url, signal: abort.signal });
  await eventually(() => requests.length === 1);
  abort.abort();
  expect(await failure).toMatchObject({ code: 'ERR_CANCELED' });
});

test.each([301, 302, 303, 307, 308])(
  'a redirect of %i is not followed: bearer and body go nowhere else',
  async (status) => {
    const elsewhere = await serve((_request, response) => void response.end('stolen'));
    const { url } = await serve((_request, response) => {
      response.writeHead(status, { location: elsewhere.url }).end();
    });
    const answer = await ask({ url, method: 'POST', data: '{}', headers: { authorization: 'Bearer secret' } });
    expect(answer.status).toBe(status);
    expect(elsewhere.connections()).toBe(0);
  },
);

test.each(['gzip', 'br', 'deflate', 'GZIP'])('a body in %s, which was not asked for, is refused', async (encoding) => {
  const { url } = await serve((_request, response) => {
    response.writeHead(200, { 'content-encoding': encoding }).end(gzipSync('x'.repeat(10_000)));
  });
  const http = httpClient();
  expect(await failureOf({ url }, http)).toMatchObject({ code: 'ERR_BAD_RESPONSE' });
});

test('a refused body leaves the client fit for the next request', async () => {
  let calls = 0;
  const { url } = await serve((_request, response) => {
    calls += 1;
    response.writeHead(200, calls === 1 ? { 'content-encoding': 'gzip' } : {}).end('plain');
  });
  const http = httpClient();
  expect(await failureOf({ url }, http)).toMatchObject({ code: 'ERR_BAD_RESPONSE' });
  expect(await http.axios.request({ url })).toMatchObject({ data: 'plain' });
});

test('a body of the longest allowed length is read, one byte more is refused', async () => {
  const { url } = await serve((request, response) => {
    response.writeHead(200).end('x'.repeat(Number(request.headers['x-length'])));
  });
  const limited = (length: number) => ({ url, maxContentLength: 1000, headers: { 'x-length': String(length) } });
  expect((await ask(limited(1000))).data).toHaveLength(1000);
  expect(await failureOf(limited(1001))).toMatchObject({ code: 'ERR_BAD_RESPONSE' });
});

test('a body without end is refused at the limit, not when it ends', async () => {
  const { url, open } = await serve((_request, response) => {
    response.writeHead(200);
    const pump = () => {
      while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
    };
    response.on('drain', pump);
    pump();
  });
  expect(await failureOf({ url, timeout: LONG_MS })).toMatchObject({ code: 'ERR_BAD_RESPONSE' });
  await eventually(() => open() === 0);
});

test('a character that is cut in two between chunks is read whole', async () => {
  const bytes = Buffer.from('«é»');
  const { url } = await serve((_request, response) => {
    response.write(bytes.subarray(0, 3));
    setImmediate(() => response.end(bytes.subarray(3)));
  });
  expect((await ask({ url })).data).toBe('«é»');
});

test('proxies of the environment are never asked', async () => {
  const proxy = await serve((_request, response) => void response.end('by proxy'));
  for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'ALL_PROXY']) vi.stubEnv(name, proxy.url);
  vi.stubEnv('NO_PROXY', '');
  vi.stubEnv('no_proxy', '');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { url } = await serve((_request, response) => void response.end('direct'));
  expect((await ask({ url })).data).toBe('direct');
  expect(proxy.connections()).toBe(0);
});

test('where nobody listens nothing was sent', async () => {
  const failure = await failureOf({ url: await closedUrl() });
  expect(failure).toMatchObject({ code: 'ECONNREFUSED' });
  expect(wasNothingSent(failure)).toBe(true);
});

test('a name that no address belongs to is one where nothing was sent', async () => {
  const failure = await failureOf({ url: 'http://no-such-host.invalid/' });
  expect(['ENOTFOUND', 'EAI_AGAIN']).toContain(failure.code);
  expect(wasNothingSent(failure)).toBe(true);
});

test('a server that does not speak TLS is one where nothing was sent', async () => {
  const { url, requests } = await serve((_request, response) => void response.end());
  const failure = await failureOf({ url: url.replace('http:', 'https:') });
  expect(wasNothingSent(failure), failure.code).toBe(true);
  expect(requests).toHaveLength(0);
});

test('a connection that is reset after the request was written leaves open what arrived', async () => {
  const { url } = await serve((request) => {
    request.on('data', () => undefined);
    request.once('end', () => request.socket.resetAndDestroy());
  });
  const failure = await failureOf({ url, method: 'POST', data: '{}' });
  expect(wasNothingSent(failure), failure.code).toBe(false);
});

test('a connection that is closed without an answer leaves open what arrived', async () => {
  const server = createServer((socket) => void socket.once('data', () => socket.end())).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const failure = await failureOf({ url: `http://127.0.0.1:${port}`, method: 'POST', data: '{}' });
  expect(wasNothingSent(failure), failure.code).toBe(false);
});

test('an answer that is no HTTP leaves open what arrived', async () => {
  const server = createServer((socket) => void socket.once('data', () => socket.end('SSH-2.0-OpenSSH\r\n')));
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const failure = await failureOf({ url: `http://127.0.0.1:${port}`, method: 'POST', data: '{}' });
  expect(wasNothingSent(failure), failure.code).toBe(false);
});

test('a kept connection serves many requests in turn', async () => {
  const { url, connections } = await serve((_request, response) => void response.end('ok'));
  const http = httpClient();
  for (let count = 0; count < 20; count += 1) await http.axios.request({ url });
  // Two, where the next request comes before undici has taken note that the first connection is free again.
  expect(connections()).toBeLessThanOrEqual(2);
});

test('bursts share connections: those of the first serve the next ones', async () => {
  const { url, connections } = await serve((_request, response) => void setImmediate(() => response.end('ok')));
  const http = httpClient();
  const burst = () => Promise.all(Array.from({ length: 20 }, () => http.axios.request({ url })));
  await burst();
  expect(connections()).toBeGreaterThan(1);
  for (let count = 1; count < 10; count += 1) await burst();
  expect(connections()).toBeLessThan(100); // of 200 requests
});

test('a status that the caller does not accept is an error as axios makes it', async () => {
  const { url } = await serve((_request, response) => void response.writeHead(418).end('teapot'));
  const failure = await failureOf({ url, validateStatus: (status) => status === 200 });
  expect(failure).toMatchObject({ code: 'ERR_BAD_RESPONSE', response: { status: 418, data: 'teapot' } });
  expect(axios.isAxiosError(failure)).toBe(true);
});

test.each([
  ['a refused connection', closedUrl],
  ['a hang', async () => (await serve(() => undefined)).url],
  ['a reset', async () => (await serve((request) => void request.socket.resetAndDestroy())).url],
])('after %s the bearer is in nothing that leaves the edge', async (_what, urlOf) => {
  const settings = { baseUrl: await urlOf(), timeoutMs: 100 };
  const exchange = new CxoneExchange({ axios: httpClient().axios, wasNothingSent }, settings);
  const headers = { authorization: 'Bearer top-secret-bearer' };
  const sent = exchange.send(
    { method: 'POST', path: '/x', headers, body: '{"a":"top-secret-body"}' },
    new Deadline(LONG_MS),
  );
  const error = await sent.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(NoAnswer);
  const shown = [JSON.stringify(error), inspect(error, { depth: 20, showHidden: true }), (error as NoAnswer).stack];
  for (const text of shown) expect(text).not.toContain('top-secret');
});

const ask = (config: AxiosRequestConfig, http = httpClient()) =>
  http.axios.request<string>({ method: 'GET', timeout: LONG_MS, ...config });

async function failureOf(config: AxiosRequestConfig, http = httpClient()): Promise<AxiosError> {
  const error = await ask(config, http).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AxiosError);
  return error as AxiosError;
}
