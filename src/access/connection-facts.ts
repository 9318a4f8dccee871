import type { IncomingHttpHeaders } from 'node:http';
import type { AccessConfig } from '../access-settings.js';
import type { GuestConnection } from '../guest-session/believed-connection.js';
import { COUNTRY_CODES } from '../guest-session/country-codes.js';

/** Cloudflare's "country" of those who come through Tor. */
const TOR = 'T1';
/** Some letters have two capitals: "ß" would become SS, which is South Sudan. */
const TWO_CHARACTERS = /^[a-z][a-z0-9]$/i;
const YES = /^(true|1|yes)$/i;

/** What a trusted proxy says in headers of the connection that it has taken. What cannot be understood is not known. */
export function connectionFacts(
  headers: IncomingHttpHeaders,
  { countryHeader, proxyHeader }: Pick<AccessConfig['proxies'], 'countryHeader' | 'proxyHeader'>,
): GuestConnection {
  const said = textOf(headers, countryHeader).trim();
  const country = TWO_CHARACTERS.test(said) ? said.toUpperCase() : '';
  // Of several any is enough: where the proxy adds its own, a visitor cannot hide behind one of its own.
  const isProxy = textOf(headers, proxyHeader)
    .split(',')
    .some((value) => YES.test(value.trim()));
  return { isProxy: isProxy || country === TOR, country: COUNTRY_CODES.has(country) ? country : null };
}

/** What was sent several times is joined by commas. */
const textOf = (headers: IncomingHttpHeaders, name: string | null): string =>
  name === null ? '' : String(headers[name] ?? '');
