import { TOKEN_PREFIX } from '../key-formats.js';
import { AddressRate } from './address-rate.js';
import { BoundedRate } from './bounded-rate.js';
import type { Admitted } from './gate.js';
import { inAMinute, isPublic, type RatesOptions } from './rate-options.js';

/** For each request of an address that may be refused: who has a good key says so only on the socket, and must not be shut out. */
const SOCKETS_PER_REQUEST = 10;

interface Rates {
  readonly perKey: BoundedRate;
  readonly perGuestKey: BoundedRate;
  readonly perAddress: AddressRate;
  /** Sockets that nobody with a good key has come by. */
  readonly strangers: AddressRate;
}

/**
 * How often callers may ask, in memory alone. Each count gives the seconds after which to come again, or null where it is not
 * too often. What one limit refuses the next does not count: a flood from one address does not use up the key that it shares
 * with others.
 */
export class RequestRates implements Disposable {
  readonly #rates: Rates | null;
  readonly #onSlowDown: RatesOptions['onSlowDown'];

  constructor({ limits, onSlowDown }: RatesOptions) {
    this.#onSlowDown = onSlowDown;
    this.#rates = limits && {
      perKey: new BoundedRate(inAMinute(limits.perKey)),
      perGuestKey: new BoundedRate(inAMinute(limits.perGuestKey)),
      perAddress: new AddressRate(inAMinute(limits.perAddress)),
      strangers: new AddressRate(inAMinute(SOCKETS_PER_REQUEST * limits.perAddress)),
    };
  }

  /** Counts a request of nobody that we know. @param client as of an {@link Arrival} */
  async countRefused(client: string | null): Promise<number | null> {
    return this.#rates?.perAddress.count(client) ?? null;
  }

  /** Counts a socket, or an upgrade, that nobody with a good key has come by. */
  async countStranger(client: string | null): Promise<void> {
    await this.#rates?.strangers.count(client);
  }

  /** In how many seconds another socket may be tried from there; null: now. */
  async waitOfStrangers(client: string | null): Promise<number | null> {
    return this.#rates?.strangers.wait(client) ?? null;
  }

  /** Counts a request of a caller who was let in. */
  async countRequest(caller: Admitted, client: string | null): Promise<number | null> {
    if (!this.#rates) return null;
    const { perAddress, perKey, perGuestKey } = this.#rates;
    const wait = isPublic(caller) && (await this.#tell(caller, 'RATE_PER_ADDRESS', perAddress.count(client)));
    if (wait) return wait;
    return isShared(caller)
      ? this.#tell(caller, 'RATE_PER_GUEST_KEY', perGuestKey.count(caller.name))
      : this.#tell(caller, 'RATE_PER_KEY', perKey.count(caller.name));
  }

  async #tell(caller: Admitted, setting: string, counting: Promise<number | null>): Promise<number | null> {
    const wait = await counting;
    if (wait !== null) this.#onSlowDown(caller, setting);
    return wait;
  }

  [Symbol.dispose](): void {
    for (const rate of Object.values(this.#rates ?? {})) rate[Symbol.dispose]();
  }
}

/** All guests of a page come with one key; a token is one guest's. */
const isShared = (caller: Admitted): boolean => isPublic(caller) && !caller.name.startsWith(TOKEN_PREFIX);
