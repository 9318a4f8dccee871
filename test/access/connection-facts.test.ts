import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { connectionFacts } from '../../src/access/connection-facts.js';
import { COUNTRY_CODES } from '../../src/guest-session/country-codes.js';

const HEADERS = { countryHeader: 'cf-ipcountry', proxyHeader: 'x-visitor-is-proxy' };
const factsOf = (country?: string, isProxy?: string, headers: Parameters<typeof connectionFacts>[1] = HEADERS) =>
  connectionFacts(
    {
      ...(country !== undefined && { 'cf-ipcountry': country }),
      ...(isProxy !== undefined && { 'x-visitor-is-proxy': isProxy }),
    },
    headers,
  );

describe('the country of a connection', () => {
  it.each([
    ['DE', 'DE'],
    ['de', 'DE'],
    [' US ', 'US'],
    ['XX', null], // Cloudflare: not known
    ['ZZ', null], // App Engine: not known
    ['XK', null],
    ['UK', null],
    ['DE, US', null],
    ['', null],
    ['Germany', null],
    ['ß', null],
    ['\u0131T', null],
    [undefined, null],
  ])('is in the header as %j: %j', (value, country) => {
    expect(factsOf(value)).toEqual({ isProxy: false, country });
  });

  it('is a code of ISO 3166-1 or not known, whatever is sent', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ minLength: 2, maxLength: 2 })), (value) => {
        const { country } = factsOf(value);
        expect(country === null || COUNTRY_CODES.has(country)).toBe(true);
      }),
    );
  });

  it('is not known where no header is set up', () => {
    expect(factsOf('DE', undefined, { ...HEADERS, countryHeader: null })).toEqual({ isProxy: false, country: null });
  });
});

describe('a connection through a proxy', () => {
  it.each(['true', '1', 'yes', 'TRUE', ' Yes '])('is told by %j', (value) => {
    expect(factsOf('DE', value)).toEqual({ isProxy: true, country: 'DE' });
  });

  it.each(['false', '0', 'no', '', 'truest', '10', undefined])('is not told by %j', (value) => {
    expect(factsOf('DE', value)).toEqual({ isProxy: false, country: 'DE' });
  });

  it('is told by one of several values: a visitor who sends "false" besides does not hide', () => {
    expect(factsOf('DE', 'false, true').isProxy).toBe(true);
    expect(factsOf('DE', 'true, false').isProxy).toBe(true);
  });

  it('is one through Tor, which Cloudflare says in the place of the country', () => {
    expect(factsOf('T1')).toEqual({ isProxy: true, country: null });
    expect(factsOf('T1', 'false')).toEqual({ isProxy: true, country: null });
  });

  it('is not told where no header is set up', () => {
    expect(factsOf('DE', 'true', { ...HEADERS, proxyHeader: null })).toEqual({ isProxy: false, country: 'DE' });
  });
});
