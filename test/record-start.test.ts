import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PACKAGE } from '../src/paths.js';
import { open, startNetwork } from './support/network.js';
import { temporaryDirectory } from './support/temporary-directory.js';

const STARTS = /* GraphQL */ `
  {
    audits(filter: { kind: SERVER_STARTED }) { nodes { sequence requestId status reason actor actorRole sourceAddress guestId errorCode } }
  }
`;
const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8'));
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const FINGERPRINT = expect.stringMatching(/^[0-9a-f]{12}$/);
const hashIn = (reason: string) => /configuration sha256 ([0-9a-f]{64})(;|$)/.exec(reason)?.[1];

/** Starts a server, and gives what its trail and its log say of the start. */
async function start(databaseUrl: string, env: Record<string, string> = {}, key?: string) {
  await using network = await startNetwork({ databaseUrl, env });
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const { data } = await network.graphql(STARTS, undefined, headers);
  const logged = network.logLines.map((line) => JSON.parse(line)).find(({ configuration }) => configuration);
  return { starts: data.audits.nodes, logged };
}

describe('the start of a server', () => {
  it('is the first entry, with the version, the hash of the settings and the migrations of a new database', async () => {
    const { starts } = await start(`file:${join(temporaryDirectory(), 'test.db')}`);

    expect(starts).toEqual([
      {
        sequence: 1,
        requestId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
        status: 'SUCCESS',
        reason: expect.stringMatching(/; configuration sha256 [0-9a-f]{64}; migrations applied: \d+_\w+(, \d+_\w+)*$/),
        actor: 'server',
        actorRole: 'SYSTEM',
        sourceAddress: null,
        guestId: null,
        errorCode: null,
      },
    ]);
    expect(starts[0].reason).toContain(`version ${version}; `);
  });

  it('is in the trail each time, with another hash where the settings are others', async () => {
    const databaseUrl = `file:${join(temporaryDirectory(), 'test.db')}`;
    await start(databaseUrl, { MAX_CONCURRENT_SESSIONS: '5' });
    await start(databaseUrl, { MAX_CONCURRENT_SESSIONS: '6' });
    const { starts } = await start(databaseUrl, { MAX_CONCURRENT_SESSIONS: '6' });

    expect(starts).toHaveLength(3);
    const [third, second, first] = starts.map(({ reason }: { reason: string }) => reason);
    expect(second).not.toContain('migrations applied');
    expect(hashIn(first)).not.toBe(hashIn(second));
    // The sandboxes of a test have other ports each time.
    expect(hashIn(third)).toEqual(expect.any(String));
  });

  it('is in the log with the settings that the hash is of', async () => {
    const { starts, logged } = await start(`file:${join(temporaryDirectory(), 'test.db')}`);

    expect(hashIn(starts[0].reason)).toBe(sha256(logged.configuration));
    const configuration = JSON.parse(logged.configuration);
    expect(Object.keys(configuration)).toEqual(Object.keys(configuration).sort());
    expect(configuration).toMatchObject({ maxConcurrentSessions: 5, fraud: { threshold: 75 } });
  });

  it('tells the names of API keys and nothing by which one could be found', async () => {
    const apiKeys = [{ name: 'console', role: 'OPS', sha256: sha256('a-key'), expiresAt: '2090-01-01T00:00:00Z' }];
    const env = {
      API_KEYS: JSON.stringify(apiKeys),
      FRAUD_SERVICE_URL: 'https://fraud.test/?token=t0p',
      FRAUD_PROVIDER: 'http',
      AUTH_JWKS_URL: 'http://127.0.0.1:1/keys?token=t0p',
      AUTH_ISSUER: 'https://issuer.test',
      AUTH_AUDIENCE: 'guest-sessions',
    };
    const { logged } = await start(`file:${join(temporaryDirectory(), 'test.db')}`, env, 'a-key');

    expect(JSON.parse(logged.configuration).access.apiKeys).toEqual([
      { name: 'console', role: 'OPS', expiresAt: '2090-01-01T00:00:00.000Z', fingerprint: FINGERPRINT },
    ]);
    expect(JSON.parse(logged.configuration).fraud.serviceUrl).toBe('https://fraud.test/?…');
    expect(JSON.parse(logged.configuration).access.tokens.keys.url).toBe('http://127.0.0.1:1/keys?…');
    expect(logged.configuration).not.toContain(sha256('a-key'));
    expect(logged.configuration).not.toContain('t0p');
  });

  it('has another hash where a key alone was exchanged, and the log tells which', async () => {
    const databaseUrl = `file:${join(temporaryDirectory(), 'test.db')}`;
    const keysOf = (portal: string) => ({
      API_KEYS: JSON.stringify([
        { name: 'console', role: 'OPS', sha256: sha256('a-key') },
        { name: 'portal', role: 'BACKEND', sha256: sha256(portal) },
      ]),
    });
    const runs = [];
    for (const portal of ['one', 'one', 'another']) runs.push(await start(databaseUrl, keysOf(portal), 'a-key'));
    const [before, same, after] = runs.map(({ logged }) => JSON.parse(logged.configuration).access.apiKeys);

    expect(same).toEqual(before);
    expect(after[0]).toEqual(before[0]);
    expect(after[1].fingerprint).not.toBe(before[1].fingerprint);
    for (const { starts, logged } of runs) expect(hashIn(starts[0].reason)).toBe(sha256(logged.configuration));
  });

  it('tells also of the keys in the file that it begins with', async () => {
    const directory = temporaryDirectory();
    const API_KEYS_FILE = join(directory, 'keys.json');
    const key = { name: 'widget', role: 'GUEST', origins: ['https://shop.example.com'] };
    writeFileSync(API_KEYS_FILE, JSON.stringify([{ ...key, sha256: sha256('a-key') }]));
    const API_KEYS = JSON.stringify([{ name: 'console', role: 'OPS', sha256: sha256('another') }]);
    const env = { API_KEYS, API_KEYS_FILE };
    const { logged } = await start(`file:${join(directory, 'test.db')}`, env, 'another');

    const { apiKeys, apiKeysFile } = JSON.parse(logged.configuration).access;
    expect([apiKeys, apiKeysFile]).toEqual([
      [
        { name: 'console', role: 'OPS', fingerprint: FINGERPRINT },
        { ...key, fingerprint: FINGERPRINT },
      ],
      API_KEYS_FILE,
    ]);
    expect(logged.configuration).not.toContain(sha256('a-key'));
  });

  it('comes before all that the server does', async () => {
    const network = await startNetwork();
    const { requestId } = await open(network);
    const { data } = await network.graphql('{ audits(first: 100) { nodes { sequence kind requestId } } }');
    const sequenceOf = (kind: string) =>
      data.audits.nodes.find((entry: { kind: string }) => entry.kind === kind).sequence;

    expect(sequenceOf('SERVER_STARTED')).toBe(1);
    expect(data.audits.nodes.find((entry: { kind: string }) => entry.kind === 'SESSION_INITIATION')).toMatchObject({
      sequence: 2,
      requestId,
    });
  });
});
