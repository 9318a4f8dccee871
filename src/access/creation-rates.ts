import { createHmac, randomBytes } from 'node:crypto';
import type { Conclusion } from '../guest-session/ledger-ports.js';
import { AddressAndDeviceRate, type Refused, type TakenOrRefused } from './address-and-device-rate.js';
import type { Admitted } from './gate.js';
import { isPublic, type RatesOptions } from './rate-options.js';

/** How many times as often as a session may be asked for what opens none may be sent: each leaves an entry in the audit trail. */
const SEND_FACTOR = 10;
const LONGEST_FINGERPRINT = 512;
/** Codes which say that nothing was tried. */
const NOTHING_TRIED: ReadonlySet<string> = new Set(['INVALID_INPUT', 'IDEMPOTENCY_CONFLICT', 'IDEMPOTENCY_IN_FLIGHT']);

/** Somebody asks for a session. */
export interface CreationRequest {
  readonly caller: Admitted;
  /** As of an {@link Arrival}. */
  readonly client: string | null;
  readonly fingerprint: string;
  /** Null where there is none. */
  readonly idempotencyKey: string | null;
}

/** Requests for the same session that are under way together: they take what one takes. */
interface Intent {
  readonly taking: Promise<TakenOrRefused>;
  underWay: number;
  /** Whether something was tried for what was taken. */
  isUsed: boolean;
}

/**
 * How often sessions may be asked for, in memory alone. What opens none is not counted as one: an input that is not valid, and
 * an answer that is given again, since whoever sends an intent again has to get its token. Ten times as much is too much of
 * that, too.
 */
export class CreationRates implements Disposable {
  readonly #rates: { readonly sends: AddressAndDeviceRate; readonly sessions: AddressAndDeviceRate } | null;
  readonly #onSlowDown: RatesOptions['onSlowDown'];
  readonly #fingerprintKey = randomBytes(32);
  readonly #intents = new Map<string, Intent>();

  constructor({ limits, onSlowDown }: RatesOptions) {
    this.#rates = limits && {
      sends: new AddressAndDeviceRate(limits, SEND_FACTOR),
      sessions: new AddressAndDeviceRate(limits, 1),
    };
    this.#onSlowDown = onSlowDown;
  }

  /**
   * Opens a session, unless too many are asked for.
   * @returns what has become of it; or in how many seconds to ask again
   */
  async limit(request: CreationRequest, open: () => Promise<Conclusion>): Promise<Conclusion | number> {
    if (!this.#rates) return open();
    const { sends, sessions } = this.#rates;
    const asker = { isPublic: isPublic(request.caller), client: request.client, device: this.#deviceOf(request) };
    const sent = await sends.take(asker);
    if (sent.waitSeconds !== null) return this.#slowDown(request, sent);
    const name = JSON.stringify([request.caller.name, asker.client, asker.device, request.idempotencyKey]);
    const intent = this.#intents.get(name) ?? { taking: sessions.take(asker), underWay: 0, isUsed: false };
    if (request.idempotencyKey !== null) this.#intents.set(name, intent);
    intent.underWay += 1;
    const taken = await intent.taking;
    let isTry = false;
    try {
      if (taken.waitSeconds !== null) return this.#slowDown(request, taken);
      isTry = true;
      const conclusion = await open();
      isTry = wasTried(conclusion);
      return conclusion;
    } finally {
      // Who was under way with another, and has tried as well, has asked for one more.
      if (isTry && intent.isUsed) await sessions.take(asker);
      if (isTry) intent.isUsed = true;
      intent.underWay -= 1;
      if (intent.underWay === 0) {
        this.#intents.delete(name);
        if (!intent.isUsed && taken.waitSeconds === null) await taken.giveBack();
      }
    }
  }

  #slowDown({ caller }: CreationRequest, { waitSeconds, setting }: Refused): number {
    this.#onSlowDown(caller, setting);
    return waitSeconds;
  }

  /** Null where no device is known by the fingerprint: the pipeline refuses it. */
  #deviceOf({ caller, fingerprint }: CreationRequest): string | null {
    if (fingerprint.length === 0 || fingerprint.length > LONGEST_FINGERPRINT) return null;
    // What the public makes up is not to use up the devices of a back end.
    const device = JSON.stringify([isPublic(caller) ? null : caller.name, fingerprint]);
    return createHmac('sha256', this.#fingerprintKey).update(device).digest('hex');
  }

  [Symbol.dispose](): void {
    this.#rates?.sends[Symbol.dispose]();
    this.#rates?.sessions[Symbol.dispose]();
  }
}

function wasTried({ replayed, outcome }: Pick<Conclusion, 'replayed' | 'outcome'>): boolean {
  if (replayed) return false;
  return outcome.status === 'SUCCESS' || !('code' in outcome.error && NOTHING_TRIED.has(outcome.error.code));
}
