import type { IncomingMessage } from 'node:http';
import type { ApiKey } from '../access-settings.js';
import { type Identity, identify, refusalOf } from './api-keys.js';
import { type KeyChange, KeyChanges } from './key-changes.js';
import { KeyRing, type KeyRingLog, type KeyRingSettings } from './key-ring.js';
import { type RefusalSettings, Refusals } from './refusals.js';
import { clientOf, SourceAddresses } from './source-address.js';

/** How often is looked for keys that have expired. */
const LOOK_MS = 250;

/** Who was let in, and from where. */
export interface Admitted extends Identity {
  /** Pseudonymised; null where it is not known. */
  readonly sourceAddress: string | null;
}

/** Where a request comes from. */
export interface Arrival {
  /** Pseudonymised, as it may be kept; null where it is not known. */
  readonly sourceAddress: string | null;
  /** Whom limits count, as {@link clientOf} tells it. For memory alone; null where it is not known. */
  readonly client: string | null;
  /** Of the web page that sent it; undefined for programs. */
  readonly origin: string | undefined;
}

/** Somebody who was let in; or nobody, and whether the key would be good from elsewhere. */
export type Admission = { readonly caller: Admitted } | { readonly caller: null; readonly isForeign: boolean };

export interface GateSettings extends RefusalSettings, Omit<KeyRingSettings, 'log'> {
  readonly log: KeyRingLog;
  /** Writes down that the keys are others; may fail. */
  writeKeyChange(change: KeyChange): Promise<unknown>;
  /** Of the hashes that stand for addresses. */
  readonly addressKey: Buffer;
}

/** Whoever stays, for as long as its key is good. */
interface Guest {
  readonly caller: Admitted;
  readonly key: ApiKey;
  readonly origin: string | undefined;
}

/** Who may come in, and who may do what: whoever is turned away is in the audit trail, and so is each change of the keys. */
export class Gate implements AsyncDisposable {
  readonly #ring: KeyRing;
  readonly #addresses: SourceAddresses;
  readonly #refusals: Refusals;
  readonly #keyChanges: KeyChanges;
  /** What a caller was let in by. */
  readonly #guests = new WeakMap<object, Guest>();
  readonly #staying = new Map<() => void, Guest>();
  readonly #timer: NodeJS.Timeout;

  constructor(settings: GateSettings) {
    this.#ring = new KeyRing(settings);
    this.#keyChanges = new KeyChanges({ write: (change) => settings.writeKeyChange(change), log: settings.log });
    this.#ring.onChange = (change) => {
      this.#keyChanges.record(change);
      this.#look();
    };
    this.#addresses = new SourceAddresses(settings.addressKey);
    this.#refusals = new Refusals(settings);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Whether callers have to show a key. */
  get asksForKeys(): boolean {
    return !this.#ring.isOpen;
  }

  /** Where a request comes from. */
  arrivalOf(request: Pick<IncomingMessage, 'socket' | 'headers'>): Arrival {
    return {
      sourceAddress: this.#addresses.of(request),
      client: clientOf(request),
      origin: request.headers.origin,
    };
  }

  /** Lets in whoever presents a key of ours, from where that may be used. */
  admit(authorization: string | undefined, { sourceAddress, origin }: Arrival): Admission {
    const keys = this.#ring.isOpen ? null : this.#ring.keys;
    const { identity, refusal } = identify(keys, { authorization, origin }, new Date());
    if (refusal === null) {
      const caller = { ...identity, sourceAddress };
      const key = this.#ring.named(identity.name);
      if (key) this.#guests.set(caller, { caller, key, origin });
      return { caller };
    }
    const { name, role } = identity ?? { name: 'anonymous', role: null };
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason: refusal.reason });
    return { caller: null, isForeign: refusal.isForeign };
  }

  /** Whether pages of this origin may ask us at all: a key names it. */
  knowsOrigin(origin: string): boolean {
    return this.#ring.knowsOrigin(origin);
  }

  /** The same for a socket: what is refused there is no more than an attempt to misuse somebody's browser. */
  admitsOrigin({ sourceAddress, origin }: Arrival): boolean {
    if (origin !== undefined && this.#ring.knowsOrigin(origin)) return true;
    // Not with the origin: who has no key could fill the trail with what it makes up.
    this.turnAway(sourceAddress, 'a socket for a page whose origin is not one of any key');
    return false;
  }

  /**
   * Hears that somebody was turned away before it could show a key.
   * @param sourceAddress null where it is not about that address
   * @param reason with nothing in it that the caller has made up
   */
  turnAway(sourceAddress: string | null, reason: string): void {
    this.#refusals.record({ actor: { name: 'anonymous', role: null, sourceAddress }, reason });
  }

  /**
   * For callers who stay. Calls `revoke`, once, within a second of the moment that the key is not good any more.
   * @returns to be called when the caller goes by itself
   */
  hold(caller: object, revoke: () => void): () => void {
    const guest = this.#guests.get(caller);
    if (guest) this.#staying.set(revoke, guest);
    return () => void this.#staying.delete(revoke);
  }

  #look(): void {
    const now = new Date();
    for (const [revoke, { caller, key, origin }] of this.#staying) {
      const today = this.#ring.named(key.name);
      const isSame = today?.sha256 === key.sha256 && today.role === key.role;
      const reason = isSame ? refusalOf(today, origin, now)?.reason : 'the key was taken back';
      if (reason === undefined) continue;
      this.#staying.delete(revoke);
      this.#refusals.record({ actor: caller, reason });
      revoke();
    }
  }

  /** Hears that somebody who was let in wanted what its role may not. @param field such as `Query.audits`, or `introspection` */
  forbid({ name, role, sourceAddress }: Admitted, field: string): void {
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason: `the role ${role} may not: ${field}` });
  }

  /** To be called when nobody comes any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#ring[Symbol.dispose]();
    await this.#keyChanges[Symbol.asyncDispose]();
    await this.#refusals[Symbol.asyncDispose]();
  }
}
