import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type FastifyInstance, fastify } from 'fastify';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerPlayground } from '../../src/http/playground.js';
import { RawConnection } from './server.js';

const directory = fileURLToPath(new URL('../../dist/playground', import.meta.url));

/** A server that has nothing but the playground. */
async function serve(from: string | null, around?: (app: FastifyInstance) => void) {
  const app = fastify();
  around?.(app);
  await registerPlayground(app, { directory: from });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const get = async (path: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') => {
    // Not fetch: that one follows redirects and unpacks bodies, which is what these tests look at.
    const response = await request(origin + path, { method, headers });
    const body = Buffer.from(await response.body.arrayBuffer());
    return { status: response.statusCode, headers: response.headers, body, text: body.toString() };
  };
  return { origin, get, [Symbol.asyncDispose]: () => app.close() };
}

type Server = Awaited<ReturnType<typeof serve>>;

describe('the playground', () => {
  let server: Server;
  const assets = readdirSync(directory).filter((name) => name !== 'index.html' && !/\.(br|gz)$/.test(name));
  const script = assets.find((name) => name.startsWith('graphiql') && name.endsWith('.js'))!;

  beforeAll(async () => {
    server = await serve(directory);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(['/playground', '/playground/', '/playground/index.html', '/playground?query=x'])(
    'is served at %s',
    async (path) => {
      const { status, headers, text } = await server.get(path);

      expect(status).toBe(200);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      expect(headers['cache-control']).toBe('no-store');
      expect(text).toContain('<div id="root"></div>');
    },
  );

  it('answers HEAD as GET, without a body', async () => {
    const { status, headers, body } = await server.get('/playground', {}, 'HEAD');

    expect([status, headers['content-type'], body.length]).toEqual([200, 'text/html; charset=utf-8', 0]);
  });

  it('serves every file that its page names', async () => {
    const { text } = await server.get('/playground');
    const names = [...text.matchAll(/"(\/playground\/[^"]+)"/g)].map(([, name]) => name!);

    expect(names).toHaveLength(8);
    expect(names.map((name) => name.replace('/playground/', '')).sort()).toEqual([...assets].sort());
    for (const name of names) expect((await server.get(name)).status, name).toBe(200);
  });

  it.each(assets)('lets browsers keep %s for ever, and only as what it is', async (name) => {
    const { headers, body } = await server.get(`/playground/${name}`);

    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['content-type']).toMatch(
      { js: /javascript/, css: /text\/css/, ico: /icon/ }[name.split('.').at(-1)!]!,
    );
    expect(body.equals(readFileSync(join(directory, name)))).toBe(true);
  });

  it.each([
    ['br', brotliDecompressSync],
    ['gzip', gunzipSync],
  ] as const)('sends what was compressed with %s beforehand to those who read it', async (encoding, unpack) => {
    const { headers, body } = await server.get(`/playground/${script}`, { 'accept-encoding': encoding });

    expect(headers['content-encoding']).toBe(encoding);
    expect(headers.vary).toBe('accept-encoding');
    expect(headers['content-type']).toMatch(/javascript/);
    expect(body.length).toBeLessThan(2_000_000);
    expect(unpack(body).equals(readFileSync(join(directory, script)))).toBe(true);
  });

  it('gives each of its pages a nonce of its own, and that to one script', async () => {
    const answers = [await server.get('/playground'), await server.get('/playground')];
    const nonces = answers.map(
      ({ headers }) => /'nonce-([\w-]{22})'/.exec(String(headers['content-security-policy']))?.[1],
    );

    expect(new Set(nonces)).toHaveProperty('size', 2);
    for (const [i, { text, headers }] of answers.entries()) {
      expect(text.split(nonces[i]!)).toHaveLength(2);
      expect(text).toMatch(new RegExp(`<script src="/playground/styles\\.\\w+\\.js" nonce="${nonces[i]}"></script>`));
      expect(headers['content-security-policy']).toContain(`style-src 'self' 'nonce-${nonces[i]}';`);
    }
  });

  it.each([
    '/playground/./index.html',
    '/playground/%2e/index.html',
    '/playground//index.html',
    '/playground/index.html/',
  ])('does not give its page away as a file that may be kept, at %s', async (path) => {
    const connection = await RawConnection.open(server.origin);
    connection.write(`GET ${path} HTTP/1.1\nhost: localhost\nconnection: close\n\n`);
    await connection.closes();

    expect(connection.received).not.toContain('immutable');
    expect(connection.received).not.toContain('{{nonce}}');
  });

  it.each(['/playground', `/playground/${script}`, '/playground/missing.js'])(
    'protects %s with a strict policy',
    async (path) => {
      const { headers } = await server.get(path);
      const host = new URL(server.origin).host;
      const policy = String(headers['content-security-policy']).split('; ');

      expect(policy).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          "worker-src 'self'",
          expect.stringMatching(/^style-src 'self'( 'nonce-[\w-]+')?$/),
          `connect-src 'self' ws://${host} wss://${host}`,
          "object-src 'none'",
          "base-uri 'none'",
          "frame-ancestors 'none'",
        ]),
      );
      expect(headers['referrer-policy']).toBe('no-referrer');
      expect(headers['x-content-type-options']).toBe('nosniff');
    },
  );

  it('repeats no host in its policy that could change it', async () => {
    const { headers } = await server.get('/playground', { host: "evil.test; script-src 'unsafe-inline'" });

    expect(headers['content-security-policy']).not.toContain('evil.test');
  });

  it('keeps its policy where the app around it sets another, and leaves other routes theirs', async () => {
    await using other = await serve(directory, (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        reply.header('content-security-policy', "default-src 'self'");
      });
      app.get('/other', async () => 'other');
    });

    expect((await other.get('/playground')).headers['content-security-policy']).toContain("default-src 'none'");
    expect((await other.get('/other')).headers['content-security-policy']).toBe("default-src 'self'");
    expect((await other.get('/other')).headers['referrer-policy']).toBeUndefined();
  });

  it('names no other host in its page or its own script', () => {
    const boot = assets.find((name) => name.startsWith('boot.'))!;
    for (const name of ['index.html', boot]) {
      expect(readFileSync(join(directory, name), 'utf8'), name).not.toMatch(/(https?:|wss?:)?\/\/[a-z0-9-]+\./i);
    }
  });

  it.each([
    '/playground/missing.js',
    '/playground/../package.json',
    '/playground/%2e%2e/%2e%2e/package.json',
    '/playground/.build',
  ])('does not serve %s', async (path) => {
    expect((await server.get(path)).status).toBe(404);
  });

  it('says what to run when it has not been built', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'no-playground-'));
    await using unbuilt = await serve(join(empty, 'playground'));

    for (const path of ['/playground', '/playground/', '/playground/boot.js']) {
      const { status, headers, text } = await unbuilt.get(path);
      expect(status).toBe(404);
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(text).toContain('npm run build');
    }
    rmSync(empty, { recursive: true });
  });

  it('is nowhere, and nobody is led there, where it is switched off', async () => {
    await using without = await serve(null);

    expect((await without.get('/playground')).status).toBe(404);
    const { status, text } = await without.get('/', { accept: 'text/html' });
    expect([status, JSON.parse(text)]).toEqual([200, { graphql: '/graphql' }]);
  });

  it('is where a browser that asks for / is led', async () => {
    const { status, headers } = await server.get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });

    expect([status, headers.location, headers.vary]).toEqual([302, '/playground', 'accept']);
  });

  it.each([{}, { accept: '*/*' }, { accept: 'application/json' }])(
    'is pointed to when a program asks for / with %j',
    async (headers) => {
      const { status, text } = await server.get('/', headers as Record<string, string>);

      expect(status).toBe(200);
      expect(JSON.parse(text)).toEqual({ graphql: '/graphql', playground: '/playground' });
    },
  );
});
