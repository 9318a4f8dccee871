import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { startNetwork } from '../support/network.js';

const A_SECOND_MS = 1_000;

const entry = (key: string, role: string, rest: object = {}) => ({
  name: `the ${key} key`,
  role,
  sha256: createHash('sha256').update(key).digest('hex'),
  ...rest,
});

/** A server with the key `ops` in API_KEYS, and others in a file. */
async function start(...first: object[]) {
  const directory = mkdtempSync(join(tmpdir(), 'rotation-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'keys.json');
  const write = (...list: object[]) => {
    writeFileSync(`${path}.new`, JSON.stringify(list));
    renameSync(`${path}.new`, path);
  };
  write(...first);
  const network = await startNetwork({
    env: { API_KEYS: JSON.stringify([entry('ops', 'OPS')]), API_KEYS_FILE: path },
  });
  const as = (key: string) => ({ authorization: `Bearer ${key}` });
  return {
    ...network,
    path,
    write,
    statusOf: async (key: string) => (await network.graphql('{ __typename }', undefined, as(key))).status,
    /** What the trail says of changes, oldest first. */
    async changes(count: number): Promise<string[][]> {
      return eventually(async () => {
        const query = '{ audits(filter: { kind: KEYS_CHANGED }) { nodes { status reason } } verifyAuditTrail { ok } }';
        const { data } = await network.graphql(query, undefined, as('ops'));
        expect(data.verifyAuditTrail.ok).toBe(true);
        const { nodes } = data.audits;
        return (
          nodes.length >= count && nodes.map(({ status, reason }: Record<string, string>) => [status, reason]).reverse()
        );
      });
    },
    logged: (text: string) => eventually(() => network.logLines.find((line) => line.includes(text))),
    /** Why who was turned away, oldest first. */
    async refusals(count: number): Promise<string[][]> {
      return eventually(async () => {
        const query = '{ audits(first: 50, filter: { kind: ACCESS_REFUSED }) { nodes { actor reason } } }';
        const { data } = await network.graphql(query, undefined, as('ops'));
        const { nodes } = data.audits;
        return (
          nodes.length >= count && nodes.map(({ actor, reason }: Record<string, string>) => [actor, reason]).reverse()
        );
      });
    },
  };
}

describe('a change of the file of keys, without a restart', () => {
  it('lets a new key in and turns one away that was taken back, by name and within a second also on its sockets', async () => {
    const { app, write, statusOf, logged, refusals, changes } = await start(entry('old', 'CRM'));
    expect([await statusOf('old'), await statusOf('new'), await statusOf('ops')]).toEqual([200, 401, 200]);
    const [old, ops] = [await openWithKey(app.url, 'old'), await openWithKey(app.url, 'ops')];

    write(entry('old', 'CRM'), entry('new', 'CRM'));
    await eventually(async () => (await statusOf('new')) === 200);
    expect([await statusOf('old'), old.code]).toEqual([200, null]);

    write(entry('new', 'CRM'));
    expect(await old.closes(A_SECOND_MS)).toBe(4403);
    expect([await statusOf('old'), await statusOf('new'), await statusOf('ops')]).toEqual([401, 200, 200]);
    expect(ops.code).toBeNull();
    expect(await logged('the API keys have changed')).toContain('the new key');
    expect(await refusals(2)).toContainEqual(['the old key', 'the key was taken back']);
    expect(await changes(2)).toEqual([
      ['SUCCESS', 'added: "the new key" (CRM)'],
      ['SUCCESS', 'removed: "the old key" (CRM)'],
    ]);
  });

  it('closes the sockets of a key that has another role, hash or origin now, and keeps those of one that is good for longer', async () => {
    const year = (year: number) => ({ expiresAt: `${year}-01-01T00:00:00Z` });
    const from = (name: string) => ({ origins: [`https://${name}.example.com`] });
    const { app, write } = await start(
      entry('a', 'CRM'),
      entry('b', 'CRM'),
      entry('c', 'CRM', year(2090)),
      entry('d', 'CRM', from('a')),
    );
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((key) => openWithKey(app.url, key)));
    const d = await openWithKey(app.url, 'd', from('a').origins[0]);
    expect([a, b, c, d].map((socket) => socket?.isAcknowledged)).toEqual([true, true, true, true]);

    const other = { ...entry('other', 'CRM'), name: 'the b key' };
    write(entry('a', 'OPS'), other, entry('c', 'CRM', year(2091)), entry('d', 'CRM', from('b')));
    expect(await Promise.all([a!, b!, d].map((socket) => socket.closes(A_SECOND_MS)))).toEqual([4403, 4403, 4403]);
    expect(c!.code).toBeNull();
  });

  it('is felt also by a socket that stands still and answers nothing', async () => {
    const { app, write } = await start(entry('crm', 'CRM'));
    const raw = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    onTestFinished(() => raw.terminate());
    await once(raw, 'open');
    raw.send(JSON.stringify({ type: 'connection_init', payload: { authorization: 'Bearer crm' } }));
    await once(raw, 'message');
    raw.send(
      JSON.stringify({ type: 'subscribe', id: '1', payload: { query: 'subscription { sessionEvents { type } }' } }),
    );
    const { stream } = app.engine.services;
    await eventually(() => stream.followerCount === 1);
    raw.pause();

    write();
    await eventually(() => stream.followerCount === 0);
  });

  it('that is broken changes nothing, for nobody, and is logged and in the trail', async () => {
    const { app, path, statusOf, logged, changes } = await start(entry('crm', 'CRM'));
    const socket = await openWithKey(app.url, 'crm');
    writeFileSync(path, '[{ "name": "the crm key" ');

    expect(await logged('API_KEYS_FILE is not valid')).toContain('must be a JSON list');
    expect([await statusOf('crm'), socket.code]).toEqual([200, null]);
    expect(await changes(1)).toEqual([['REJECTED', 'API_KEYS_FILE is not valid: the keys stay as they were']]);
  });

  it('that takes all keys back lets nobody in', async () => {
    const { statusOf, graphql, write } = await start(entry('crm', 'CRM'));
    write();
    await eventually(async () => (await statusOf('crm')) === 401);

    expect((await graphql('{ __typename }')).status).toBe(401);
  });
});

it('a key that expires is turned away from that moment, and its sockets are closed within a second', async () => {
  const expiresAt = new Date(Date.now() + 2_000);
  const { app, statusOf, refusals } = await start(entry('brief', 'CRM', { expiresAt: expiresAt.toISOString() }));
  expect(await statusOf('brief')).toBe(200);
  const [brief, ops] = [await openWithKey(app.url, 'brief'), await openWithKey(app.url, 'ops')];
  expect(brief.isAcknowledged).toBe(true);

  expect(await brief.closes(expiresAt.getTime() - Date.now() + A_SECOND_MS)).toBe(4403);
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
  expect([await statusOf('brief'), ops.code]).toEqual([401, null]);
  expect(await refusals(1)).toContainEqual(['the brief key', 'the key is expired']);
});
