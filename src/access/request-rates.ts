import { createHmac, randomBytes } from 'node:crypto';
import type { RateLimits } from '../access-settings.js';
import { TOKEN_PREFIX } from '../key-formats.js';
import { AddressRate } from './address-rate.js';
import { BoundedRate } from './bounded-rate.js';
import type { Admitted } from './gate.js';

const WINDOW_SECONDS = 60;
/** Of each kind. More come in a minute only from who has many networks. */
const MOST_APART = 65_536;
const LONGEST_FINGERPRINT = 512;
/** Of a fingerprint's hash: those that begin alike are counted together when there are too many. As many groups as may be apart. */
const GROUP_HEX_DIGITS = 4;

interface Rates {
  readonly perKey: BoundedRate;
  readonly perGuestKey: BoundedRate;
  readonly perAddress: AddressRate;
  readonly createPerAddress: AddressRate;
  readonly createPerFingerprint: BoundedRate;
}

export interface RequestRatesOptions {
  /** Null: nothing is counted. */
  readonly limits: RateLimits | null;
  /** Hears that a caller was asked to slow down, and by which setting. */
  onSlowDown(caller: Admitted, setting: string): void;
}

/**
 * How often callers may ask, in memory alone. Each count gives the seconds after which to come again, or null where it is not
 * too often. What one limit refuses the next does not count: a flood from one address does not use up the key that it shares
 * with others.
 */
export class RequestRates implements Disposable {
  readonly #rates: Rates | null;
  readonly #onSlowDown: RequestRatesOptions['onSlowDown'];
  readonly #fingerprintKey = randomBytes(32);

  constructor({ limits, onSlowDown }: RequestRatesOptions) {
    this.#onSlowDown = onSlowDown;
    const optionsOf = (limit: number) => ({ limit, windowSeconds: WINDOW_SECONDS, mostApart: MOST_APART });
    this.#rates = limits && {
      perKey: new BoundedRate(optionsOf(limits.perKey)),
      perGuestKey: new BoundedRate(optionsOf(limits.perGuestKey)),
      perAddress: new AddressRate(optionsOf(limits.perAddress)),
      createPerAddress: new AddressRate(optionsOf(limits.createPerAddress)),
      createPerFingerprint: new BoundedRate({
        ...optionsOf(limits.createPerFingerprint),
        together: (hash) => hash.slice(0, GROUP_HEX_DIGITS),
      }),
    };
  }

  /** Counts a request of nobody that we know. @param client as of an {@link Arrival} */
  async countRefused(client: string | null): Promise<number | null> {
    return this.#rates?.perAddress.count(client) ?? null;
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

  /** Counts a session that is asked for: a request may ask for several. */
  async countCreation(caller: Admitted, client: string | null, fingerprint: string): Promise<number | null> {
    if (!this.#rates) return null;
    const { createPerAddress, createPerFingerprint } = this.#rates;
    const wait =
      isPublic(caller) && (await this.#tell(caller, 'CREATE_RATE_PER_ADDRESS', createPerAddress.count(client)));
    if (wait) return wait;
    // No device is known by it: the pipeline refuses it.
    if (fingerprint.length === 0 || fingerprint.length > LONGEST_FINGERPRINT) return null;
    // What the public makes up is not to use up the devices of a back end.
    const device = JSON.stringify([isPublic(caller) ? null : caller.name, fingerprint]);
    const hash = createHmac('sha256', this.#fingerprintKey).update(device).digest('hex');
    return this.#tell(caller, 'CREATE_RATE_PER_FINGERPRINT', createPerFingerprint.count(hash));
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

/** A GUEST key is in a web page, and bounds nobody by itself; the others come from servers, or from an office. */
const isPublic = ({ role }: Admitted): boolean => role === 'GUEST';

/** All guests of a page come with one key; a token is one guest's. */
const isShared = (caller: Admitted): boolean => isPublic(caller) && !caller.name.startsWith(TOKEN_PREFIX);
