import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { request } from 'undici';
import { expect, it, onTestFinished } from 'vitest';
import { loadSettings } from '../../src/config.js';
import { createEngine } from '../../src/engine.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, startNetwork } from '../support/network.js';

const EVERYTHING = /* GraphQL */ `
  {
    sessions(first: 100) { nodes {
      id requestId sessionId guestId crmId channel status failureCode fraudScore crmSync
      audits { reason actor errorCode sessionId hash }
      events { type reason sessionId }
    } }
    audits(first: 100) { nodes { reason actor errorCode capacityCheck } }
    events(first: 100) { nodes { type reason sessionId crmId } }
    metrics { totalRequests outcomes { status errorCode count } }
    verifyAuditTrail { ok reason head checkpoints lastCheckpoint }
  }
`;

/** A secret in every form in which it could be written down by accident. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const asForm = new URLSearchParams([['', secret]]).toString().slice(1);
  return [
    secret,
    encodeURIComponent(secret),
    asForm,
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
  ];
}

/** A wire to CXone that hears which bearers go over it, and can answer by repeating what it was sent. */
async function startWire() {
  const wire = {
    url: '',
    target: '',
    bearers: new Set<string>(),
    echo: null as { path: string; status: number } | null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const server = createServer(async (message, response) => {
    const { method = '', url = '', headers } = message;
    const body = await text(message);
    const bearer = headers.authorization?.match(/^Bearer (.+)$/)?.[1];
    if (bearer) wire.bearers.add(bearer);
    if (wire.echo && `${method} ${url}`.startsWith(wire.echo.path)) {
      response.writeHead(wire.echo.status, { 'content-type': 'application/json' });
      const device = /"deviceFingerprint":("[^"]*")/.exec(body)?.[1];
      const echo = { error: 'invalid_client', device, authorization: headers.authorization, body };
      response.end(JSON.stringify({ ...echo, decoded: decodeURIComponent(body) }));
      return;
    }
    const { host: _host, connection: _connection, 'content-length': _length, ...passed } = headers;
    try {
      const answer = await request(wire.target + url, {
        method: method as 'GET',
        headers: passed,
        body: body === '' ? null : body,
      });
      response.writeHead(answer.statusCode, { 'content-type': 'application/json' });
      response.end(await answer.body.text());
    } catch {
      response.destroy(); // what breaks on one side breaks on the other
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  wire.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return wire;
}

it('no secret is written anywhere: not to the log, the books, a webhook or an answer', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'secrets-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const apiKey = `canary-api-key-${randomUUID()}`;
  const clientSecret = `canary/client+secret=${randomUUID()}`;
  const encryptionKey = randomBytes(32);
  const webhookKey = randomBytes(24);
  const signingKey = generateKeyPairSync('ed25519').privateKey;
  const signingSeed = Buffer.from(signingKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  const fingerprint = `canary-fingerprint-${randomUUID()}`;
  await using wire = await startWire();
  const network = await startNetwork({
    databaseUrl: `file:${join(directory, 'test.db')}`,
    cxone: { clientSecret },
    env: {
      CXONE_BASE_URL: wire.url,
      FRAUD_THRESHOLD: '100',
      RATE_LIMITS: 'off',
      API_KEYS: JSON.stringify([
        { name: 'ops', role: 'OPS', sha256: createHash('sha256').update(apiKey).digest('hex') },
      ]),
      ENCRYPTION_KEY: encryptionKey.toString('base64'),
      AUDIT_SIGNING_KEY: signingKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
      AUDIT_CHECKPOINT_FILE: join(directory, 'checkpoints.jsonl'),
      CRM_WEBHOOK_SECRET: `whsec_${webhookKey.toString('base64')}`,
      CXONE_TIMEOUT_MS: '1000',
      CRM_RETRY_SCHEDULE: '0,0',
      LOG_LEVEL: 'trace',
    },
  });
  const { cxone, crm } = network;
  wire.target = cxone.url;
  const authorization = `Bearer ${apiKey}`;
  const answers: string[] = [];
  const tokens: string[] = [];

  /** Opens a session for the same device, and takes the token out of the answer, which is its place. */
  async function open(change: object = {}, headers: Record<string, string> = { authorization }) {
    const input = { ...inputFor(), deviceFingerprint: fingerprint, ...change };
    const answer = await network.graphql(OPEN, { input }, headers);
    const payload = answer.data?.createGuestSession;
    if (payload?.clientToken) {
      tokens.push(payload.clientToken);
      payload.clientToken = null;
    }
    answers.push(JSON.stringify(answer));
    return payload;
  }

  // Successes, one of which the CRM takes only at its second try.
  crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500, body: `echo ${fingerprint}` }, times: 1 });
  const codes = [(await open())?.userErrors, (await open({ crmId: null }))?.userErrors];
  expect(codes).toEqual([[], []]);
  expect(tokens).toHaveLength(2);

  // CXone's faults: first answers that repeat all that they were sent, then none that can be read.
  const fails = async (code: string) => expect((await open())?.userErrors[0]?.code).toBe(code);
  for (const [path, status, code] of [
    ['POST /api', 400, 'CXONE_SCHEMA_REJECTED'],
    ['POST /api', 403, 'CXONE_SCOPE_MISSING'],
    ['POST /api', 409, 'CXONE_REJECTED'],
    ['POST /api', 500, 'CXONE_UNAVAILABLE'], // it has opened nothing
    ['GET /api', 400, 'CXONE_REJECTED'],
    ['GET /api', 500, 'CXONE_UNAVAILABLE'],
    ['POST /oauth', 401, 'CXONE_AUTH_FAILED'],
    ['POST /oauth', 500, 'CXONE_UNAVAILABLE'],
  ] as const) {
    if (path === 'POST /oauth') cxone.revokeTokens();
    wire.echo = { path, status };
    await fails(code);
    wire.echo = null;
  }
  for (const fault of [{ kind: 'malformed' }, { kind: 'truncated' }, { kind: 'hang' }, { kind: 'reset' }] as const) {
    cxone.scenarios.add({ on: 'create', fault, when: 'after', times: 1 });
    await fails('OUTCOME_UNKNOWN');
  }
  // Our own refusals, and callers with the key in the wrong place.
  await open({ guestId: `nobody ${apiKey}`.slice(0, 6) });
  await open({ deviceFingerprint: `${fingerprint}\u0000` });
  await open({}, { authorization: `Basic ${apiKey}` });
  await open({}, { authorization: `Bearer ${apiKey}x` });
  await open({}, {});
  answers.push(JSON.stringify(await network.graphql(EVERYTHING, undefined, { authorization })));
  answers.push(await (await fetch(`${network.app.url}/.well-known/audit-key.json`)).text());
  await eventually(() => crm.received.length >= tokens.length);

  const secrets = {
    'client token': tokens,
    'client token of an answer that could not be read': cxone.sessions().map(({ token }) => token),
    bearer: [...wire.bearers],
    'client secret': [clientSecret],
    'device fingerprint': [fingerprint],
    'API key': [apiKey],
    'encryption key': [encryptionKey.toString('base64'), encryptionKey.toString('latin1')],
    'signing key': [...(['base64', 'base64url', 'hex', 'latin1'] as const).map((form) => signingSeed.toString(form))],
    'webhook key': [webhookKey.toString('base64'), webhookKey.toString('latin1')],
  };
  const filesOf = (path: string) =>
    readdirSync(path).map((name) => [name, readFileSync(join(path, name)).toString('latin1')] as const);
  const places = (): Record<string, string> => ({
    'the log': network.logLines.join(''),
    'a webhook': JSON.stringify(crm.received),
    'an answer': answers.join('\n'),
    ...Object.fromEntries(
      filesOf(dirname(network.app.engine.databasePath)).map(([name, bytes]) => [`file ${name}`, bytes]),
    ),
  });
  const leaks = () =>
    Object.entries(places()).flatMap(([place, written]) =>
      Object.entries(secrets).flatMap(([what, values]) =>
        values.flatMap(formsOf).some((form) => written.includes(form)) ? [`${what} in ${place}`] : [],
      ),
    );

  // What is looked for can be found: the places are not empty, and tell of sessions.
  const found = places();
  expect(Object.keys(found)).toEqual(expect.arrayContaining(['file test.db', 'file test.db-wal']));
  expect(found['file test.db-wal']).toContain('SESSION_INITIATED');
  expect(found['file test.db-wal']).not.toContain('crm_acct_44920'); // a person’s, and sealed
  expect(found['a webhook']).toContain('crm_acct_44920');
  expect(found['the log']).not.toBe('');
  expect(found['an answer']).toContain('CXONE_SCHEMA_REJECTED');
  expect(found['an answer']).toMatch(/device[^}]+\[redacted\][^}]+authorization[^}]+\[redacted\]/);
  expect(found['an answer']).toContain('client_secret=[redacted]');
  expect(found['a webhook']).toContain('session.initiated');
  expect(wire.bearers.size).toBeGreaterThan(1);
  expect(leaks()).toEqual([]);

  await network.app[Symbol.asyncDispose](); // the log is moved into the database file
  expect(places()['the log']).toContain('the audit trail was signed');
  expect(places()['file checkpoints.jsonl']).toContain('"signature"');
  expect(leaks()).toEqual([]);
});

it('settings that are refused, and a server that starts, print no secret', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'secrets-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const settings = loadSettings({ DATABASE_URL: `file:${join(directory, 'test.db')}`, LOG_LEVEL: 'silent' });
  const engine = await createEngine(settings);
  const key = readFileSync(`${engine.databasePath}.key`, 'utf8').trim();
  const signingKey = readFileSync(`${engine.databasePath}.audit-key`, 'utf8').split('\n')[1];
  await engine[Symbol.asyncDispose]();

  // The keys that the sandbox makes for itself are in their own files and in no other.
  expect(signingKey).toHaveLength(64);
  expect(key).toHaveLength(44);
  for (const name of readdirSync(directory)) {
    const bytes = readFileSync(join(directory, name));
    if (!name.endsWith('.audit-key')) expect(bytes.includes(signingKey!), name).toBe(false);
    if (name.endsWith('.key')) continue;
    expect(bytes.includes(Buffer.from(key, 'base64')) || bytes.includes(key), name).toBe(false);
  }
});
