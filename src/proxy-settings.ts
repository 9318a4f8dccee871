import { isIP } from 'node:net';
import { compile } from '@fastify/proxy-addr';
import { z } from 'zod';

/** How many proxies stand before the server, or their addresses and networks (or `loopback`, `linklocal`, `uniquelocal`). */
export type TrustProxy = number | readonly string[];

const MOST_PROXIES = 10;
const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal'];

const NO_PROXY =
  'must be a number of proxies, or their addresses or networks, separated by commas, such as "loopback, 10.0.0.0/8"';

/** `TRUST_PROXY`. There is no "all": whoever believes everybody lets each client choose its address. */
export const trustProxy = z.string().transform((text, context): TrustProxy => {
  const refuse = (message: string, path: PropertyKey[] = []) => {
    context.addIssue({ code: 'custom', message, path });
    return z.NEVER;
  };
  if (/^\s*\d+\s*$/.test(text)) {
    const hops = Number(text);
    return hops >= 1 && hops <= MOST_PROXIES ? hops : refuse(`must be 1 to ${MOST_PROXIES} proxies`);
  }
  const networks = text.split(',').map((item) => item.trim());
  const unknown = networks.findIndex((network) => !isNetwork(network));
  if (unknown === -1) return networks;
  return refuse(NO_PROXY, networks.length > 1 ? [unknown] : []);
});

/** `COUNTRY_HEADER` and `PROXY_HEADER`: the name of a header, as Node gives it (RFC 9110 §5.6.2). */
export const headerName = z
  .string()
  .trim()
  .regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,100}$/i, 'must be the name of a header, such as cf-ipcountry')
  .toLowerCase();

/** What the library takes, but for what is no address in the usual form, such as `10.1` or `fe80::1%eth0`. */
function isNetwork(text: string): boolean {
  if (NAMED_NETWORKS.includes(text)) return true;
  const [address = ''] = text.split('/');
  if (isIP(address) === 0 || address.includes('%')) return false;
  try {
    compile(text);
    return true;
  } catch {
    return false;
  }
}
