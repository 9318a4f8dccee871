import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadSettings } from '../src/config.js';
import { StartupError } from '../src/errors.js';

const KEY = randomBytes(32).toString('base64');
const OLD_KEYS = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
const WEBHOOK_SECRET = `whsec_${randomBytes(24).toString('base64')}`;
const SIGNING_KEY = generateKeyPairSync('ed25519').privateKey;
const signingKeyAs = {
  der: SIGNING_KEY.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  pem: SIGNING_KEY.export({ type: 'pkcs8', format: 'pem' }).toString(),
};
/** What of it is secret, in base64. */
const SIGNING_SEED = Buffer.from(SIGNING_KEY.export({ format: 'jwk' }).d ?? '', 'base64url').toString('base64');
const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const hashOf = (key: string) => createHash('sha256').update(key).digest('hex');
const sha256 = hashOf('a key');

const TENANT = {
  CXONE_BASE_URL: 'https://api.example.com',
  CXONE_CLIENT_ID: 'client',
  CXONE_CLIENT_SECRET: 'client-secret-value',
  CXONE_QUEUE_ID: 'queue',
  ENCRYPTION_KEY: KEY,
};

/** The problems that a set of settings is refused with, one a line. */
function problemsOf(env: Record<string, string>): string[] {
  try {
    loadSettings(env);
  } catch (error) {
    expect(error).toBeInstanceOf(StartupError);
    const [headline, ...problems] = (error as StartupError).message.split('\n');
    expect(headline).toBe('The settings are not valid:');
    return problems.map((problem) => problem.replace(/^ {2}- /, ''));
  }
  return [];
}

const keys = (...list: object[]) => JSON.stringify(list);

/** A file for `API_KEYS_FILE` that goes with the test. */
function fileWith(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'keys-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'keys.json');
  writeFileSync(path, text);
  return path;
}

describe('the settings', () => {
  it('all have defaults, which run the sandbox on a loopback address', () => {
    const { config, secrets } = loadSettings({});

    expect(config).toEqual({
      host: '127.0.0.1',
      port: 4000,
      databaseUrl: 'file:./data/guest-sessions.db',
      cxone: {
        baseUrl: null,
        clientId: 'sandbox-client',
        queueId: 'queue-web-guests',
        timeoutMs: 5000,
        maxAttempts: 3,
        retryBaseMs: 1000,
        breakerFailures: 10,
        breakerOpenMs: 5000,
        maxConcurrency: 100,
        endSession: true,
        listLagMs: 10_000,
      },
      crm: {
        webhookUrl: null,
        events: ['SESSION_INITIATED'],
        timeoutMs: 5000,
        concurrency: 8,
        retryScheduleSeconds: [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400],
        disableAfterHours: 120,
      },
      fraud: { threshold: 75, provider: 'simulated', serviceUrl: null, timeoutMs: 1000, failMode: 'closed' },
      maxConcurrentSessions: 5,
      createDeadlineMs: 15_000,
      eventRetentionDays: 30,
      retentionDays: 395,
      limits: { tokens: 1000, operations: 1, fragments: 20, depth: 10, aliases: 15, directives: 8, cost: 5000 },
      transport: {
        maxBodyBytes: 100_000,
        requestTimeoutMs: 10_000,
        sockets: {
          sockets: 10_000,
          socketsPerAddress: 50,
          subscriptions: 20,
          frameBytes: 100_000,
          initTimeoutMs: 3000,
        },
      },
      stream: { maxBufferedEvents: 1000 },
      auditCheckpointFile: null,
      idempotencyTtlHours: 24,
      crashAt: null,
      access: {
        apiKeys: [],
        apiKeysFile: null,
        tokens: null,
        rates: null,
        proxies: { trust: null, countryHeader: null, proxyHeader: null },
      },
      playground: true,
      logLevel: 'info',
    });
    expect(secrets.cxoneClientSecret).toBe('sandbox-secret');
    expect(secrets.crmWebhookSecrets).toEqual([]);
    expect(secrets.encryptionKey).toBeNull();
    expect(secrets.encryptionKeysOld).toEqual([]);
    expect(secrets.auditSigningKey).toBeNull();
  });

  it('are each read from the environment', () => {
    const { config, secrets } = loadSettings({
      ...TENANT,
      HOST: '0.0.0.0',
      PORT: '0',
      DATABASE_URL: 'postgresql://db/sessions',
      CXONE_TIMEOUT_MS: '1',
      CXONE_MAX_ATTEMPTS: '2',
      CXONE_RETRY_BASE_MS: '3',
      CXONE_BREAKER_FAILURES: '10',
      CXONE_BREAKER_OPEN_MS: '11',
      CXONE_MAX_CONCURRENCY: '12',
      CXONE_END_SESSION: 'off',
      CXONE_LIST_LAG_MS: '13',
      CREATE_DEADLINE_MS: '4',
      MAX_QUERY_TOKENS: '21',
      MAX_QUERY_OPERATIONS: '22',
      MAX_QUERY_FRAGMENTS: '27',
      RATE_LIMITS: 'on',
      RATE_PER_KEY: '28',
      RATE_PER_GUEST_KEY: '32',
      RATE_PER_ADDRESS: '29',
      CREATE_RATE_PER_ADDRESS: '30',
      CREATE_RATE_PER_FINGERPRINT: '31',
      MAX_QUERY_DEPTH: '23',
      MAX_QUERY_ALIASES: '24',
      MAX_QUERY_DIRECTIVES: '25',
      MAX_QUERY_COST: '26',
      STREAM_MAX_BUFFERED: '14',
      MAX_BODY_BYTES: '1031',
      REQUEST_TIMEOUT_MS: '132',
      MAX_SOCKETS: '33',
      MAX_SOCKETS_PER_ADDRESS: '34',
      MAX_SUBSCRIPTIONS_PER_SOCKET: '35',
      MAX_FRAME_BYTES: '1036',
      SOCKET_INIT_TIMEOUT_MS: '137',
      AUDIT_SIGNING_KEY: signingKeyAs.der,
      AUDIT_CHECKPOINT_FILE: '/var/log/checkpoints.jsonl',
      IDEMPOTENCY_TTL_HOURS: '0.5',
      CRASH_AT: 'after-post',
      ENCRYPTION_KEYS_OLD: `${OLD_KEYS[0]}, ${OLD_KEYS[1]}`,
      CRM_WEBHOOK_URL: 'http://crm.example.com/hooks',
      CRM_WEBHOOK_SECRET: `${WEBHOOK_SECRET}, ${WEBHOOK_SECRET}`,
      CRM_TIMEOUT_MS: '5',
      CRM_CONCURRENCY: '6',
      CRM_RETRY_SCHEDULE: '0, 0.5,7',
      CRM_WEBHOOK_EVENTS: 'session.initiated, session.ended',
      CRM_DISABLE_AFTER_HOURS: '14',
      EVENT_RETENTION_DAYS: '15',
      RETENTION_DAYS: '16.5',
      FRAUD_THRESHOLD: '100',
      FRAUD_PROVIDER: 'http',
      FRAUD_SERVICE_URL: 'https://fraud.example.com/score',
      FRAUD_TIMEOUT_MS: '8',
      FRAUD_FAIL_MODE: 'open',
      MAX_CONCURRENT_SESSIONS: '9',
      API_KEYS_FILE: fileWith(keys({ name: 'portal', role: 'BACKEND', sha256: hashOf('portal') })),
      TRUST_PROXY: '2',
      COUNTRY_HEADER: 'CF-IPCountry',
      PROXY_HEADER: 'x-visitor-is-proxy',
      API_KEYS: keys(
        { name: 'widget', role: 'GUEST', sha256: sha256.toUpperCase(), origins: ['https://shop.example.com'] },
        { name: 'ops', role: 'OPS', sha256: hashOf('ops'), expiresAt: '2030-01-01T00:00:00Z' },
      ),
      AUTH_JWKS_URL: 'https://issuer.example.com/keys?v=1',
      AUTH_ISSUER: 'https://issuer.example.com/',
      AUTH_AUDIENCE: 'guest-sessions',
      AUTH_ALGORITHMS: 'ES256, PS512',
      AUTH_ROLE_CLAIM: 'https://example.com/role',
      AUTH_ORIGINS: 'https://shop.example.com, http://127.0.0.1:8080',
      LOG_LEVEL: 'trace',
    });

    expect(config).toEqual({
      host: '0.0.0.0',
      port: 0,
      databaseUrl: 'postgresql://db/sessions',
      cxone: {
        baseUrl: 'https://api.example.com',
        clientId: 'client',
        queueId: 'queue',
        timeoutMs: 1,
        maxAttempts: 2,
        retryBaseMs: 3,
        breakerFailures: 10,
        breakerOpenMs: 11,
        maxConcurrency: 12,
        endSession: false,
        listLagMs: 13,
      },
      createDeadlineMs: 4,
      eventRetentionDays: 15,
      retentionDays: 16.5,
      limits: { tokens: 21, operations: 22, fragments: 27, depth: 23, aliases: 24, directives: 25, cost: 26 },
      transport: {
        maxBodyBytes: 1031,
        requestTimeoutMs: 132,
        sockets: { sockets: 33, socketsPerAddress: 34, subscriptions: 35, frameBytes: 1036, initTimeoutMs: 137 },
      },
      stream: { maxBufferedEvents: 14 },
      auditCheckpointFile: '/var/log/checkpoints.jsonl',
      idempotencyTtlHours: 0.5,
      crashAt: 'after-post',
      crm: {
        webhookUrl: 'http://crm.example.com/hooks',
        timeoutMs: 5,
        concurrency: 6,
        events: ['SESSION_INITIATED', 'SESSION_ENDED'],
        retryScheduleSeconds: [0, 0.5, 7],
        disableAfterHours: 14,
      },
      fraud: {
        threshold: 100,
        provider: 'http',
        serviceUrl: 'https://fraud.example.com/score',
        timeoutMs: 8,
        failMode: 'open',
      },
      maxConcurrentSessions: 9,
      access: {
        apiKeys: [
          { name: 'widget', role: 'GUEST', sha256, origins: ['https://shop.example.com'] },
          { name: 'ops', role: 'OPS', sha256: hashOf('ops'), expiresAt: new Date('2030-01-01T00:00:00Z') },
        ],
        apiKeysFile: {
          path: expect.stringContaining('keys.json'),
          keys: [{ name: 'portal', role: 'BACKEND', sha256: hashOf('portal') }],
        },
        tokens: {
          keys: { url: 'https://issuer.example.com/keys?v=1' },
          issuer: 'https://issuer.example.com/',
          audience: 'guest-sessions',
          algorithms: ['ES256', 'PS512'],
          roleClaim: 'https://example.com/role',
          origins: ['https://shop.example.com', 'http://127.0.0.1:8080'],
        },
        rates: { perKey: 28, perGuestKey: 32, perAddress: 29, createPerAddress: 30, createPerFingerprint: 31 },
        proxies: { trust: 2, countryHeader: 'cf-ipcountry', proxyHeader: 'x-visitor-is-proxy' },
      },
      playground: false,
      logLevel: 'trace',
    });
    expect(secrets.cxoneClientSecret).toBe('client-secret-value');
    expect(secrets.crmWebhookSecrets).toEqual([WEBHOOK_SECRET, WEBHOOK_SECRET]);
    expect(secrets.encryptionKey?.toString('base64')).toBe(KEY);
    expect(secrets.encryptionKeysOld.map((key) => key.toString('base64'))).toEqual(OLD_KEYS);
    expect(secrets.auditSigningKey?.equals(SIGNING_KEY)).toBe(true);
  });

  it('have a playground where there are no keys, or where it is asked for', () => {
    const API_KEYS = keys({ name: 'ops', role: 'OPS', sha256 });
    const isServed = (env: Record<string, string>) => loadSettings(env).config.playground;

    expect([isServed({}), isServed({ API_KEYS: '[]' }), isServed({ API_KEYS, PLAYGROUND: 'on' })]).toEqual([
      true,
      true,
      true,
    ]);
    expect([isServed({ API_KEYS }), isServed({ PLAYGROUND: 'off' })]).toEqual([false, false]);
  });

  it('limit how often is asked where there are keys, or where that is asked for', () => {
    const API_KEYS = keys({ name: 'ops', role: 'OPS', sha256 });
    const ratesOf = (env: Record<string, string>) => loadSettings(env).config.access.rates;
    const usual = {
      perKey: 6000,
      perGuestKey: 60_000,
      perAddress: 600,
      createPerAddress: 30,
      createPerFingerprint: 10,
    };

    expect(ratesOf({ API_KEYS })).toEqual(usual);
    expect(ratesOf({ API_KEYS_FILE: fileWith(API_KEYS) })).toEqual(usual);
    expect(ratesOf({ RATE_LIMITS: 'on' })).toEqual(usual);
    expect([ratesOf({ API_KEYS: '[]' }), ratesOf({ API_KEYS, RATE_LIMITS: 'off' })]).toEqual([null, null]);
  });

  it('refuse a rate where none is limited', () => {
    expect(
      problemsOf({
        RATE_LIMITS: 'off',
        RATE_PER_KEY: '10',
        RATE_PER_GUEST_KEY: '10',
        CREATE_RATE_PER_FINGERPRINT: '0',
      }),
    ).toEqual([
      'CREATE_RATE_PER_FINGERPRINT: must be at least 1',
      'RATE_PER_KEY: is set but RATE_LIMITS is off: nothing would be limited',
      'RATE_PER_GUEST_KEY: is set but RATE_LIMITS is off: nothing would be limited',
      'CREATE_RATE_PER_FINGERPRINT: is set but RATE_LIMITS is off: nothing would be limited',
    ]);
    expect(problemsOf({ RATE_LIMITS: 'sometimes' })).toEqual([expect.stringMatching(/^RATE_LIMITS: /)]);
  });

  it('may be empty, which is the same as not set', () => {
    const names = ['HOST', 'PORT', 'CXONE_BASE_URL', 'API_KEYS', 'CRM_RETRY_SCHEDULE', 'ENCRYPTION_KEY', 'LOG_LEVEL'];
    const empty = Object.fromEntries(names.map((name, index) => [name, index % 2 ? '' : '  ']));

    expect(loadSettings(empty).config).toEqual(loadSettings({}).config);
    expect(problemsOf({ ...TENANT, CXONE_CLIENT_SECRET: '' })).toEqual([
      'CXONE_CLIENT_SECRET: is required when CXONE_BASE_URL is set',
    ]);
  });

  it('refuse the credentials of a tenant without its address: guests would get sessions of the sandbox', () => {
    const problems = problemsOf({ CXONE_CLIENT_ID: 'client', CXONE_CLIENT_SECRET: 'client-secret-value' });

    expect(problems).toEqual([
      expect.stringMatching(/^CXONE_CLIENT_ID: is set but CXONE_BASE_URL is not/),
      expect.stringMatching(/^CXONE_CLIENT_SECRET: is set but CXONE_BASE_URL is not/),
    ]);
  });

  it('refuse a fraud service that would not be asked', () => {
    expect(problemsOf({ FRAUD_SERVICE_URL: 'https://fraud.example.com' })).toEqual([
      expect.stringMatching(/^FRAUD_SERVICE_URL: is set but FRAUD_PROVIDER is not http/),
    ]);
  });

  it.each([
    'https://api.example.com/?a=b',
    'https://api.example.com/#part',
    'https://user:secret@api.example.com',
    'https://:secret@api.example.com',
  ])('refuse %s as the address of CXone', (url) => {
    expect(problemsOf({ CXONE_BASE_URL: url })).toContainEqual(expect.stringMatching(/^CXONE_BASE_URL: must/));
  });

  it.each(['caf\ud800', 'a\0b', ''])('refuse %j as the name of a key: it is the actor in the audit trail', (name) => {
    const keys = JSON.stringify([{ name, role: 'OPS', sha256: '0'.repeat(64) }]);
    expect(problemsOf({ API_KEYS: keys })).toEqual(['API_KEYS (at 0.name): must be 1 to 100 plain characters']);
  });

  it('are refused with everything that is wrong, at once', () => {
    const problems = problemsOf({
      HOST: '0.0.0.0',
      PORT: '70000',
      DATABASE_URL: 'mysql://db',
      CXONE_BASE_URL: 'ftp://api.example.com',
      CXONE_TIMEOUT_MS: 'soon',
      CRM_WEBHOOK_URL: 'not a url',
      CRM_WEBHOOK_SECRET: 'whsec_short',
      FRAUD_PROVIDER: 'http',
      FRAUD_FAIL_MODE: 'ajar',
      API_KEYS: '[]',
      AUDIT_SIGNING_KEY: 'AAAA',
      ENCRYPTION_KEY: 'AAAA',
      LOG_LEVEL: 'loud',
    });

    expect(problems.map((problem) => problem.split(/[: ]/, 1)[0]).sort()).toEqual([
      'AUDIT_SIGNING_KEY',
      'CRM_WEBHOOK_SECRET',
      'CRM_WEBHOOK_URL',
      'CXONE_BASE_URL',
      'CXONE_CLIENT_ID',
      'CXONE_CLIENT_SECRET',
      'CXONE_QUEUE_ID',
      'CXONE_TIMEOUT_MS',
      'DATABASE_URL',
      'ENCRYPTION_KEY',
      'FRAUD_FAIL_MODE',
      'FRAUD_SERVICE_URL',
      'HOST',
      'LOG_LEVEL',
      'PORT',
    ]);
  });

  it('of a tenant need its credentials, its queue and a key', () => {
    expect(problemsOf({ CXONE_BASE_URL: 'https://api.example.com' })).toEqual([
      'CXONE_CLIENT_ID: is required when CXONE_BASE_URL is set',
      'CXONE_CLIENT_SECRET: is required when CXONE_BASE_URL is set',
      'CXONE_QUEUE_ID: is required when CXONE_BASE_URL is set',
      'ENCRYPTION_KEY: is required when CXONE_BASE_URL is set (openssl rand -base64 32)',
    ]);
    expect(problemsOf(TENANT)).toEqual([]);
  });

  it('of an HTTP fraud check need its URL', () => {
    expect(problemsOf({ FRAUD_PROVIDER: 'http' })).toEqual([
      'FRAUD_SERVICE_URL: is required when FRAUD_PROVIDER is http',
    ]);
  });

  it.each(['CXONE_BASE_URL', 'CRM_WEBHOOK_URL', 'FRAUD_SERVICE_URL'])('refuse a %s that is no URL for HTTP', (name) => {
    for (const value of ['example.com', '/path', 'ftp://example.com', 'javascript:alert(1)', 'http://', 'file:./x']) {
      expect(
        problemsOf({
          ...TENANT,
          FRAUD_PROVIDER: 'http',
          FRAUD_SERVICE_URL: 'https://fraud.example.com',
          [name]: value,
        }),
        value,
      ).toEqual([`${name}: must be an http:// or https:// URL`]);
    }
  });

  it.each([
    ['FRAUD_PROVIDER', 'SIMULATED'],
    ['FRAUD_FAIL_MODE', 'half'],
    ['LOG_LEVEL', 'verbose'],
    ['CXONE_END_SESSION', 'true'],
    ['CRASH_AT', 'somewhere'],
  ])('name the values that %s can have', (name, value) => {
    const [problem, ...others] = problemsOf({ [name]: value });

    expect(problem).toMatch(new RegExp(`^${name}: .*"(simulated|open|trace|on|after-reserve)"`));
    expect(others).toEqual([]);
  });

  it.each([
    ['PORT', ['-1', '65536', '80.5', 'http', '4000x', 'NaN', 'Infinity']],
    ['CXONE_TIMEOUT_MS', ['0', '120001', '1.5', '5s']],
    ['CXONE_MAX_ATTEMPTS', ['0', '11']],
    ['CXONE_RETRY_BASE_MS', ['0', '60001']],
    ['CXONE_BREAKER_FAILURES', ['0', '1001', '2.5']],
    ['CXONE_BREAKER_OPEN_MS', ['0', '600001']],
    ['CXONE_MAX_CONCURRENCY', ['0', '1001']],
    ['CREATE_DEADLINE_MS', ['0', '300001']],
    ['STREAM_MAX_BUFFERED', ['0', '1000001']],
    ['CRM_TIMEOUT_MS', ['0', '120001']],
    ['CRM_CONCURRENCY', ['0', '257']],
    ['FRAUD_THRESHOLD', ['-1', '101', '75%']],
    ['FRAUD_TIMEOUT_MS', ['0', '60001']],
    ['MAX_CONCURRENT_SESSIONS', ['0', '1001', 'five']],
  ])('refuse a %s that is out of range or no whole number', (name, values) => {
    for (const value of values) {
      const problems = problemsOf({ [name]: value });
      expect(problems, value).toEqual([expect.stringMatching(new RegExp(`^${name}: `))]);
    }
  });

  it('call a number that is none by its name', () => {
    expect(problemsOf({ PORT: 'http' })).toEqual(['PORT: must be a whole number']);
  });

  it.each(['1,x', '-1', '604801', '1,,2', '1;2'])('refuse %j as a CRM_RETRY_SCHEDULE', (value) => {
    const [problem] = problemsOf({ CRM_RETRY_SCHEDULE: value });

    expect(problem).toMatch(/^CRM_RETRY_SCHEDULE \(at \d\): /);
    expect(problem).not.toContain('whole'); // half a second is fine
  });

  it.each([
    'AAAA',
    'not base64!',
    randomBytes(31).toString('base64'),
    randomBytes(33).toString('base64'),
    'a'.repeat(64),
  ])('refuse %j as an ENCRYPTION_KEY', (value) => {
    expect(problemsOf({ ENCRYPTION_KEY: value })).toEqual([expect.stringMatching(/^ENCRYPTION_KEY: .*base64/)]);
  });

  it.each([`${KEY},AAAA`, `${KEY},`, `${KEY};${KEY}`, 'a'.repeat(64)])('refuse %j as ENCRYPTION_KEYS_OLD', (value) => {
    expect(problemsOf({ ENCRYPTION_KEY: KEY, ENCRYPTION_KEYS_OLD: value })).toEqual([
      expect.stringMatching(/^ENCRYPTION_KEYS_OLD \(at \d\): .*base64/),
    ]);
  });

  it('refuse old keys without a new one', () => {
    expect(problemsOf({ ENCRYPTION_KEYS_OLD: KEY })).toEqual([
      'ENCRYPTION_KEY: is required when ENCRYPTION_KEYS_OLD is set',
    ]);
  });

  it.each(Object.entries(signingKeyAs))('take an AUDIT_SIGNING_KEY as %s', (_form, value) => {
    expect(loadSettings({ AUDIT_SIGNING_KEY: ` ${value}\n` }).secrets.auditSigningKey?.equals(SIGNING_KEY)).toBe(true);
  });

  it.each([
    ['no base64', 'not base64!'],
    ['no key', randomBytes(48).toString('base64')],
    ['a bare seed', randomBytes(32).toString('base64')],
    ['cut off', signingKeyAs.der.slice(0, -4)],
    ['cut off in PEM', signingKeyAs.pem.slice(0, -40)],
    ['of another kind', ecKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['of another kind in base64', ecKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')],
    ['public', createPublicKey(SIGNING_KEY).export({ type: 'spki', format: 'pem' }).toString()],
    ['under a password', SIGNING_KEY.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })],
  ])('refuse an AUDIT_SIGNING_KEY that is %s, and repeat nothing of it', (_what, value) => {
    expect(problemsOf({ AUDIT_SIGNING_KEY: value.toString() })).toEqual([
      'AUDIT_SIGNING_KEY: must be an Ed25519 private key, as PEM or PKCS#8 in base64 ' +
        '(openssl genpkey -algorithm ed25519 -outform DER | base64 -w0)',
    ]);
  });

  it('of a tenant need a signing key for a file of checkpoints', () => {
    expect(problemsOf({ ...TENANT, AUDIT_CHECKPOINT_FILE: 'checkpoints.jsonl' })).toEqual([
      'AUDIT_SIGNING_KEY: is required when AUDIT_CHECKPOINT_FILE is set: there would be no checkpoints',
    ]);
    expect(problemsOf({ AUDIT_CHECKPOINT_FILE: 'checkpoints.jsonl' })).toEqual([]);
    expect(
      problemsOf({ ...TENANT, AUDIT_SIGNING_KEY: signingKeyAs.pem, AUDIT_CHECKPOINT_FILE: 'checkpoints.jsonl' }),
    ).toEqual([]);
  });

  it.each(['0', '-1', '8760.1', 'a day', '24h', 'NaN', 'Infinity'])('refuse %j as IDEMPOTENCY_TTL_HOURS', (value) => {
    const [problem, ...others] = problemsOf({ IDEMPOTENCY_TTL_HOURS: value });

    expect(problem).toMatch(/^IDEMPOTENCY_TTL_HOURS: must be /);
    expect(others).toEqual([]);
  });

  it.each(['0', '-1', '3650.1', 'a year', '395d', 'NaN', 'Infinity'])('refuse %j as RETENTION_DAYS', (value) => {
    const [problem, ...others] = problemsOf({ RETENTION_DAYS: value });

    expect(problem).toMatch(/^RETENTION_DAYS: must be /);
    expect(others).toEqual([]);
  });

  it('refuse to forget sessions before the idempotency keys that stand for them', () => {
    const problem =
      'RETENTION_DAYS: is shorter than IDEMPOTENCY_TTL_HOURS: keys would outlive the sessions they stand for';
    expect(problemsOf({ RETENTION_DAYS: '0.99' })).toEqual([problem]);
    expect(problemsOf({ RETENTION_DAYS: '2', IDEMPOTENCY_TTL_HOURS: '48.1' })).toEqual([problem]);
    expect(problemsOf({ RETENTION_DAYS: '2', IDEMPOTENCY_TTL_HOURS: '48' })).toEqual([]);
    expect(problemsOf({ IDEMPOTENCY_TTL_HOURS: '8760' })).toEqual([]);
    expect(problemsOf({ EVENT_RETENTION_DAYS: '0.01', RETENTION_DAYS: '1' })).toEqual([]);
    expect(problemsOf({ EVENT_RETENTION_DAYS: '3650', RETENTION_DAYS: '1' })).toEqual([]);
  });

  it('refuse production without a tenant: guests would talk to a sandbox', () => {
    const production = { NODE_ENV: 'production', API_KEYS: keys({ name: 'x', role: 'OPS', sha256 }) };

    expect(problemsOf(production)).toEqual([
      'CXONE_BASE_URL: is required when NODE_ENV is production: guests would get sessions of the sandbox',
    ]);
    expect(problemsOf({ ...production, ...TENANT })).toEqual([]);
  });

  it('refuse a proxy in front of a server that is open to its machine: all who come through it would be of that', () => {
    const problem =
      'TRUST_PROXY: is set, and without API_KEYS or tokens whoever comes through the proxy could do everything';

    expect(problemsOf({ TRUST_PROXY: 'loopback' })).toEqual([problem]);
    expect(problemsOf({ TRUST_PROXY: 'loopback', API_KEYS_FILE: fileWith('[]') })).toEqual([]);
  });

  it('let tests say where the process dies, and nobody in production', () => {
    const points = ['after-reserve', 'before-post', 'after-post', 'before-close', 'after-close'];
    const production = { ...TENANT, NODE_ENV: 'production', API_KEYS: keys({ name: 'x', role: 'OPS', sha256 }) };
    for (const point of [...points, 'before-webhook', 'after-webhook']) {
      expect(loadSettings({ CRASH_AT: point, NODE_ENV: 'test' }).config.crashAt).toBe(point);
      expect(problemsOf({ CRASH_AT: point, ...production })).toEqual([
        'CRASH_AT: is for tests and is refused when NODE_ENV is production',
      ]);
    }
    expect(problemsOf({ CRASH_AT: '', ...production })).toEqual([]);
  });

  it.each([
    ['http://tenant.example.com', true],
    ['http://127.0.0.1.example.com', true],
    ['https://tenant.example.com', false],
    ['http://127.0.0.1:4010', false],
    ['http://[::1]:4010', false],
  ])('keep the client secret off the network in production: at %s refused is %j', (url, isRefused) => {
    const settings = { ...TENANT, CXONE_BASE_URL: url, API_KEYS: keys({ name: 'x', role: 'OPS', sha256 }) };
    const refusal = 'CXONE_BASE_URL: must be https:// when NODE_ENV is production, or on a loopback address';

    expect(problemsOf({ ...settings, NODE_ENV: 'production' })).toEqual(isRefused ? [refusal] : []);
    expect(problemsOf(settings)).toEqual([]);
  });

  it.each([
    ['not json', 'API_KEYS: must be a JSON list'],
    ['{"name":"x"}', 'API_KEYS: must be a JSON list'],
    ['"text"', 'API_KEYS: must be a JSON list'],
    ['[1]', /^API_KEYS \(at 0\): .*expected object/],
    [keys({ role: 'OPS', sha256 }), /^API_KEYS \(at 0\.name\): .*expected string/],
    [keys({ name: '', role: 'OPS', sha256 }), /^API_KEYS \(at 0\.name\): /],
    [keys({ name: 'x', role: 'ADMIN', sha256 }), /^API_KEYS \(at 0\.role\): .*"GUEST"/],
    [keys({ name: 'x', role: 'OPS', sha256: 'abc' }), 'API_KEYS (at 0.sha256): must be 64 hexadecimal digits'],
    [keys({ name: 'x', role: 'OPS', sha256, expiresAt: 'soon' }), /^API_KEYS \(at 0\.expiresAt\): .*date/],
    [keys({ name: 'x', role: 'OPS', sha256, expiresAt: null }), /^API_KEYS \(at 0\.expiresAt\): .*string/],
    [
      keys({ name: 'x', role: 'OPS', sha256 }, { name: 'x', role: 'CRM', sha256 }),
      /^API_KEYS \(at 1\.name\): .*another/,
    ],
    [keys({ name: 'x', role: 'GUEST', sha256, origins: [] }), /^API_KEYS \(at 0\.origins\): .*at least one/],
    [keys({ name: 'x', role: 'GUEST', sha256, origins: '*' }), /^API_KEYS \(at 0\.origins\): .*array/],
  ])('refuse %s as API_KEYS, and say why', (value, problem) => {
    expect(problemsOf({ API_KEYS: value })).toEqual([
      typeof problem === 'string' ? problem : expect.stringMatching(problem),
    ]);
  });

  it.each([
    ...[
      '*',
      'null',
      'shop.example.com',
      'https://*.example.com',
      'https://shop.example.com/',
      'ftp://shop.example.com',
    ],
    ...[
      'https://shop.example.com:443',
      'HTTPS://shop.example.com',
      'https://Shop.example.com',
      'https://a@shop.example.com',
    ],
  ])('refuse %j as an origin, which no browser sends', (origin) => {
    expect(problemsOf({ API_KEYS: keys({ name: 'x', role: 'GUEST', sha256, origins: [origin] }) })).toEqual([
      expect.stringMatching(/^API_KEYS \(at 0\.origins\.0\): must be an origin/),
    ]);
  });

  it('refuse a file of keys that is not there, is broken, or has a name of API_KEYS, and say why', () => {
    const portal = { name: 'portal', role: 'BACKEND', sha256 };
    const API_KEYS_FILE = fileWith(keys({ name: 'x', role: 'OPS', sha256: hashOf('x') }, portal));

    expect(problemsOf({ API_KEYS_FILE: `${API_KEYS_FILE}.gone` })).toEqual(['API_KEYS_FILE: cannot be read (ENOENT)']);
    expect(problemsOf({ API_KEYS_FILE: fileWith('[') })).toEqual(['API_KEYS_FILE (at keys): must be a JSON list']);
    expect(problemsOf({ API_KEYS_FILE, API_KEYS: keys(portal) })).toEqual([
      'API_KEYS_FILE (at keys.1.name): is the name of a key in API_KEYS',
    ]);
  });

  it('refuse one key under two names, since nobody could say who has used it', () => {
    const [one, other] = ['one', 'other'].map((name) => ({ name, role: 'OPS', sha256 }));
    const inCapitals = { ...other, sha256: sha256.toUpperCase() };

    expect(problemsOf({ API_KEYS: keys(one!, inCapitals) })).toEqual([
      'API_KEYS (at 1.sha256): is the key of another name',
    ]);
    expect(problemsOf({ API_KEYS: keys(one!), API_KEYS_FILE: fileWith(keys(inCapitals)) })).toEqual([
      'API_KEYS_FILE (at keys.0.sha256): is the key of another name in API_KEYS',
    ]);
  });

  it('allow an open address with a file of keys, also while that has none: then nobody has a key', () => {
    expect(problemsOf({ HOST: '0.0.0.0', API_KEYS_FILE: fileWith('[]') })).toEqual([]);
  });

  it('refuse a misspelt field of an API key, which would be a key that never expires', () => {
    const [problem] = problemsOf({ API_KEYS: keys({ name: 'x', role: 'OPS', sha256, expires: '2030-01-01' }) });

    expect(problem).toMatch(/^API_KEYS \(at 0\): .*"expires"/);
  });

  it.each(['', '[]', ' [ ] ', '[\n]'])('refuse an open address while API_KEYS is %j', (value) => {
    for (const host of ['0.0.0.0', '::', '192.168.1.10', 'example.com']) {
      expect(problemsOf({ HOST: host, API_KEYS: value }), host).toEqual([expect.stringMatching(/^HOST: .*API_KEYS/)]);
    }
    expect(problemsOf({ HOST: 'localhost', API_KEYS: value })).toEqual([]);
  });

  it.each(['', '[]'])(
    'refuse production, also on a loopback address, while API_KEYS is %j and there is no file of them',
    (value) => {
      const production = { ...TENANT, NODE_ENV: 'production', API_KEYS: value };

      expect(problemsOf(production)).toEqual([
        expect.stringMatching(/^API_KEYS: or API_KEYS_FILE is required .*production/),
      ]);
      expect(problemsOf({ ...production, API_KEYS_FILE: fileWith('[]') })).toEqual([]);
      expect(problemsOf({ ...production, API_KEYS: keys({ name: 'x', role: 'OPS', sha256 }) })).toEqual([]);
      expect(problemsOf({ ...production, NODE_ENV: 'development' })).toEqual([]);
    },
  );

  it('allow an open address with keys', () => {
    expect(problemsOf({ HOST: '0.0.0.0', API_KEYS: keys({ name: 'x', role: 'OPS', sha256 }) })).toEqual([]);
  });

  it.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['127.0.0.1.example.com', false],
    ['localhost.example.com', false],
    ['10.127.0.0', false],
  ])('know whether %s is a loopback address', (host, isLoopback) => {
    expect(problemsOf({ HOST: host }).length === 0).toBe(isLoopback);
  });

  it('are refused without repeating what was given, which may be a secret in the wrong place', () => {
    const canary = 'canary-4711';
    const wrong = Object.fromEntries(
      [
        ...['DATABASE_URL', 'CXONE_BASE_URL', 'CXONE_TIMEOUT_MS', 'CRM_WEBHOOK_URL', 'CRM_WEBHOOK_SECRET', 'LOG_LEVEL'],
        ...['CXONE_BREAKER_FAILURES', 'CXONE_END_SESSION', 'IDEMPOTENCY_TTL_HOURS', 'CRASH_AT', 'ENCRYPTION_KEYS_OLD'],
        ...['CRM_RETRY_SCHEDULE', 'FRAUD_PROVIDER', 'FRAUD_SERVICE_URL', 'ENCRYPTION_KEY', 'PORT', 'API_KEYS', 'HOST'],
        ...['AUDIT_SIGNING_KEY'],
      ].map((name) => [name, canary]),
    );
    const problems = problemsOf(wrong);

    expect(problems.length).toBeGreaterThan(10);
    expect(problems.join('\n')).not.toContain(canary);
    expect(problemsOf({ API_KEYS: keys({ name: 'x', role: canary, sha256: canary }) }).join()).not.toContain(canary);
  });
});

describe('the secrets', () => {
  const { secrets } = loadSettings({
    ...TENANT,
    CRM_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ENCRYPTION_KEYS_OLD: OLD_KEYS.join(),
    AUDIT_SIGNING_KEY: signingKeyAs.der,
  });
  const hex = (key: string) => Buffer.from(key, 'base64').toString('hex', 0, 8);
  const canaries = [
    TENANT.CXONE_CLIENT_SECRET,
    WEBHOOK_SECRET,
    ...[KEY, ...OLD_KEYS, SIGNING_SEED].flatMap((key) => [key, hex(key)]),
  ];

  it.each([
    ['JSON', () => JSON.stringify({ secrets })],
    ['a template', () => `${secrets}`],
    ['console.log', () => inspect({ secrets }, { depth: 9 })],
    ['an inspection that looks behind everything', () => inspect(secrets, { customInspect: false, showHidden: true })],
    ['a copy', () => JSON.stringify({ ...secrets }) + inspect({ ...secrets })],
    ['a clone', () => inspect(structuredClone(secrets))],
    ['a list of its entries', () => inspect(Object.entries(secrets), { depth: 9 })],
    ['an error', () => inspect(new Error('x', { cause: secrets }))],
  ])('do not print in %s', (_name, print) => {
    const printed = print();

    for (const canary of canaries) expect(printed).not.toContain(canary);
  });
});
