import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import { compile } from '@fastify/proxy-addr';
import type { TrustProxy } from '../proxy-settings.js';

/** As much of a request as tells whom it is from. */
export type Sent = Pick<IncomingMessage, 'socket' | 'headers'>;

/** More than any address takes, with its port. */
const MOST_CHARACTERS = 64;
/** More proxies than stand in a row anywhere: whoever is trusted could name thousands, and each is looked up. */
const MOST_HOPS = 10;

/** The proxies before the server: whom they say that a request is from. */
export class TrustedProxies {
  readonly #trusts: (address: string, hop: number) => boolean;

  /** @param trust null: there is none */
  constructor(trust: TrustProxy | null) {
    if (trust === null) this.#trusts = () => false;
    else this.#trusts = typeof trust === 'number' ? (_address, hop) => hop < trust : compile([...trust]);
  }

  /** Whether it was one of them that has sent it, so that what it says in headers is not what a client says. */
  haveSent({ socket: { remoteAddress } }: Sent): boolean {
    return remoteAddress !== undefined && this.#trusts(remoteAddress, 0);
  }

  /**
   * The one place that knows whom a request is from: the socket's peer; where that is trusted, whom it names last in
   * `X-Forwarded-For`; where that is trusted as well, whom it names before, and so on. What is left of the first who is not
   * trusted was written by who knows whom, and is not read. Where somebody names what is no address, it was itself.
   */
  addressOf({ socket, headers }: Sent): string | undefined {
    const named = headers['x-forwarded-for']; // Node joins several into one
    let address = socket.remoteAddress;
    if (typeof named !== 'string') return address;
    let end = named.length;
    for (let hop = 0; hop < MOST_HOPS && end > 0; hop += 1) {
      if (address === undefined || !this.#trusts(address, hop)) break;
      const start = named.lastIndexOf(',', end - 1) + 1;
      const before = addressIn(named.slice(start, end));
      if (before === null) break;
      address = before;
      end = start - 1;
    }
    return address;
  }
}

/** An address, also with a port as some proxies send it: `192.0.2.1:4711`, `[2001:db8::1]:4711`; null for anything else. */
function addressIn(entry: string): string | null {
  if (entry.length > MOST_CHARACTERS) return null;
  const text = entry.trim();
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text) ?? [];
  if (bracketed !== undefined) return isIPv6(bracketed) && !bracketed.includes('%') ? bracketed : null;
  const address = text.replace(/^([\d.]+):\d{1,5}$/, '$1');
  // A zone (`%eth0`) names an interface of another machine.
  return isIP(address) === 0 || address.includes('%') ? null : address;
}
