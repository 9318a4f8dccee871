import { describe, expect, it } from 'vitest';
import { loadSettings } from '../src/config.js';
import { StartupError } from '../src/errors.js';

// A server that is open to its machine may have no proxy.
const API_KEYS = JSON.stringify([{ name: 'console', role: 'OPS', sha256: '0'.repeat(64) }]);
const load = (env: Record<string, string>) => loadSettings({ API_KEYS, ...env });
const proxiesOf = (env: Record<string, string>) => load(env).config.access.proxies;

/** What a start is refused with. */
function problemsOf(env: Record<string, string>): string[] {
  try {
    load(env);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^ {2}- /, ''));
  }
  return [];
}

describe('TRUST_PROXY', () => {
  it.each([
    ['1', 1],
    [' 2 ', 2],
    ['10', 10],
    ['203.0.113.7', ['203.0.113.7']],
    ['10.0.0.0/8, 2001:db8::/32', ['10.0.0.0/8', '2001:db8::/32']],
    ['10.0.0.0/255.0.0.0', ['10.0.0.0/255.0.0.0']],
    ['loopback,linklocal , uniquelocal', ['loopback', 'linklocal', 'uniquelocal']],
  ])('takes %j', (value, trust) => {
    expect(proxiesOf({ TRUST_PROXY: value }).trust).toEqual(trust);
  });

  it.each([
    ['0', 'must be 1 to 10 proxies'],
    ['11', 'must be 1 to 10 proxies'],
    ...[
      '-1',
      '1.5',
      'true',
      'all',
      '*',
      'proxy.example.com',
      '10.1',
      '10.0.0.0/33',
      '0.0.0.0/0',
      '::/0',
      '10.0.0.0/',
    ].map((value) => [value, expect.stringMatching(/^must be a number of proxies, or their addresses/)]),
    ['fe80::1%eth0', expect.stringMatching(/^must be a number/)],
  ])('refuses %j, and says why', (value, message) => {
    const [problem = '', ...others] = problemsOf({ TRUST_PROXY: value });
    expect(others).toEqual([]);
    expect(problem.replace(/^TRUST_PROXY: /, '')).toEqual(message);
  });

  it.each(['loopback, 10.0.0.300', 'loopback,', 'loopback, 1'])('says which of %j is none', (value) => {
    expect(problemsOf({ TRUST_PROXY: value })).toEqual([expect.stringMatching(/^TRUST_PROXY \(at 1\): must be/)]);
  });
});

describe.each(['COUNTRY_HEADER', 'PROXY_HEADER'])('%s', (name) => {
  it('is taken in any case, and kept as Node gives it', () => {
    const { countryHeader, proxyHeader } = proxiesOf({ TRUST_PROXY: '1', [name]: ' CF-Visitor ' });
    expect([countryHeader, proxyHeader].filter((header) => header !== null)).toEqual(['cf-visitor']);
  });

  it.each(['cf visitor', 'cf-visitor:', 'x,y', 'ä', 'x'.repeat(101)])('refuses %j', (value) => {
    expect(problemsOf({ TRUST_PROXY: '1', [name]: value })).toEqual([
      `${name}: must be the name of a header, such as cf-ipcountry`,
    ]);
  });

  it('is refused without TRUST_PROXY: nobody would be believed', () => {
    expect(problemsOf({ [name]: 'cf-visitor' })).toEqual([
      `${name}: is set but TRUST_PROXY is not: nobody would be believed who sends it`,
    ]);
  });
});
