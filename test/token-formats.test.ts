import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { loadSettings } from '../src/config.js';
import { StartupError } from '../src/errors.js';

/** The problems that these settings are refused with. */
function problemsOf(env: Record<string, string>): string[] {
  try {
    loadSettings(env);
  } catch (error) {
    if (error instanceof StartupError) return error.message.split('\n  - ').slice(1);
    throw error;
  }
  return [];
}

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed25519 = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const jwkOf = (key: KeyObject, rest: object = {}) => ({ ...key.export({ format: 'jwk' }), ...rest });
const json = (value: object) => JSON.stringify(value);

const TENANT = {
  CXONE_BASE_URL: 'https://api.example.com',
  CXONE_CLIENT_ID: 'client',
  CXONE_CLIENT_SECRET: 'client-secret-value',
  CXONE_QUEUE_ID: 'queue',
  ENCRYPTION_KEY: randomBytes(32).toString('base64'),
};
const CLAIMS = { AUTH_ISSUER: 'https://issuer.example.com', AUTH_AUDIENCE: 'guest-sessions' };
const AUTH_JWKS_URL = 'https://issuer.example.com/keys';
const withKey = (AUTH_JWT_PUBLIC_KEY: string) => ({ ...CLAIMS, AUTH_JWT_PUBLIC_KEY });
const keysOf = (text: string) => loadSettings(withKey(text)).config.access.tokens?.keys;

describe('AUTH_JWT_PUBLIC_KEY', () => {
  it.each([
    ['RSA', rsa.publicKey],
    ['P-256', ec.publicKey],
    ['Ed25519', ed25519.publicKey],
  ])('may be PEM, a JWK or a JWK Set of %s', (_kind, key) => {
    const jwk = jwkOf(key);
    expect(keysOf(` ${pemOf(key)}\n`)).toEqual([jwk]);
    expect(keysOf(json({ ...jwk, kid: 'one', x5t: 'no matter' }))).toEqual([{ ...jwk, kid: 'one' }]);
    expect(keysOf(json({ keys: [jwk, jwkOf(ec.publicKey, { kid: 'two', alg: 'ES256' })] }))).toEqual([
      jwk,
      { ...jwkOf(ec.publicKey), kid: 'two', alg: 'ES256' },
    ]);
  });

  it('may be a set with keys for other ends, and of other kinds: those are left out', () => {
    const others = [
      jwkOf(rsa.publicKey, { use: 'enc' }),
      jwkOf(rsa.publicKey, { key_ops: ['encrypt'] }),
      jwkOf(generateKeyPairSync('x25519').publicKey),
      jwkOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey),
      { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA' },
    ];
    const good = jwkOf(ec.publicKey, { use: 'sig', key_ops: ['verify'] });

    expect(keysOf(json({ keys: [...others, good] }))).toEqual([jwkOf(ec.publicKey)]);
    expect(problemsOf(withKey(json({ keys: others })))).toEqual([
      expect.stringMatching(/^AUTH_JWT_PUBLIC_KEY: must be a public key/),
    ]);
  });

  const secret = randomBytes(32).toString('base64url');
  it.each([
    ['a private key in PEM', ec.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['one of the older form', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })],
    ['one behind a public one', pemOf(ec.publicKey) + ec.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['a private JWK', json(jwkOf(ec.privateKey))],
    ['one in a set', json({ keys: [jwkOf(ec.publicKey), jwkOf(rsa.privateKey)] })],
    ['a symmetric JWK', json({ kty: 'oct', k: secret })],
  ])('is refused where it is %s, of which nothing is repeated', (_what, value) => {
    const [problem, ...others] = problemsOf(withKey(value.toString()));
    expect(problem).toMatch(/^AUTH_JWT_PUBLIC_KEY: is a private or a symmetric key/);
    expect(others).toEqual([]);
    for (const canary of [secret, jwkOf(ec.privateKey).d!]) expect(problem).not.toContain(canary);
  });

  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  it.each([
    ['no key', 'canary-4711'],
    ['an empty set', '{"keys":[]}'],
    ['null', 'null'],
    ['a list of nothing', '{"keys":[null]}'],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'],
    ['cut off', pemOf(ec.publicKey).slice(0, -60)],
    ['a short RSA key', pemOf(small)],
    ['a short RSA key as JWK', json(jwkOf(small))],
    ['of RSA-PSS alone', pemOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey)],
    ['of Ed448', pemOf(generateKeyPairSync('ed448').publicKey)],
  ])('is refused where it is %s', (_what, value) => {
    expect(problemsOf(withKey(value))).toEqual([
      'AUTH_JWT_PUBLIC_KEY: must be a public key as PEM (SPKI), JWK or JWK Set: RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519',
    ]);
  });

  it('has to go with one of AUTH_ALGORITHMS', () => {
    const problem = 'AUTH_ALGORITHMS: has none that goes with AUTH_JWT_PUBLIC_KEY';
    const of = (key: object, AUTH_ALGORITHMS: string) => problemsOf({ ...withKey(json(key)), AUTH_ALGORITHMS });

    expect(problemsOf(withKey(pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)))).toEqual([problem]);
    expect(of(jwkOf(ec.publicKey), 'RS256,EdDSA')).toEqual([problem]);
    expect(of(jwkOf(rsa.publicKey, { alg: 'PS256' }), 'RS256')).toEqual([problem]);
    expect(of(jwkOf(ed25519.publicKey), 'ES256,Ed25519')).toEqual([]);
    expect(of({ keys: [jwkOf(ec.publicKey), jwkOf(rsa.publicKey)] }, 'PS384')).toEqual([]);
  });
});

describe('AUTH_JWKS_URL', () => {
  it.each(['http://127.0.0.1:8080/keys', 'http://[::1]/keys', 'http://localhost/keys', 'https://issuer.example.com/'])(
    'may be %s',
    (url) => {
      expect(problemsOf({ ...CLAIMS, AUTH_JWKS_URL: url })).toEqual([]);
    },
  );

  it.each([
    'http://issuer.example.com/keys',
    'http://127.0.0.1.example.com/',
    'ftp://127.0.0.1/',
    'keys',
    'https://a:b@x.com/',
  ])('may not be %s', (url) => {
    expect(problemsOf({ ...CLAIMS, AUTH_JWKS_URL: url })).toEqual([expect.stringMatching(/^AUTH_JWKS_URL: must /)]);
  });
});

describe('the settings of tokens', () => {
  it('have defaults for the algorithms, the claim and the pages', () => {
    expect(loadSettings({ ...CLAIMS, AUTH_JWKS_URL }).config.access.tokens).toEqual({
      keys: { url: AUTH_JWKS_URL },
      issuer: CLAIMS.AUTH_ISSUER,
      audience: CLAIMS.AUTH_AUDIENCE,
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'],
      roleClaim: 'role',
      origins: [],
    });
  });

  it('are refused with all that does not fit together', () => {
    const AUTH_JWT_PUBLIC_KEY = pemOf(ec.publicKey);
    expect(problemsOf({ AUTH_JWKS_URL, AUTH_JWT_PUBLIC_KEY })).toEqual([
      'AUTH_JWT_PUBLIC_KEY: is set and AUTH_JWKS_URL is, too: one has the keys',
      'AUTH_ISSUER: is required when AUTH_JWKS_URL is set',
      'AUTH_AUDIENCE: is required when AUTH_JWKS_URL is set: a token for another service would do',
    ]);
    const alone = {
      ...CLAIMS,
      AUTH_ALGORITHMS: 'ES256',
      AUTH_ROLE_CLAIM: 'role',
      AUTH_ORIGINS: 'https://shop.example.com',
    };
    expect(problemsOf(alone)).toEqual(
      Object.keys(alone).map(
        (name) => `${name}: is set but neither AUTH_JWKS_URL nor AUTH_JWT_PUBLIC_KEY is: no token would be good`,
      ),
    );
  });

  it.each(['none', 'HS256', 'ES256,HS512', 'ES256,', 'es256', 'RSA-OAEP', 'ES256K'])(
    'refuse %j as AUTH_ALGORITHMS',
    (AUTH_ALGORITHMS) => {
      expect(problemsOf({ ...CLAIMS, AUTH_JWKS_URL, AUTH_ALGORITHMS })).toEqual([
        expect.stringMatching(/^AUTH_ALGORITHMS \(at \d\): must be one of RS256, /),
      ]);
    },
  );

  it.each(['*', 'null', 'https://shop.example.com/', 'https://shop.example.com,', 'https://*.example.com'])(
    'refuse %j as AUTH_ORIGINS',
    (AUTH_ORIGINS) => {
      expect(problemsOf({ ...CLAIMS, AUTH_JWKS_URL, AUTH_ORIGINS })).toEqual([
        expect.stringMatching(/^AUTH_ORIGINS \(at \d\): must be an origin/),
      ]);
    },
  );

  it('make a server that is not open: beyond loopback, in production, and without a playground', () => {
    const sources: Record<string, string>[] = [
      { AUTH_JWKS_URL },
      { AUTH_JWT_PUBLIC_KEY: pemOf(createPublicKey(ec.privateKey)) },
    ];
    for (const keys of sources) {
      const env = { ...TENANT, ...CLAIMS, ...keys, HOST: '0.0.0.0', NODE_ENV: 'production' };
      expect(problemsOf(env)).toEqual([]);
      expect(loadSettings(env).config.playground).toBe(false);
    }
  });

  it('keep the names of tokens for themselves: an API key may have none of those', () => {
    const key = (name: string) => json([{ name, role: 'OPS', sha256: '0'.repeat(64) }]);
    expect(problemsOf({ API_KEYS: key('jwt:alice') })).toEqual([
      'API_KEYS (at 0.name): must not begin with jwt:, as the names of tokens do',
    ]);
    expect(problemsOf({ API_KEYS: key('a jwt:') })).toEqual([]);
  });
});
