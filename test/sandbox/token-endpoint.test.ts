import { expect, test, vi } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { bearerOf, deleteSession, getSessions, postSession, postToken, WITHIN } from './requests.js';

test('client credentials are answered with a bearer, its lifetime and its scope', async () => {
  await using sandbox = await CxoneSandbox.start({ tokenTtlSeconds: 120 });
  const response = await postToken(sandbox);
  expect(response.status).toBe(200);
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.json()).toEqual({
    access_token: expect.stringMatching(/^\S{40,}$/),
    token_type: 'Bearer',
    expires_in: 120,
    scope: 'messaging:write messaging:read',
  });
});

test('a scope of null is left out of the token answer', async () => {
  await using sandbox = await CxoneSandbox.start({ scope: null });
  expect(await (await postToken(sandbox)).json()).not.toHaveProperty('scope');
});

test.each([
  ['a wrong secret', { client_secret: 'wrong' }, 401, 'invalid_client'],
  ['an unknown client', { client_id: 'somebody' }, 401, 'invalid_client'],
  ['another grant type', { grant_type: 'password' }, 400, 'unsupported_grant_type'],
  ['no grant type', { grant_type: '' }, 400, 'invalid_request'],
])('%s is refused as RFC 6749 says', async (_what, form, status, error) => {
  await using sandbox = await CxoneSandbox.start();
  const response = await postToken(sandbox, form);
  expect(response.status).toBe(status);
  expect(await response.json()).toEqual({ error, error_description: expect.any(String) });
});

test('a token request in JSON is an invalid_request', async () => {
  await using sandbox = await CxoneSandbox.start();
  const response = await fetch(`${sandbox.url}/oauth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ grant_type: 'client_credentials' }),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: 'invalid_request' });
});

test('a bearer is good until it expires', async () => {
  await using sandbox = await CxoneSandbox.start({ tokenTtlSeconds: 0.2 });
  const bearer = await bearerOf(sandbox);
  expect((await getSessions(sandbox, bearer)).status).toBe(200);
  await vi.waitFor(async () => expect((await getSessions(sandbox, bearer)).status).toBe(401), WITHIN);
});

test('a revoked bearer is answered 401, and a new one works', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.revokeTokens();
  const refused = await postSession(sandbox, bearer);
  expect(refused.status).toBe(401);
  expect(refused.headers.get('www-authenticate')).toContain('invalid_token');
  expect((await postSession(sandbox, await bearerOf(sandbox))).status).toBe(201);
});

test('nothing but the token is given without a bearer', async () => {
  await using sandbox = await CxoneSandbox.start();
  expect((await getSessions(sandbox, 'made-up')).status).toBe(401);
  expect((await postSession(sandbox, 'made-up')).status).toBe(401);
  expect((await deleteSession(sandbox, 'made-up', 'cxs_1')).status).toBe(401);
});
