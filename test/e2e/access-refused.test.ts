import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'graphql-ws';
import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Role } from '../../src/access-settings.js';
import { SessionInitiator } from '../../src/session-initiator.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { eventually } from '../support/eventually.js';
import { inputFor, OPEN, startNetwork } from '../support/network.js';

const TRAIL = /* GraphQL */ `
  { audits(first: 100) { nodes { requestId kind status errorCode reason guestId actor actorRole sourceAddress attempts } }
    verifyAuditTrail { ok } }
`;
const SUBSCRIBE = 'subscription { sessionEvents { type } }';
const HERE = /^127\.0\.0\.0\/24#[0-9a-f]{12}$/;

const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');

/** A server with one key for each role, and one that has expired. */
async function start() {
  const keys = {
    GUEST: randomUUID(),
    BACKEND: randomUUID(),
    CRM: randomUUID(),
    OPS: randomUUID(),
    other: randomUUID(),
    old: randomUUID(),
  };
  const roles: readonly Role[] = ['GUEST', 'BACKEND', 'CRM', 'OPS'];
  const apiKeys = [
    ...roles.map((role) => ({ name: `the ${role} key`, role, sha256: hashOf(keys[role as 'OPS']) })),
    { name: 'the other CRM key', role: 'CRM', sha256: hashOf(keys.other) },
    { name: 'the old key', role: 'OPS', sha256: hashOf(keys.old), expiresAt: '2020-01-01T00:00:00Z' },
  ];
  const directory = mkdtempSync(join(tmpdir(), 'refused-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'test.db');
  const network = await startNetwork({ env: { API_KEYS: JSON.stringify(apiKeys) }, databaseUrl: `file:${path}` });
  const as = (key: string) => ({ authorization: `Bearer ${key}` });
  return {
    ...network,
    keys,
    directory,
    path,
    askAs: (key: string, query: string, variables?: object) => network.graphql(query, variables, as(key)),
    /** Oldest first. */
    async refusals() {
      const { data } = await network.graphql(TRAIL, undefined, as(keys.OPS));
      expect(data.verifyAuditTrail.ok).toBe(true);
      return data.audits.nodes.filter(({ kind }: { kind: string }) => kind === 'ACCESS_REFUSED').reverse();
    },
  };
}

/** An entry about somebody who was turned away. */
const refusal = (content: object) => ({
  kind: 'ACCESS_REFUSED',
  status: 'REJECTED',
  requestId: expect.any(String),
  errorCode: null,
  guestId: null,
  attempts: 1,
  actor: 'anonymous',
  actorRole: null,
  sourceAddress: expect.stringMatching(HERE),
  ...content,
});

/** Subscribes, and gives what the socket ends it with. */
const subscribeWith = (client: Client, query = SUBSCRIBE) =>
  new Promise<{ readonly code?: number } | readonly { readonly extensions: object }[]>((resolve, reject) => {
    const hears = { next: () => undefined, complete: () => reject(new Error('it was not refused')) };
    client.subscribe({ query }, { ...hears, error: (error) => resolve(error as { code?: number }) });
  });

describe('over HTTP', () => {
  it.each([
    ['no key', () => ({})],
    ['no key', () => ({ authorization: 'Basic b3BzOm9wcw==' })],
    ['unknown key', () => ({ authorization: `Bearer ${randomUUID()}` })],
  ])('whoever is turned away for %s is in the trail, as nobody from somewhere', async (reason, headers) => {
    const { graphql, refusals } = await start();
    expect((await graphql('{ __typename }', undefined, headers() as Record<string, string>)).status).toBe(401);

    expect(await eventually(async () => (await refusals())[0] && refusals())).toEqual([refusal({ reason })]);
  });

  it('whoever comes with a key that has expired is in the trail by the name and the role of it', async () => {
    const { askAs, keys, refusals } = await start();
    expect((await askAs(keys.old, '{ __typename }')).status).toBe(401);

    expect(await eventually(async () => (await refusals())[0] && refusals())).toEqual([
      refusal({ reason: 'the key is expired', actor: 'the old key', actorRole: 'OPS' }),
    ]);
  });

  it('whoever wants what its role may not is in the trail with what that was, once for each request', async () => {
    const { askAs, keys, refusals } = await start();
    for (let sessions = 0; sessions < 3; sessions++) await askAs(keys.BACKEND, OPEN, { input: inputFor() });
    await askAs(keys.GUEST, '{ audits { nodes { id } } }');
    await askAs(keys.BACKEND, '{ sessions { nodes { audits { id } } } }');

    expect(await eventually(async () => (await refusals()).length === 2 && refusals())).toEqual([
      refusal({ reason: 'the role GUEST may not: Query.audits', actor: 'the GUEST key', actorRole: 'GUEST' }),
      refusal({
        reason: 'the role BACKEND may not: GuestSession.audits',
        actor: 'the BACKEND key',
        actorRole: 'BACKEND',
      }),
    ]);
  });
});

describe('over a socket', () => {
  it.each([
    ['no key', () => undefined],
    ['unknown key', () => ({ authorization: `Bearer ${randomUUID()}` })],
  ])('whoever is closed with 4403 for %s is in the trail', async (reason, params) => {
    const { socket, refusals } = await start();
    expect(await subscribeWith(socket(params()))).toMatchObject({ code: 4403 });

    expect(await eventually(async () => (await refusals())[0] && refusals())).toEqual([refusal({ reason })]);
  });

  it('so is whoever may subscribe to nothing, and gets no place for that', async () => {
    const { socket, keys, refusals } = await start();
    for (const role of ['GUEST', 'BACKEND'] as const)
      expect(await subscribeWith(socket({ authorization: `Bearer ${keys[role]}` }))).toMatchObject({ code: 4403 });

    const of = (role: Role) =>
      refusal({ reason: `the role ${role} may not: subscriptions`, actor: `the ${role} key`, actorRole: role });
    expect(await eventually(async () => (await refusals()).length === 2 && refusals())).toEqual([
      of('GUEST'),
      of('BACKEND'),
    ]);
  });

  it('so is everybody who asks for what its role may not see, though others have asked the same', async () => {
    const { socket, keys, refusals } = await start();
    const query =
      'subscription { sessionEvents { type session { ...S } } } fragment S on GuestSession { audits { id } }';
    for (const key of [keys.CRM, keys.other])
      expect(await subscribeWith(socket({ authorization: `Bearer ${key}` }), query)).toEqual([
        { message: 'A key with the role CRM may not use "audits".', extensions: { code: 'FORBIDDEN' } },
      ]);

    const of = (actor: string) =>
      refusal({ reason: 'the role CRM may not: GuestSession.audits', actor, actorRole: 'CRM' });
    expect(await eventually(async () => (await refusals()).length === 2 && refusals())).toEqual([
      of('the CRM key'),
      of('the other CRM key'),
    ]);
  });
});

describe('a flood', () => {
  /** Sends a request without a key from another address of this machine. */
  async function askFrom(url: string, localAddress: string): Promise<number> {
    const dispatcher = new Agent({ localAddress });
    const headers = { 'content-type': 'application/json' };
    const body = '{"query":"{ __typename }"}';
    const answer = await request(`${url}/graphql`, { method: 'POST', headers, body, dispatcher });
    await answer.body.dump();
    await dispatcher.close();
    return answer.statusCode;
  }

  it('of one address is two entries at most, which count it to the last one also when the server ends', async () => {
    const { graphql, app, refusals, path, ...network } = await start();
    for (let attempt = 0; attempt < 50; attempt++) expect((await graphql('{ __typename }')).status).toBe(401);
    for (let attempt = 0; attempt < 3; attempt++) expect(await askFrom(app.url, '127.0.0.2')).toBe(401);

    const [here, there] = await eventually(async () => (await refusals()).length === 2 && refusals());
    expect([here, there]).toEqual([refusal({ reason: 'no key' }), refusal({ reason: 'no key' })]);
    expect(there.sourceAddress).not.toBe(here.sourceAddress);

    await network[Symbol.asyncDispose]();
    const books = new SqliteConnection(path, { readOnly: true });
    const entries = books.all<{ sourceAddress: string; attempts: number }>(
      `SELECT "sourceAddress", "attempts" FROM "AuditEntry" WHERE "kind" = 'ACCESS_REFUSED' ORDER BY "sequence"`,
    );
    books.close();
    expect(entries.slice(2)).toEqual([
      { sourceAddress: here.sourceAddress, attempts: 49 },
      { sourceAddress: there.sourceAddress, attempts: 2 },
    ]);
  });
});

describe('what is kept of callers', () => {
  /** What a server has written, each file as it is on the disk. */
  const filesIn = (directory: string) => readdirSync(directory).map((name) => readFileSync(join(directory, name)));

  it('is no key and no address, neither in the entries nor anywhere in the files', async () => {
    const { askAs, graphql, socket, keys, directory, logLines, ...network } = await start();
    const presented = randomUUID();
    await askAs(presented, '{ __typename }');
    await askAs(keys.old, '{ __typename }');
    await askAs(keys.BACKEND, OPEN, { input: { ...inputFor(), idempotencyKey: 'once' } });
    await askAs(keys.GUEST, '{ metrics { totalRequests } }');
    await subscribeWith(socket({ authorization: `Bearer ${presented}` }));
    const trail = JSON.stringify((await askAs(keys.OPS, TRAIL)).data);

    const written = [trail, ...logLines].map((text) => Buffer.from(text));
    const open = filesIn(directory); // with the write-ahead log
    await network[Symbol.asyncDispose]();
    for (const bytes of [...written, ...open, ...filesIn(directory)]) {
      for (const secret of [presented, hashOf(presented), ...Object.values(keys), ...Object.values(keys).map(hashOf)]) {
        expect(bytes.includes(secret)).toBe(false);
      }
    }
    for (const bytes of [Buffer.from(trail), ...open, ...filesIn(directory)]) {
      expect(bytes.includes('127.0.0.1')).toBe(false);
    }
    expect(trail).toMatch(/127\.0\.0\.0\/24#/);
  });

  it('is the same for the same address, also when ENCRYPTION_KEY was changed', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rotated-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const databaseUrl = `file:${join(directory, 'test.db')}`;
    const [before, after] = [randomBytes(32), randomBytes(32)].map((key) => key.toString('base64')) as [string, string];
    const sourceIn = async (env: Record<string, string>) => {
      await using network = await startNetwork({ databaseUrl, env });
      const { data } = await network.graphql(OPEN, { input: inputFor() });
      const { requestId } = data.createGuestSession;
      const query = 'query ($id: String) { audits(filter: { requestId: $id }) { nodes { sourceAddress kind } } }';
      const { nodes } = (await network.graphql(query, { id: requestId })).data.audits;
      return nodes.find(({ kind }: { kind: string }) => kind === 'SESSION_INITIATION').sourceAddress;
    };

    const source = await sourceIn({ ENCRYPTION_KEY: before });
    expect(source).toMatch(HERE);
    expect(await sourceIn({ ENCRYPTION_KEY: after, ENCRYPTION_KEYS_OLD: before })).toBe(source);
  });

  it('is no address where there is none: in a program that calls the pipeline as a library', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'library-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    await using initiator = await SessionInitiator.create({ DATABASE_URL: `file:${join(directory, 'test.db')}` });
    const { requestId } = await initiator.initiateGuestSession(randomUUID(), 'fp_9a8b7c6d5e4f3g2h1i0j');

    const trail = await initiator.getAuditTrail();
    expect(trail.find((entry) => entry.requestId === requestId)).toMatchObject({
      kind: 'SESSION_INITIATION',
      actor: 'library',
      actorRole: 'BACKEND',
      sourceAddress: null,
    });
  });
});
