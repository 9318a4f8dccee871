import type { IncomingMessage } from 'node:http';
import type { ApiKey } from '../config.js';
import { type Identity, identify } from './api-keys.js';
import { type RefusalSettings, Refusals } from './refusals.js';
import { SourceAddresses } from './source-address.js';

/** Who was let in, and from where. */
export interface Admitted extends Identity {
  /** Pseudonymised; null where it is not known. */
  readonly sourceAddress: string | null;
}

export interface GateSettings extends RefusalSettings {
  /** Empty: everybody is let in. */
  readonly keys: readonly ApiKey[];
  /** Of the hashes that stand for addresses. */
  readonly addressKey: Buffer;
}

/** Who may come in, and who may do what: whoever is turned away is in the audit trail. */
export class Gate implements AsyncDisposable {
  readonly #keys: readonly ApiKey[];
  readonly #addresses: SourceAddresses;
  readonly #refusals: Refusals;

  constructor(settings: GateSettings) {
    this.#keys = settings.keys;
    this.#addresses = new SourceAddresses(settings.addressKey);
    this.#refusals = new Refusals(settings);
  }

  /** Where a request comes from, as it may be kept. */
  sourceOf(request: Pick<IncomingMessage, 'socket'>): string | null {
    return this.#addresses.of(request);
  }

  /** Lets in whoever presents a key of ours; null for everybody else. */
  admit(authorization: string | undefined, sourceAddress: string | null): Admitted | null {
    const { identity, refusal: reason } = identify(this.#keys, authorization, new Date());
    if (reason === null) return { ...identity, sourceAddress };
    const { name, role } = identity ?? { name: 'anonymous', role: null };
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason });
    return null;
  }

  /** Hears that somebody who was let in wanted what its role may not. @param field such as `Query.audits` */
  forbid({ name, role, sourceAddress }: Admitted, field: string): void {
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason: `the role ${role} may not: ${field}` });
  }

  /** To be called when nobody comes any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#refusals[Symbol.asyncDispose]();
  }
}
