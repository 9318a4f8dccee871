import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { inputFor, OPEN } from '../support/network.js';
import {
  AUDIENCE,
  ISSUER,
  type IssuerKey,
  KeySetServer,
  makeIssuerKey,
  secondsIn,
  tokenBy,
} from '../support/token-issuer.js';

const A_SECOND_MS = 1_000;
const SHOP = 'https://shop.example.com';
const PORTAL = 'https://portal.example.com';
const EVIL = 'https://evil.example.com';
const END = 'mutation ($input: EndGuestSessionInput!) { endGuestSession(input: $input) { userErrors { code } } }';

const entry = (key: string, role: string, origins?: string[]) => ({
  name: `the ${key} key`,
  role,
  sha256: createHash('sha256').update(key).digest('hex'),
  ...(origins && { origins }),
});
const envFor = (issuer: KeySetServer) => ({
  API_KEYS: JSON.stringify([entry('ops', 'OPS'), entry('portal', 'CRM', [PORTAL])]),
  AUTH_JWKS_URL: issuer.url,
  AUTH_ISSUER: ISSUER,
  AUTH_AUDIENCE: AUDIENCE,
  AUTH_ROLE_CLAIM: 'https://example.com/role',
  AUTH_ORIGINS: SHOP,
});

let keys: IssuerKey[];
let issuer: KeySetServer;
let server: Server;
beforeAll(async () => {
  keys = await Promise.all(['ES256', 'EdDSA', 'RS256'].map((alg) => makeIssuerKey(alg)));
  issuer = await KeySetServer.start(...keys);
  server = await startServer(envFor(issuer));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

const tokenFor = (role: string, sub: string, claims: object = {}, key = keys[0]!) =>
  tokenBy(key, { role: undefined, 'https://example.com/role': role, sub, ...claims });

/** Sends what a page of this origin, or a program, would send. */
async function ask(token: string, query: string, variables?: object, origin?: string, to = server) {
  const { statusCode, headers, body } = await request(`${to.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...(origin && { origin }) },
    body: JSON.stringify({ query, variables }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  return { status: statusCode, headers, answer: (await body.json()) as any };
}

/** What the trail tells of who did what, the newest first. */
async function trail(): Promise<{ kind: string; actor: string; actorRole: string; reason: string | null }[]> {
  const { answer } = await ask('ops', '{ audits(first: 100) { nodes { kind actor actorRole reason } } }');
  return answer.data.audits.nodes;
}
const isAudited = (actor: string, reason: string) =>
  eventually(async () => (await trail()).some((entry) => entry.actor === actor && entry.reason === reason));

describe('a token', () => {
  it.each([0, 1, 2])('of each of the algorithms may what its role may, by the name of its subject (%i)', async (n) => {
    const token = await tokenFor('BACKEND', `portal-${n}`, {}, keys[n]!);
    const { status, answer } = await ask(token, OPEN, { input: inputFor() });

    expect([status, answer.data.createGuestSession.session.status]).toEqual([200, 'ACTIVE']);
    expect(await trail()).toContainEqual(
      expect.objectContaining({ kind: 'SESSION_INITIATION', actor: `jwt:portal-${n}`, actorRole: 'BACKEND' }),
    );
    const forbidden = await ask(token, '{ audits { nodes { id } } }');
    expect(forbidden.answer.errors[0].extensions.code).toBe('FORBIDDEN');
    await isAudited(`jwt:portal-${n}`, 'the role BACKEND may not: Query.audits');
  });

  it('that is not good is refused as any key, over HTTP and sockets, and only the trail says why', async () => {
    const token = await tokenFor('OPS', 'mallory', { aud: 'somebody else' });
    const { status, headers, answer } = await ask(token, '{ __typename }');

    expect([status, headers['www-authenticate'], answer.errors[0].extensions.code]).toEqual([
      ...[401, 'Bearer', 'UNAUTHENTICATED'],
    ]);
    expect(answer.errors[0].message).toMatch(/Send a valid API key or token: "Authorization: Bearer …"\.$/);
    expect(await openWithKey(server.url, token)).toMatchObject({ isAcknowledged: false, code: 4403 });
    await isAudited('anonymous', 'the token is for another audience');
  });

  it('opens a socket, which is closed with 4403 within a second of its expiry', async () => {
    const expiry = secondsIn(700);
    const brief = await openWithKey(server.url, await tokenFor('CRM', 'brief', { exp: expiry }));
    const long = await openWithKey(server.url, await tokenFor('CRM', 'long'));
    expect([brief.isAcknowledged, long.isAcknowledged]).toEqual([true, true]);

    expect(await brief.closes(expiry * 1000 - Date.now() + A_SECOND_MS)).toBe(4403);
    expect(Date.now()).toBeGreaterThanOrEqual(expiry * 1000);
    expect(long.code).toBeNull();
    await isAudited('jwt:brief', 'the token is expired');
  });
});

describe('guests with tokens', () => {
  it('end what they have opened, and not what others have', async () => {
    const [jane, john] = [await tokenFor('GUEST', 'jane'), await tokenFor('GUEST', 'john')];
    const { answer } = await ask(jane, OPEN.replace('fraudScore', ''), { input: inputFor() });
    const { id } = answer.data.createGuestSession.session;
    const codesOf = async (token: string) =>
      (await ask(token, END, { input: { id } })).answer.data.endGuestSession.userErrors.map(
        ({ code }: { code: string }) => code,
      );

    expect(await codesOf(john)).toEqual(['NOT_FOUND']);
    expect(await codesOf(jane)).toEqual([]);
  });

  it('are told apart in the trail, and named nowhere: not there, in the log, or in the database', async () => {
    const subject = 'jane.doe-4711@example.com';
    const token = await tokenFor('GUEST', subject);
    await ask(token, OPEN.replace('fraudScore', ''), { input: { ...inputFor(), idempotencyKey: 'once' } });
    await ask(token, '{ audits { nodes { id } } }');
    await ask(token, '{ __typename }', undefined, EVIL);
    await ask(await tokenFor('GUEST', subject, { exp: secondsIn(-2_000) }), '{ __typename }');
    expect(await (await openWithKey(server.url, token, server.url)).closes()).toBe(4403); // may subscribe to nothing
    const entries = await eventually(async () => {
      const found = (await trail()).filter(({ actor, actorRole }) => actorRole === 'GUEST' && actor.length > 20);
      return found.filter(({ kind }) => kind === 'ACCESS_REFUSED').length >= 4 && found;
    });

    const actor = entries[0]?.actor;
    expect(actor).toMatch(/^jwt:[\w-]{22}$/);
    const kinds = entries.filter((entry) => entry.actor === actor).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual([...Array.from({ length: 4 }, () => 'ACCESS_REFUSED'), 'SESSION_INITIATION']);
    const files = ['', '-wal'].map((suffix) => readFileSync(server.databasePath + suffix));
    for (const bytes of [...files, Buffer.from(JSON.stringify(await trail())), Buffer.from(server.logLines.join())]) {
      for (const canary of [subject, token, token.split('.')[1]!]) expect(bytes.includes(canary)).toBe(false);
    }
  });
});

describe('a page', () => {
  const preflight = (origin: string) =>
    request(`${server.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });

  it('that AUTH_ORIGINS names may use tokens, over HTTP and sockets', async () => {
    const { statusCode, headers, body } = await preflight(SHOP);
    await body.dump();
    expect([statusCode, headers['access-control-allow-origin']]).toEqual([204, SHOP]);

    const token = await tokenFor('CRM', 'alice');
    const { status, headers: told } = await ask(token, '{ __typename }', undefined, SHOP);
    expect([status, told['access-control-allow-origin']]).toEqual([200, SHOP]);
    expect(await openWithKey(server.url, token, SHOP)).toMatchObject({ isAcknowledged: true });
  });

  it("of the server's own origin may use them, too", async () => {
    const token = await tokenFor('CRM', 'alice');
    expect((await ask(token, '{ __typename }', undefined, server.url)).status).toBe(200);
    expect(await openWithKey(server.url, token, server.url)).toMatchObject({ isAcknowledged: true });
  });

  it('that an API key alone names may not: 403, on a socket 4403', async () => {
    const token = await tokenFor('CRM', 'alice');
    const { status, answer } = await ask(token, '{ __typename }', undefined, PORTAL);
    expect([status, answer.errors[0].extensions.code]).toEqual([403, 'FORBIDDEN']);
    expect(await openWithKey(server.url, token, PORTAL)).toMatchObject({ refused: null, code: 4403 });
    await isAudited('jwt:alice', `the origin ${PORTAL} is not one that may use tokens`);
  });

  it('that nothing names is granted no preflight, and no socket', async () => {
    const { statusCode, headers, body } = await preflight(EVIL);
    await body.dump();
    expect([statusCode, headers['access-control-allow-origin']]).toEqual([404, undefined]);
    expect((await openWithKey(server.url, await tokenFor('CRM', 'alice'), EVIL)).refused).toBe(403);
  });
});

it('while the issuer gives no keys, tokens are put off (503, on a socket 1013), and API keys are as good as ever', async () => {
  await using away = await KeySetServer.start(...keys);
  away.goDown();
  await using other = await startServer(envFor(away));
  const token = await tokenFor('CRM', 'alice');
  const put = await ask(token, '{ __typename }', undefined, undefined, other);

  expect([put.status, put.headers['retry-after'], put.answer.errors[0].extensions]).toEqual([
    ...[503, '1', { code: 'SERVICE_UNAVAILABLE' }],
  ]);
  expect(await openWithKey(other.url, token)).toMatchObject({ isAcknowledged: false, code: 1013 });
  expect((await ask('ops', '{ __typename }', undefined, undefined, other)).status).toBe(200);
  const failures = () => other.logLines.filter((line) => line.includes('AUTH_JWKS_URL cannot be read'));
  expect(failures()).toHaveLength(1);

  away.comeUp();
  await eventually(async () => (await ask(token, '{ __typename }', undefined, undefined, other)).status === 200);
  expect(await openWithKey(other.url, token)).toMatchObject({ isAcknowledged: true });
  expect(failures()).toHaveLength(1);
});
