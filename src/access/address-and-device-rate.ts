import type { RateLimits } from '../access-settings.js';
import { AddressRate } from './address-rate.js';
import { BoundedRate, NOTHING_TAKEN, type Taken } from './bounded-rate.js';
import { inAMinute } from './rate-options.js';

/** Of a device's hash: those that begin alike are counted together when there are too many. As many groups as may be apart. */
const GROUP_HEX_DIGITS = 4;

/** Whose a session would be. */
export interface Asker {
  /** Whether the address is counted. */
  readonly isPublic: boolean;
  /** As of an {@link Arrival}. */
  readonly client: string | null;
  /** A hash that stands for the device; null where none is known. */
  readonly device: string | null;
}

/** What was taken; or how many seconds to wait, and the setting that is in the way. */
export type TakenOrRefused = Given | Refused;

interface Given extends Taken {
  readonly waitSeconds: null;
}

/** One who is refused has nothing to give back. */
export interface Refused {
  readonly waitSeconds: number;
  readonly setting: string;
}

/** How often something may be asked for from one address and by one device. What either refuses, neither counts. */
export class AddressAndDeviceRate implements Disposable {
  readonly #perAddress: AddressRate;
  readonly #perDevice: BoundedRate;

  /** @param factor how many times the limits for sessions these are */
  constructor({ createPerAddress, createPerFingerprint }: RateLimits, factor: number) {
    this.#perAddress = new AddressRate(inAMinute(factor * createPerAddress));
    const together = (hash: string) => hash.slice(0, GROUP_HEX_DIGITS);
    this.#perDevice = new BoundedRate({ ...inAMinute(factor * createPerFingerprint), together });
  }

  async take({ isPublic, client, device }: Asker): Promise<TakenOrRefused> {
    const byAddress = isPublic ? await this.#perAddress.take(client) : NOTHING_TAKEN;
    if (byAddress.waitSeconds !== null) {
      return { waitSeconds: byAddress.waitSeconds, setting: 'CREATE_RATE_PER_ADDRESS' };
    }
    const byDevice = device === null ? NOTHING_TAKEN : await this.#perDevice.take(device);
    if (byDevice.waitSeconds !== null) {
      await byAddress.giveBack();
      return { waitSeconds: byDevice.waitSeconds, setting: 'CREATE_RATE_PER_FINGERPRINT' };
    }
    const giveBack = async () => {
      await byAddress.giveBack();
      await byDevice.giveBack();
    };
    return { waitSeconds: null, giveBack };
  }

  [Symbol.dispose](): void {
    this.#perAddress[Symbol.dispose]();
    this.#perDevice[Symbol.dispose]();
  }
}
