import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Gate } from '../../src/access/gate.js';
import type { CountedRefusal } from '../../src/access/refusals.js';
import { type KeySetTiming, KeySetUnavailableError } from '../../src/access/remote-key-set.js';
import { UNKNOWN_CONNECTION } from '../../src/guest-session/believed-connection.js';
import { eventually } from '../support/eventually.js';
import { type IssuerKey, KeySetServer, makeIssuerKey, tokenBy } from '../support/token-issuer.js';
import { NO_KEYS, TOKENS } from './gate-settings.js';

const NEVER_MS = 3_600_000;

let old: IssuerKey;
let next: IssuerKey;
beforeAll(async () => {
  old = await makeIssuerKey('ES256', 'old');
  next = await makeIssuerKey('ES256', 'next');
});

/** An issuer with the key `old`, and a gate that asks it; API keys are good besides. */
async function start(timing: Partial<KeySetTiming> = {}, prepare: (issuer: KeySetServer) => void = () => undefined) {
  const issuer = await KeySetServer.start(old);
  onTestFinished(() => issuer[Symbol.asyncDispose]());
  prepare(issuer);
  const written: CountedRefusal[] = [];
  const logged: string[] = [];
  const gate = new Gate({
    ...NO_KEYS,
    fixed: [{ name: 'portal', role: 'BACKEND', sha256: createHash('sha256').update('portal').digest('hex') }],
    tokens: {
      keys: { url: issuer.url },
      ...TOKENS,
      timing,
    },
    write: async (refusals) => void written.push(...refusals),
    log: {
      info: (_fields, message) => void logged.push(message),
      warn: (message) => void logged.push(message),
      error: (_fields, message) => void logged.push(message),
    },
  });
  onTestFinished(() => gate[Symbol.asyncDispose]());
  const present = (key: string) =>
    gate.admit(`Bearer ${key}`, {
      sourceAddress: null,
      client: null,
      origin: undefined,
      isSameOrigin: true,
      connection: UNKNOWN_CONNECTION,
    });
  return {
    issuer,
    gate,
    written,
    logged,
    present,
    /** What becomes of a token by this key. */
    async outcome(key: IssuerKey, header: object = {}): Promise<'let in' | 'refused' | 'put off'> {
      try {
        return (await present(await tokenBy(key, {}, header))).caller ? 'let in' : 'refused';
      } catch (error) {
        expect(error).toBeInstanceOf(KeySetUnavailableError);
        return 'put off';
      }
    },
  };
}

const CANNOT = 'AUTH_JWKS_URL cannot be read: tokens whose keys are not known are put off (503)';
const AGAIN = 'AUTH_JWKS_URL can be read again';

describe('the keys of an issuer', () => {
  it('are fetched once for all that ask at once, and remembered', async () => {
    const { issuer, outcome, logged } = await start();
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome(old)));

    expect(new Set([...outcomes, await outcome(old)])).toEqual(new Set(['let in']));
    expect([issuer.requests, logged]).toEqual([1, []]);
  });

  it('are fetched again for a token that is signed with a new one, and one that is gone is not believed', async () => {
    const { issuer, outcome, written } = await start({ cooldownMs: 0 });
    expect([await outcome(old), await outcome(next)]).toEqual(['let in', 'refused']);
    issuer.keys = [next.publicJwk];

    expect([await outcome(next), await outcome(old)]).toEqual(['let in', 'refused']);
    expect(written.map(({ reason }) => reason)).toEqual(['the token is signed with a key that is not known']);
  });

  it('are not asked for by whoever makes names of keys up', async () => {
    const { issuer, outcome } = await start();
    expect(await outcome(old)).toBe('let in');
    for (let n = 0; n < 20; n++) expect(await outcome(old, { kid: `made-up-${n}` })).toBe('refused');

    expect(issuer.requests).toBe(1);
  });

  it('are not asked for by a token with an algorithm that is not allowed', async () => {
    const { issuer, outcome } = await start({ cooldownMs: 0 });
    expect(await outcome(old)).toBe('let in');
    expect(await outcome(await makeIssuerKey('ES384'))).toBe('refused');

    expect(issuer.requests).toBe(1);
  });

  it('are looked at again while they are in use, so that an issuer may be away for a while', async () => {
    const { issuer, outcome, logged } = await start({ refreshMs: 0 });
    expect(await outcome(old)).toBe('let in');
    issuer.goDown();

    expect(await outcome(old)).toBe('let in');
    await eventually(() => logged.includes(CANNOT));
    expect(await outcome(old)).toBe('let in');
  });

  it('have nobody wait whose key is known, while they are fetched again', async () => {
    const { issuer, outcome, present } = await start({ refreshMs: 0, timeoutMs: NEVER_MS });
    expect(await outcome(old)).toBe('let in');
    issuer.instead = () => undefined;
    const before = issuer.requests;
    await eventually(async () => (await outcome(old)) && issuer.requests > before);

    const token = await tokenBy(old);
    const admissions = await Promise.all(Array.from({ length: 300 }, () => present(token)));
    expect(new Set(admissions.map(({ caller }) => caller?.name))).toEqual(new Set(['jwt:alice']));
  });

  it('are not believed beyond their time', async () => {
    const { issuer, outcome } = await start({ maxAgeMs: 0, retryMs: 0 });
    expect(await outcome(old)).toBe('let in');
    issuer.goDown();
    expect(await outcome(old)).toBe('put off');
    issuer.comeUp();
    issuer.keys = [next.publicJwk];

    expect([await outcome(old), await outcome(next)]).toEqual(['refused', 'let in']);
  });
});

describe('an issuer that gives no keys', () => {
  const hang = () => undefined;
  it.each<[string, (response: ServerResponse) => void]>([
    ['cuts the connection', (response) => response.destroy()],
    ['fails', (response) => response.writeHead(500).end('{"keys":[]}')],
    ['leads elsewhere', (response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['answers with a page', (response) => response.end('<html>')],
    ['answers with no key set', (response) => response.end('{"keys":{}}')],
    ['stops in the middle', (response) => response.writeHead(200, { 'content-length': 99 }).write('{"keys":[')],
    ['does not answer', hang],
  ])('for it %s has tokens put off, and not API keys; the log says so once', async (_what, instead) => {
    const { issuer, outcome, present, logged, written } = await start({ timeoutMs: 200, retryMs: 0 }, (server) => {
      server.instead = instead;
    });
    for (let n = 0; n < 2; n++) expect(await outcome(old)).toBe('put off');
    expect((await present('portal')).caller?.name).toBe('portal');
    const reason = "the token cannot be checked without the issuer's keys";
    expect([logged, written]).toEqual([[CANNOT], [expect.objectContaining({ reason, attempts: 1 })]]);

    issuer.comeUp();
    expect(await eventually(async () => (await outcome(old)) === 'let in')).toBe(true);
    expect(logged).toEqual([CANNOT, AGAIN]);
  });

  it('is left alone for a while, however many tokens come', async () => {
    const { issuer, outcome } = await start({ retryMs: NEVER_MS }, (server) => server.goDown());
    for (let n = 0; n < 20; n++) expect(await outcome(old)).toBe('put off');

    expect(issuer.requests).toBe(1);
  });

  it('has a hundred tokens wait for it, and the others put off at once', async () => {
    const responses: ServerResponse[] = [];
    const { issuer, present } = await start({ timeoutMs: NEVER_MS }, (server) => {
      server.instead = (response) => void responses.push(response);
    });
    const token = await tokenBy(old);
    let putOff = 0;
    let letIn = 0;
    const presenting = Promise.all(
      Array.from({ length: 150 }, () =>
        present(token).then(
          ({ caller }) => {
            if (caller) letIn += 1;
          },
          () => {
            putOff += 1;
          },
        ),
      ),
    );
    await eventually(() => responses.length === 1 && putOff > 0);
    expect([letIn, putOff]).toEqual([0, 50]);

    issuer.comeUp();
    for (const response of responses) issuer.answer(response);
    await presenting;
    expect([letIn, putOff]).toEqual([100, 50]);
    expect((await present(token)).caller).not.toBeNull(); // their places are free again
  });

  it('does not keep the server from ending, which is not called a failure', async () => {
    const { issuer, gate, outcome, logged } = await start({ timeoutMs: NEVER_MS }, (server) => {
      server.instead = hang;
    });
    const waiting = outcome(old);
    await eventually(() => issuer.requests === 1);
    await gate[Symbol.asyncDispose]();

    expect([await waiting, logged]).toEqual(['put off', []]);
  });
});
