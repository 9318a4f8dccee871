import { createHmac } from 'node:crypto';
import ipaddr from 'ipaddr.js';

const TAG_HEX_DIGITS = 12;

/**
 * Where requests come from, as far as it is kept: never an address, but its network and a keyed hash (HMAC-SHA-256) of whom
 * {@link clientOf} tells: of the address, or of its /64.
 * Whoever makes many requests is recognised by that, and whoever has an address and the key can look for it.
 */
export class SourceAddresses {
  readonly #key: Buffer;

  /** @param key of the hashes; where it changes, nobody is recognised any more */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** The pseudonym of an address in any form, such as `203.0.113.0/24#a1b2c3d4e5f6`; null for what is none. */
  pseudonymOf(address: string | undefined): string | null {
    const client = clientOf(address);
    if (client === null) return null;
    const tag = createHmac('sha256', this.#key).update(client).digest('hex').slice(0, TAG_HEX_DIGITS);
    return `${siteOf(client) ?? networkOf(peerOf(client), 24)}#${tag}`;
  }
}

/**
 * Whom limits count: an IPv4 address, or the /64 of an IPv6 one, since whoever has one address of it has them all. For memory
 * alone: it is not to be kept. Null for what is no address.
 */
export function clientOf(address: string | undefined): string | null {
  if (address === undefined || !ipaddr.isValid(address)) return null;
  // An IPv4 client of a server that listens on `::` is the same client.
  const peer = ipaddr.process(address);
  return peer.kind() === 'ipv4' ? textOf(peer) : networkOf(peer, 64);
}

/**
 * The /48 of a client, as {@link clientOf} tells it: the most that a provider gives to one customer (RFC 6177), who has 65,536
 * networks by it. Null for an IPv4 address, and what is none.
 */
export function siteOf(client: string): string | null {
  return client.endsWith('/64') ? networkOf(peerOf(client), 48) : null;
}

/**
 * The network of the provider whom a client belongs to, as {@link clientOf} tells it, or its site: the /16 of an IPv4 address,
 * else the /32.
 */
export function providerOf(client: string): string {
  if (!ipaddr.isValid(addressOf(client))) return client;
  const peer = peerOf(client);
  return networkOf(peer, peer.kind() === 'ipv4' ? 16 : 32);
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

const addressOf = (client: string): string => client.replace(/\/\d+$/, '');
const peerOf = (client: string): Address => ipaddr.parse(addressOf(client));

/** Without the zone of a link-local address: it names an interface of ours. */
const textOf = (address: Address): string =>
  address instanceof ipaddr.IPv6 ? new ipaddr.IPv6(address.parts).toString() : address.toString();

/** The network that the first bits of an address name. */
function networkOf(address: Address, bits: number): string {
  const bytes = address.toByteArray().map((byte, index) => (index < bits / 8 ? byte : 0));
  return `${textOf(ipaddr.fromByteArray(bytes))}/${bits}`;
}
