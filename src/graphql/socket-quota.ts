import type { Duplex } from 'node:stream';

/** The setting that is in the way of another socket. */
export type FullBy = 'MAX_SOCKETS' | 'MAX_SOCKETS_PER_ADDRESS';

export interface QuotaLimits {
  readonly sockets: number;
  readonly socketsPerAddress: number;
}

/**
 * Places for sockets: so many in all, and so many for one client. A place is taken by the TCP connection, before the handshake
 * of its upgrade, and given back when that connection is gone, however it ends.
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
    const own = this.#takenBy.get(client) ?? 0;
    // The one that the client can do something about comes first.
    if (own >= this.#limits.socketsPerAddress) return 'MAX_SOCKETS_PER_ADDRESS';
    if (this.#taken >= this.#limits.sockets) return 'MAX_SOCKETS';
    this.#taken += 1;
    this.#takenBy.set(client, own + 1);
    connection.once('close', () => this.#giveBack(client));
    return null;
  }

  #giveBack(client: string | null): void {
    this.#taken -= 1;
    const left = (this.#takenBy.get(client) ?? 0) - 1;
    if (left > 0) this.#takenBy.set(client, left);
    else this.#takenBy.delete(client);
  }
}
