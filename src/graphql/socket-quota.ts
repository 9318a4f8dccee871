import type { Duplex } from 'node:stream';
import { SITE_FACTOR } from '../access/address-rate.js';
import { siteOf } from '../access/source-address.js';

/** The setting that is in the way of another socket. */
export type FullBy = 'MAX_SOCKETS' | 'MAX_SOCKETS_PER_ADDRESS';

export interface QuotaLimits {
  readonly sockets: number;
  readonly socketsPerAddress: number;
}

/**
 * Places for sockets: so many in all, so many for one client, and four times as many for all of one /48 of IPv6. A place is
 * taken by the TCP connection, before the handshake of its upgrade, and given back when that connection is gone, however it ends.
 */
export class SocketQuota {
  readonly #limits: QuotaLimits;
  readonly #takenBy = new Map<string | null, number>();
  #taken = 0;

  constructor(limits: QuotaLimits) {
    this.#limits = limits;
  }

  /**
   * Takes a place until the connection closes.
   *
   * @param client whom limits count; clients that are not known are taken for one
   * @returns what is in the way; null: the place is taken
   */
  take(client: string | null, connection: Pick<Duplex, 'once'>): FullBy | null {
    const holders = this.#holdersOf(client);
    // The one that the client can do something about comes first.
    if (holders.some(({ name, most }) => this.#takenOf(name) >= most)) return 'MAX_SOCKETS_PER_ADDRESS';
    if (this.#taken >= this.#limits.sockets) return 'MAX_SOCKETS';
    this.#taken += 1;
    for (const { name } of holders) this.#takenBy.set(name, this.#takenOf(name) + 1);
    connection.once('close', () => this.#giveBack(holders));
    return null;
  }

  #holdersOf(client: string | null): Holder[] {
    const { socketsPerAddress } = this.#limits;
    const site = client === null ? null : siteOf(client);
    const holder = { name: client, most: socketsPerAddress };
    return site === null ? [holder] : [holder, { name: site, most: SITE_FACTOR * socketsPerAddress }];
  }

  #takenOf(name: string | null): number {
    return this.#takenBy.get(name) ?? 0;
  }

  #giveBack(holders: readonly Holder[]): void {
    this.#taken -= 1;
    for (const { name } of holders) {
      const left = this.#takenOf(name) - 1;
      if (left > 0) this.#takenBy.set(name, left);
      else this.#takenBy.delete(name);
    }
  }
}

/** Who has places: a client, or all of its site. */
interface Holder {
  readonly name: string | null;
  readonly most: number;
}
