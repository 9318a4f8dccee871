import { BoundedRate, type BoundedRateOptions, type Taken } from './bounded-rate.js';
import { providerOf, siteOf } from './source-address.js';

/** How many times what one /64 may do, or have, all of a /48 may together. */
export const SITE_FACTOR = 4;

const NOT_KNOWN = 'not known';

/**
 * Counts how often each client does something, as {@link clientOf} tells it: an IPv4 address, or a /64 of IPv6. Whoever has one
 * such network may have thousands, so that its /48 is counted as well.
 */
export class AddressRate implements Disposable {
  readonly #clients: BoundedRate;
  readonly #sites: BoundedRate;

  /** @param options of one client */
  constructor(options: Omit<BoundedRateOptions, 'together'>) {
    this.#clients = new BoundedRate({ ...options, together: providerOf });
    this.#sites = new BoundedRate({ ...options, limit: SITE_FACTOR * options.limit, together: providerOf });
  }

  /**
   * Counts once more.
   * @param client null: it is not known; all of those are one
   * @returns in how many seconds to come again, whole and at least 1; null where it is not too many
   */
  async count(client: string | null): Promise<number | null> {
    return (await this.take(client)).waitSeconds;
  }

  /** The same, of what may turn out not to count. */
  async take(client: string | null): Promise<Taken> {
    const one = client ?? NOT_KNOWN;
    const site = siteOf(one);
    if (site === null) return this.#clients.take(one);
    // Who is over is not to use up what its neighbours have; and a newcomer is not to take a place of those that are counted
    // apart where its site is over.
    return this.#clients.isCounted(one)
      ? takeBoth(await this.#clients.take(one), () => this.#sites.take(site))
      : takeBoth(await this.#sites.take(site), () => this.#clients.take(one));
  }

  /** The same without counting: whether one more would be too many. */
  async wait(client: string | null): Promise<number | null> {
    const one = client ?? NOT_KNOWN;
    const site = siteOf(one);
    return (site !== null && (await this.#sites.wait(site))) || this.#clients.wait(one);
  }

  [Symbol.dispose](): void {
    this.#clients[Symbol.dispose]();
    this.#sites[Symbol.dispose]();
  }
}

/** What the second refuses, the first does not count either. */
async function takeBoth(first: Taken, takeSecond: () => Promise<Taken>): Promise<Taken> {
  if (first.waitSeconds !== null) return first;
  const second = await takeSecond();
  if (second.waitSeconds !== null) {
    await first.giveBack();
    return second;
  }
  const giveBack = async () => {
    await first.giveBack();
    await second.giveBack();
  };
  return { waitSeconds: null, giveBack };
}
