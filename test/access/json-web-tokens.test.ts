import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Gate } from '../../src/access/gate.js';
import type { TokenSettings } from '../../src/access/json-web-tokens.js';
import type { CountedRefusal } from '../../src/access/refusals.js';
import { UNKNOWN_CONNECTION } from '../../src/guest-session/believed-connection.js';
import { eventually } from '../support/eventually.js';
import {
  AUDIENCE,
  ISSUER,
  type IssuerKey,
  makeIssuerKey,
  secondsIn,
  signed,
  tokenBy,
} from '../support/token-issuer.js';
import { NO_KEYS, TOKENS } from './gate-settings.js';

const SOURCE = '203.0.113.0/24#000000000001';
const SHOP = 'https://shop.example.com';
const EVIL = 'https://evil.example.com';

let es256: IssuerKey;
let eddsa: IssuerKey;
let rs256: IssuerKey;
let foreign: IssuerKey;
beforeAll(async () => {
  [es256, eddsa, rs256, foreign] = (await Promise.all([
    makeIssuerKey('ES256'),
    makeIssuerKey('EdDSA'),
    makeIssuerKey('RS256'),
    makeIssuerKey('ES256'),
  ])) as [IssuerKey, IssuerKey, IssuerKey, IssuerKey];
});

/** A gate that knows the keys of an issuer, what it writes down, and what it logs. */
function start(settings: Partial<TokenSettings> = {}) {
  const written: CountedRefusal[] = [];
  const logged: object[] = [];
  const gate = new Gate({
    ...NO_KEYS,
    tokens: {
      keys: [es256, eddsa, rs256].map(({ publicJwk }) => publicJwk),
      ...TOKENS,
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      subjectKey: Buffer.alloc(32, 1),
      ...settings,
    },
    write: async (refusals) => void written.push(...refusals),
    log: {
      info: (fields) => logged.push(fields),
      warn: (message) => logged.push({ message }),
      error: (fields) => logged.push(fields),
    },
  });
  onTestFinished(() => gate[Symbol.asyncDispose]());
  const admit = (token: string, origin?: string, isSameOrigin = origin === undefined) =>
    gate.admit(`Bearer ${token}`, {
      sourceAddress: SOURCE,
      client: null,
      origin,
      isSameOrigin,
      connection: UNKNOWN_CONNECTION,
    });
  return { gate, written, logged, admit };
}

describe('whoever presents a token', () => {
  it.each(['ES256', 'EdDSA', 'RS256'])('that is signed by %s is known by its subject and its role', async (alg) => {
    const { admit, gate } = start();
    const key = [es256, eddsa, rs256].find((one) => one.alg === alg)!;

    expect(await admit(await tokenBy(key, { role: 'BACKEND' }))).toEqual({
      caller: { name: 'jwt:alice', role: 'BACKEND', sourceAddress: SOURCE },
    });
    expect(gate.asksForKeys).toBe(true);
  });

  it.each([undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+jwt'])('may call its type %j', async (typ) => {
    const { admit } = start();
    expect((await admit(await tokenBy(es256, {}, { typ }))).caller?.role).toBe('CRM');
  });

  it('may be one of many that a token is for', async () => {
    const { admit } = start();
    expect((await admit(await tokenBy(es256, { aud: ['other', AUDIENCE] }))).caller?.name).toBe('jwt:alice');
  });

  it('is turned away with what is no token, as with an unknown key', async () => {
    const { admit, written } = start();
    for (const text of ['nonsense', 'a.b', 'a.b.c.d.e']) expect((await admit(text)).caller).toBeNull();

    expect(new Set(written.map(({ reason }) => reason))).toEqual(new Set(['unknown key']));
  });
});

/** The text of a token that nobody could have signed as it says. */
const forged = (header: object, claims: object, signature = ''): string =>
  [...[header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')), signature].join('.');
const good = () => ({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', role: 'OPS', exp: secondsIn(60_000) });

/** HS256, with the text of the public key as the secret: what a verifier believes that takes the algorithm from the token. */
function confused(): string {
  const pem = createPublicKey({ key: rs256.publicJwk as JsonWebKey, format: 'jwk' })
    .export({ type: 'spki', format: 'pem' })
    .toString();
  const text = forged({ alg: 'HS256', kid: 'RS256' }, good()).slice(0, -1);
  return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`;
}

const BAD: [what: string, reason: string, make: () => string | Promise<string>][] = [
  ['of another issuer', 'the token is of another issuer', () => tokenBy(es256, { iss: `${ISSUER}/` })],
  ['of no issuer', 'the token is of another issuer', () => tokenBy(es256, { iss: undefined })],
  ['for another audience', 'the token is for another audience', () => tokenBy(es256, { aud: ['other'] })],
  ['for no audience', 'the token is for another audience', () => tokenBy(es256, { aud: undefined })],
  ['without an expiry', 'the token has no expiry', () => tokenBy(es256, { exp: undefined })],
  ['with an expiry that is text', 'the token has no expiry', () => tokenBy(es256, { exp: '9999999999' })],
  [
    'that expires never',
    'the token has no expiry',
    () => signed(es256, JSON.stringify(good()).replace(/"exp":[\d.]+/, '"exp":1e999')),
  ],
  ['that is not valid yet', 'the token is not valid yet', () => tokenBy(es256, { nbf: secondsIn(2_000) })],
  ['with a start that is text', 'the token is not valid yet', () => tokenBy(es256, { nbf: 'now' })],
  ['without a subject', 'the token has no subject that can be named', () => tokenBy(es256, { sub: undefined })],
  ['with an empty subject', 'the token has no subject that can be named', () => tokenBy(es256, { sub: '' })],
  ['with a long subject', 'the token has no subject that can be named', () => tokenBy(es256, { sub: 'x'.repeat(101) })],
  ['with an odd subject', 'the token has no subject that can be named', () => tokenBy(es256, { sub: 'a\nb' })],
  ['without a role', 'the token has no role of ours, or several', () => tokenBy(es256, { role: undefined })],
  ['with another role', 'the token has no role of ours, or several', () => tokenBy(es256, { role: 'ops' })],
  ['with two roles', 'the token has no role of ours, or several', () => tokenBy(es256, { role: ['OPS', 'GUEST'] })],
  [
    'with an object for a role',
    'the token has no role of ours, or several',
    () => tokenBy(es256, { role: { OPS: 1 } }),
  ],
  ['of another type', 'the token is of another type', () => tokenBy(es256, {}, { typ: 'logout+jwt' })],
  ['by another key of the same name', 'the signature of the token is wrong', () => tokenBy(foreign)],
  [
    'by a key of another name',
    'the token is signed with a key that is not known',
    () => tokenBy(es256, {}, { kid: 'x' }),
  ],
  [
    'with the algorithm none',
    'the token is signed by an algorithm that is not allowed',
    () => forged({ alg: 'none' }, good()),
  ],
  ['with HS256 and the public key', 'the token is signed by an algorithm that is not allowed', confused],
  [
    'with an extension that nobody knows',
    'the token is not one that can be verified',
    () => forged({ alg: 'ES256', kid: 'ES256', crit: ['x'], x: 1 }, good(), 'AAAA'),
  ],
  ['that is no JSON', 'the token is not one that can be verified', () => 'a.b.c'],
  ['of claims that are no object', 'the token is not one that can be verified', () => signed(es256, '[]')],
  ['that is too long', 'the token is too long', () => tokenBy(es256, { filler: 'x'.repeat(6_200) })],
];

describe('a token', () => {
  it.each(BAD)('%s is refused: %s', async (_what, reason, make) => {
    const { admit, written, logged } = start();

    expect(await admit(await make())).toEqual({ caller: null, isForeign: false });
    const actor = { name: 'anonymous', role: null, sourceAddress: SOURCE };
    expect(written).toEqual([{ actor, reason, attempts: 1 }]);
    expect(logged).toEqual([]);
  });

  it('that is expired is refused by name, from the second of its expiry on', async () => {
    const { admit, written } = start();
    expect(await admit(await tokenBy(es256, { exp: Math.floor(secondsIn(0)) }))).toMatchObject({ caller: null });

    const actor = { name: 'jwt:alice', role: 'CRM', sourceAddress: SOURCE };
    expect(written).toEqual([{ actor, reason: 'the token is expired', attempts: 1 }]);
  });

  it('by an algorithm that suits its key but is not pinned is refused', async () => {
    const { admit, written } = start({ algorithms: ['EdDSA'] });
    expect((await admit(await tokenBy(eddsa))).caller).not.toBeNull();
    expect((await admit(await tokenBy(es256))).caller).toBeNull();
    expect(written.map(({ reason }) => reason)).toEqual(['the token is signed by an algorithm that is not allowed']);
  });

  it('may name the one key as it likes, or not, where that has no name', async () => {
    const { kid: _, ...nameless } = es256.publicJwk;
    const { admit } = start({ keys: [nameless as typeof es256.publicJwk] });
    for (const kid of ['ES256', 'other', undefined]) {
      expect((await admit(await tokenBy(es256, {}, { kid }))).caller?.name).toBe('jwt:alice');
    }
  });
});

describe('the role of a token', () => {
  it.each([
    ['role', { role: 'OPS' }],
    ['role', { role: ['offline_access', 'OPS', 'OPS'] }],
    ['https://example.com/role', { 'https://example.com/role': 'OPS', role: 'GUEST' }],
    ['realm_access.roles', { realm_access: { roles: ['default', 'OPS'] } }],
    ['realm_access.roles', { 'realm_access.roles': 'OPS', realm_access: { roles: ['GUEST'] } }],
  ])('is in the claim %s: %j', async (roleClaim, claims) => {
    const { admit } = start({ roleClaim });
    expect((await admit(await tokenBy(es256, claims))).caller?.role).toBe('OPS');
  });

  it.each(['constructor', 'realm_access.roles', '__proto__.role', 'role.length'])(
    'is not what every object has, nor within what is no object: %s',
    async (roleClaim) => {
      const { admit } = start({ roleClaim });
      expect((await admit(await tokenBy(es256, { role: 'OPS', realm_access: null }))).caller).toBeNull();
    },
  );
});

describe('a guest with a token', () => {
  const nameOf = async (settings: Partial<TokenSettings>, sub: string) => {
    const { admit } = start(settings);
    return (await admit(await tokenBy(es256, { sub, role: 'GUEST', iss: settings.issuer ?? ISSUER }))).caller?.name;
  };

  it('is the same one each time, and who it is cannot be told without the key', async () => {
    const name = await nameOf({}, 'jane.doe@example.com');

    expect(name).toMatch(/^jwt:[\w-]{22}$/);
    expect(await nameOf({}, 'jane.doe@example.com')).toBe(name);
    expect(await nameOf({}, 'john.doe@example.com')).not.toBe(name);
    expect(await nameOf({ issuer: 'https://other.example.com' }, 'jane.doe@example.com')).not.toBe(name);
    expect(await nameOf({ subjectKey: Buffer.alloc(32, 2) }, 'jane.doe@example.com')).not.toBe(name);
  });
});

describe('a token from a web page', () => {
  it('is good for programs and the pages of the server, and from no other page', async () => {
    const { admit, gate, written } = start();
    const token = await tokenBy(es256);

    expect((await admit(token)).caller).not.toBeNull();
    expect((await admit(token, 'https://sessions.example.com', true)).caller).not.toBeNull();
    expect(await admit(token, EVIL)).toEqual({ caller: null, isForeign: true });
    expect(gate.knowsOrigin(EVIL)).toBe(false);
    const actor = { name: 'jwt:alice', role: 'CRM', sourceAddress: SOURCE };
    const reason = `the origin ${EVIL} is not one that may use tokens`;
    expect(written).toEqual([{ actor, reason, attempts: 1 }]);
  });

  it('is good from the pages that were named, besides', async () => {
    const { admit, gate } = start({ origins: [SHOP] });
    const token = await tokenBy(es256);

    for (const origin of [SHOP, undefined]) expect((await admit(token, origin)).caller).not.toBeNull();
    for (const origin of [EVIL, 'null', `${SHOP}/`, `${SHOP}:8443`]) {
      expect(await admit(token, origin)).toEqual({ caller: null, isForeign: true });
    }
    expect([gate.knowsOrigin(SHOP), gate.knowsOrigin(EVIL)]).toEqual([true, false]);
  });
});

it('who is turned away while the gate is closed is in the trail all the same', async () => {
  const { gate, admit, written } = start();
  const token = await tokenBy(foreign);
  const turnedAway = admit(token);
  await gate[Symbol.asyncDispose]();

  expect(written.map(({ reason }) => reason)).toEqual(['the signature of the token is wrong']);
  expect((await turnedAway).caller).toBeNull();
});

describe('whoever stays with a token', () => {
  it('is sent away once when it expires, which is written down with its name; nobody else is', async () => {
    const { gate, admit, written } = start();
    const away: string[] = [];
    for (const [sub, ms] of [
      ['brief', 300],
      ['gone', 300],
      ['long', 60_000],
    ] as const) {
      const { caller } = await admit(await tokenBy(es256, { sub, exp: secondsIn(ms) }));
      const release = gate.hold(caller!, () => away.push(sub));
      if (sub === 'gone') release();
    }
    await eventually(() => away.length > 0);

    expect(away).toEqual(['brief']);
    const actor = { name: 'jwt:brief', role: 'CRM', sourceAddress: SOURCE };
    expect(written).toEqual([{ actor, reason: 'the token is expired', attempts: 1 }]);
  });
});
