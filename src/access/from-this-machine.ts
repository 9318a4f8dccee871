import type { IncomingHttpHeaders } from 'node:http';
import { isLoopbackHost } from '../loopback.js';

/** What proxies add, unless they are told not to. */
const OF_PROXIES = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

/** What is said of a request that is not. */
export const NOT_FROM_HERE =
  'Without API keys and tokens this server answers its own machine alone: under a loopback name, and through no proxy.';

/**
 * Whether a request comes from this machine, as far as its headers show. That its socket does is not enough: a page whose name was
 * made to lead to loopback (DNS rebinding) is same-origin to a browser, and a proxy on this machine passes on what comes from
 * anywhere.
 */
export const isFromThisMachine = (headers: IncomingHttpHeaders): boolean =>
  isLoopbackHost(headers.host) && OF_PROXIES.every((name) => headers[name] === undefined);
