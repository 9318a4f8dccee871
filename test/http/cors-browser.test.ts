import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fastify } from 'fastify';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inputFor, OPEN } from '../support/network.js';
import { type Server, startServer } from './server.js';

const CHROMIUM = '/usr/bin/chromium';
const QUIET = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const OFFLINE = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** A web site with an empty page. */
async function startSite() {
  const site = fastify();
  site.get('/', (_request, reply) => reply.type('text/html').send('<title>a shop</title>'));
  const origin = await site.listen({ host: '127.0.0.1', port: 0 });
  return { origin, close: () => site.close() };
}

/** That of the browser; Node 20 has none. */
declare const WebSocket: typeof import('ws').WebSocket;

/** What a page sees when it opens a session and a socket; runs in the browser. */
async function ask({ url, query, variables }: { url: string; query: string; variables: object }) {
  const status = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer widget', 'idempotency-key': 'once' },
    body: JSON.stringify({ query, variables }),
  }).then(
    ({ status }) => status,
    () => 'cannot be read',
  );
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const said = await new Promise<string>((resolve) => {
    socket.onopen = () => socket.send('{"type":"connection_init","payload":{"authorization":"Bearer widget"}}');
    socket.onmessage = ({ data }) => resolve(JSON.parse(String(data)).type);
    socket.onclose = ({ code }) => resolve(String(code));
  });
  return { status, said };
}

describe.skipIf(!existsSync(CHROMIUM))(`a key for web pages in a browser (needs ${CHROMIUM})`, () => {
  let shop: Awaited<ReturnType<typeof startSite>>;
  let other: Awaited<ReturnType<typeof startSite>>;
  let server: Server;
  let browser: Browser;
  beforeAll(async () => {
    [shop, other] = await Promise.all([startSite(), startSite()]);
    const sha256 = createHash('sha256').update('widget').digest('hex');
    const widget = { name: 'widget', role: 'GUEST', sha256, origins: [shop.origin] };
    server = await startServer({ API_KEYS: JSON.stringify([widget]) });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...QUIET, ...OFFLINE] });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    await Promise.all([shop?.close(), other?.close()]);
  });

  const askFrom = async (origin: string) => {
    const page = await browser.newPage();
    await page.goto(origin);
    return page.evaluate(ask, { url: server.url, query: OPEN, variables: { input: inputFor() } });
  };

  it('works on the pages that it names', async () => {
    // It gets a socket, on which it is told that a guest may subscribe to nothing.
    expect(await askFrom(shop.origin)).toEqual({ status: 200, said: '4403' });
  }, 60_000);

  it('works on no other page: nothing is opened, and no answer can be read', async () => {
    const before = server.app.engine.sandbox.cxone!.count('create');

    expect(await askFrom(other.origin)).toEqual({ status: 'cannot be read', said: '1006' });
    expect(server.app.engine.sandbox.cxone!.count('create')).toBe(before);
  }, 60_000);
});
