import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { main as archive } from '../../scripts/audit-archive.mjs';
import { main as exportTrail } from '../../scripts/audit-export.mjs';
import { loadSettings } from '../../src/config.js';
import { createEngine } from '../../src/engine.js';
import { StartupError } from '../../src/errors.js';
import { Canaries } from '../support/canaries.js';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { inputFor, OPEN } from '../support/network.js';
import { Site } from '../support/server-process.js';

// What happens under every fault of CXone is searched by fault-matrix.test.ts. Here is what it takes a process for.

const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();
const REASONS = '{ audits(first: 100) { nodes { kind reason errorCode } } }';

/** What the files of a directory hold. */
const filesOf = (directory: string) =>
  readdirSync(directory).map((name): [string, Buffer] => [`the file ${name}`, readFileSync(join(directory, name))]);

describe('no secret is written down', () => {
  it('in what a server prints, bugs of ours and callers with wrong keys included, nor in exports and archives', {
    timeout: 60_000,
  }, async () => {
    const canaries = new Canaries();
    const site = await Site.prepare({
      cxone: canaries.cxone,
      env: { ...canaries.env, NODE_ENV: 'development', AUDIT_CHECKPOINT_FILE: 'checkpoints.jsonl' },
    });
    const directory = dirname(site.databasePath);
    const { headers, fingerprint: deviceFingerprint } = canaries;
    const server = await site.start();
    const answers: string[] = [];
    const ask = async (query: string, variables?: object, others: Record<string, string> = headers) => {
      const answer = await site.graphql(query, variables, others);
      if (answer.data?.createGuestSession) answer.data.createGuestSession.clientToken = null;
      answers.push(JSON.stringify(answer));
      return answer;
    };
    const guestId = randomUUID();
    const open = async (others?: Record<string, string>) => {
      const input = { ...inputFor(guestId), deviceFingerprint, idempotencyKey: canaries.idempotencyKey() };
      return (await ask(OPEN, { input }, others)).data?.createGuestSession;
    };

    expect((await open()).userErrors).toEqual([]);
    site.cxone.scenarios.add({ on: 'create', fault: { kind: 'echo', status: 409, as: 'text' }, times: 1 });
    expect((await open()).userErrors).toMatchObject([{ code: 'CXONE_REJECTED' }]);
    site.cxone.scenarios.add({ on: 'create', fault: { kind: 'echo', status: 400 }, when: 'after', times: 1 });
    const { requestId } = await open();
    // Whoever mistypes a key, or puts it into the wrong place.
    const wrong = `${canaries.apiKey}x`;
    await open({ authorization: `Bearer ${wrong}` });
    await open({ authorization: `Basic ${canaries.apiKey}` });
    await open({ authorization: canaries.apiKey });
    expect((await openWithKey(site.url, wrong)).code).toBe(4403);
    for (const path of [`/?key=${wrong}`, `/%zz${wrong}`, `/graphql?query={${wrong}}`, `/graphql/${wrong}`]) {
      const response = await fetch(site.url + path, { headers: { authorization: `Bearer ${wrong}` } });
      answers.push(JSON.stringify([...response.headers]), await response.text());
    }
    expect((await ask(REASONS)).data.audits.nodes.map(({ reason }: { reason: string }) => reason)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^CXone answered 409: .*\[redacted\]/)]),
    );
    await eventually(() => site.crm.received.length > 0);
    // Bugs, of a query and of the pipeline, with the errors of the store and their causes.
    const books = new DatabaseSync(site.databasePath);
    books.exec('DROP TABLE "MetricBucket"');
    books.close();
    const { errors } = await ask('{ metrics { totalRequests } }');
    expect(errors).toMatchObject([{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }]);
    await open();
    expect(await server.end('SIGTERM')).toEqual([0, null]);

    const output = { say: (text: string) => printed.push(text), complain: (text: string) => printed.push(text) };
    const printed: string[] = [];
    const exported = join(directory, 'export.jsonl');
    expect(
      await exportTrail(['--database', site.databasePath, '--output', exported], { stdout: process.stdout, ...output }),
    ).toBe(0);
    const settings = loadSettings({
      ...canaries.env,
      DATABASE_URL: `file:${site.databasePath}`,
      AUDIT_CHECKPOINT_FILE: join(directory, 'checkpoints.jsonl'),
    });
    const args = ['--output', join(directory, 'archive.jsonl'), '--before', TOMORROW];
    expect([await archive(args, { ...output, settings }), printed.join('')]).toEqual([
      0,
      expect.stringContaining('archived: '),
    ]);

    const places: [place: string, written: string | Buffer][] = [
      ['what is printed', server.out + printed.join('')],
      ['the log', server.err],
      ['an answer', answers.join('\n')],
      ['a webhook', JSON.stringify(site.crm.received)],
      ...filesOf(directory),
    ];
    expect(server.err).toContain(`"requestId":"${requestId}"`);
    expect(server.err).toContain('MetricBucket');
    expect(server.err).not.toContain(guestId); // the log cannot forget anybody
    expect(places.map(([place]) => place)).toEqual(
      expect.arrayContaining(
        ['sessions.db', 'checkpoints.jsonl', 'export.jsonl', 'archive.jsonl'].map((name) => `the file ${name}`),
      ),
    );
    expect(places.flatMap(([place, written]) => canaries.find(place, written)).join('\n')).toBe('');
  });

  it('in what is said of settings that are refused', () => {
    const { apiKey, env } = new Canaries();
    const canaries = new Canaries();
    const secrets = {
      API_KEYS: JSON.stringify([{ name: canaries.apiKey.repeat(9), role: canaries.apiKey, sha256: canaries.apiKey }]),
      ENCRYPTION_KEY: `${canaries.mark}${env.ENCRYPTION_KEY}`,
      ENCRYPTION_KEYS_OLD: canaries.mark,
      AUDIT_SIGNING_KEY: `-----BEGIN ${canaries.mark}`,
      CRM_WEBHOOK_SECRET: canaries.mark,
      CRM_WEBHOOK_URL: `https://user:${canaries.mark}@crm.example.com`,
      CXONE_BASE_URL: `https://user:${canaries.mark}@cxone.example.com`,
      CXONE_CLIENT_SECRET: canaries.clientSecret,
    };
    const failureOf = (settings: Record<string, string>) => {
      try {
        loadSettings(settings);
      } catch (error) {
        return error as StartupError;
      }
      throw new Error('they are good');
    };
    for (const settings of [secrets, { API_KEYS: `[{"${apiKey}` }, { API_KEYS: `{"name":"${canaries.mark}"}` }]) {
      const failure = failureOf(settings);
      expect(failure).toBeInstanceOf(StartupError);
      expect(canaries.find('the message', failure.message)).toEqual([]);
      expect(failure.message).not.toContain(apiKey);
    }
    for (const name of Object.keys(secrets).filter((name) => name !== 'CXONE_CLIENT_SECRET'))
      expect(failureOf(secrets).message).toContain(name);
  });

  it('outside of its file, where the sandbox makes keys for itself', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'secrets-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const settings = loadSettings({ DATABASE_URL: `file:${join(directory, 'test.db')}`, LOG_LEVEL: 'silent' });
    const engine = await createEngine(settings);
    const key = readFileSync(`${engine.databasePath}.key`, 'utf8').trim();
    const signingKey = readFileSync(`${engine.databasePath}.audit-key`, 'utf8').split('\n')[1];
    await engine[Symbol.asyncDispose]();

    expect(signingKey).toHaveLength(64);
    expect(key).toHaveLength(44);
    for (const name of readdirSync(directory)) {
      const bytes = readFileSync(join(directory, name));
      if (!name.endsWith('.audit-key')) expect(bytes.includes(signingKey!), name).toBe(false);
      if (name.endsWith('.key')) continue;
      expect(bytes.includes(Buffer.from(key, 'base64')) || bytes.includes(key), name).toBe(false);
    }
  });
});
