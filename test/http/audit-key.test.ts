import { createHash, createPublicKey, generateKeyPairSync, type JsonWebKey, verify } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadSettings } from '../../src/config.js';
import { createEngine } from '../../src/engine.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, startNetwork } from '../support/network.js';
import { temporaryDirectory } from '../support/temporary-directory.js';
import { startServer } from './server.js';

const PATH = '/.well-known/audit-key.json';
const VERIFY =
  '{ verifyAuditTrail { ok reason checked firstBrokenSequence checkpoints lastCheckpoint } audits { nodes { sequence hash } } }';
const OPEN_IT =
  'mutation($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { userErrors { code } } }';

it('is a JWK Set for everybody to keep, with which a checkpoint can be checked by nothing but Node', async () => {
  const directory = temporaryDirectory();
  const databasePath = join(directory, 'test.db');
  const file = join(directory, 'checkpoints.jsonl');
  const run = async (count: number) => {
    await using server = await startServer({ DATABASE_URL: `file:${databasePath}`, AUDIT_CHECKPOINT_FILE: file });
    const response = await fetch(server.url + PATH);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/jwk-set\+json/);
    expect(response.headers.get('cache-control')).toBe('public, max-age=3600');
    const keySet = (await response.json()) as { keys: (JsonWebKey & { kid: string })[] };
    for (let i = 0; i < count; i++) await server.graphql(OPEN_IT, { input: { ...inputFor(), crmId: null } });
    return { keySet, data: (await server.graphql(VERIFY)).data };
  };

  const first = await run(2);
  expect(Object.keys(first.keySet)).toEqual(['keys']);
  expect(first.keySet.keys.map((key) => Object.keys(key).sort())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x']]);
  expect(first.keySet.keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', use: 'sig', alg: 'EdDSA' });
  expect(first.data.verifyAuditTrail).toMatchObject({ ok: true, checkpoints: 0, lastCheckpoint: null });
  expect(statSync(`${databasePath}.audit-key`).mode & 0o777).toBe(0o600);

  // The shutdown has signed what was there, and the next run has the same key.
  const second = await run(1);
  expect(second.keySet).toEqual(first.keySet);
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const { sequence: lastCheckpoint, hash } = JSON.parse(lines[0]!);
  expect(second.data.verifyAuditTrail).toMatchObject({ ok: true, reason: null, checkpoints: 1, lastCheckpoint });
  expect(second.data.audits.nodes).toContainEqual({ sequence: lastCheckpoint, hash });
  expect(lines).toHaveLength(2);
  const [{ kid, ...jwk }] = first.keySet.keys as [JsonWebKey & { kid: string }];
  expect(kid).toBe(createHash('sha256').update(Buffer.from(jwk.x!, 'base64url')).digest('hex').slice(0, 16));
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  for (const line of lines) {
    const { version, sequence, hash, timestamp, keyId, signature } = JSON.parse(line);
    const signed = `{"hash":"${hash}","keyId":"${keyId}","sequence":${sequence},"timestamp":"${timestamp}","version":${version}}`;
    expect([version, keyId]).toEqual([1, kid]);
    expect(verify(null, Buffer.from(signed), key, Buffer.from(signature, 'base64'))).toBe(true);
  }
});

it('is not there where there is no key: on a tenant without AUDIT_SIGNING_KEY, which is warned of once', async () => {
  const network = await startNetwork();
  const response = await fetch(network.app.url + PATH);

  expect(response.status).toBe(404);
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.json()).toEqual({ error: 'This server does not sign its audit trail.' });
  expect(network.logLines.filter((line) => line.includes('AUDIT_SIGNING_KEY'))).toEqual([
    expect.stringMatching(/"level":40.*AUDIT_SIGNING_KEY is not set: the audit trail is not signed/),
  ]);
  expect(() => statSync(`${network.app.engine.databasePath}.audit-key`)).toThrow('ENOENT');
});

it('is that of AUDIT_SIGNING_KEY on a tenant, and all that is written there is signed at the shutdown', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const databaseUrl = `file:${join(temporaryDirectory(), 'test.db')}`;
  const env = { AUDIT_SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
  const network = await startNetwork({ databaseUrl, env });
  const answer = await fetch(network.app.url + PATH);
  expect(await answer.json()).toMatchObject({ keys: [{ x: publicKey.export({ format: 'jwk' }).x }] });
  await network.graphql(OPEN, { input: inputFor() });
  await eventually(() => network.crm.received.length === 1); // its entry comes after the answer
  await network[Symbol.asyncDispose]();

  expect(network.logLines.filter((line) => line.includes('"signature"'))).toHaveLength(1);
  const next = await startNetwork({ databaseUrl, env });
  expect((await next.graphql(VERIFY)).data.verifyAuditTrail).toMatchObject({
    ok: true,
    checked: 4,
    checkpoints: 1,
    lastCheckpoint: 3,
  });
});

it('a file of checkpoints that cannot be written stops the start', async () => {
  const directory = temporaryDirectory();
  const env = { DATABASE_URL: `file:${join(directory, 'test.db')}`, LOG_LEVEL: 'silent' };
  await expect(createEngine(loadSettings({ ...env, AUDIT_CHECKPOINT_FILE: directory }))).rejects.toThrow(
    /^AUDIT_CHECKPOINT_FILE: .* cannot be appended to: EISDIR/,
  );
  await using _ = await createEngine(loadSettings(env)); // and lets go of the database
});
