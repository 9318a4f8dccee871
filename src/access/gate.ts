import type { AccessConfig } from '../access-settings.js';
import { type GuestConnection, UNKNOWN_CONNECTION } from '../guest-session/believed-connection.js';
import { bearerOf, type Identification, type Identity, identify, refusalOf } from './api-keys.js';
import { type Sent, TrustedProxies } from './client-address.js';
import { connectionFacts } from './connection-facts.js';
import { JsonWebTokens, looksLikeToken, type TokenSettings } from './json-web-tokens.js';
import { type KeyChange, KeyChanges } from './key-changes.js';
import { KeyRing, type KeyRingLog, type KeyRingSettings } from './key-ring.js';
import { type RefusalSettings, Refusals } from './refusals.js';
import { KeySetUnavailableError } from './remote-key-set.js';
import { isSameOrigin } from './same-origin.js';
import { clientOf, SourceAddresses } from './source-address.js';

/** How often is looked for keys and tokens that have expired. */
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
  /** False for pages of other sites. */
  readonly isSameOrigin: boolean;
  /** What trusted proxies say of the connection. */
  readonly connection: GuestConnection;
}

/** Somebody who was let in; or nobody, and whether the key or token would be good from elsewhere. */
export type Admission = { readonly caller: Admitted } | { readonly caller: null; readonly isForeign: boolean };

export interface GateSettings extends RefusalSettings, Omit<KeyRingSettings, 'log'> {
  readonly log: KeyRingLog & { warn(message: string): void };
  /** Writes down that the keys are others; may fail. */
  writeKeyChange(change: KeyChange): Promise<unknown>;
  /** Of the hashes that stand for addresses. */
  readonly addressKey: Buffer;
  /** Which are good beside keys; null: none. */
  readonly tokens: TokenSettings | null;
  /** Who is believed about whom a request is from, and in which headers about the connection. */
  readonly proxies: AccessConfig['proxies'];
}

/** Whoever stays, for as long as its key or token is good. */
interface Guest {
  readonly caller: Admitted;
  /** Why it may not stay any longer. */
  refusal(now: Date): string | undefined;
}

/** Who may come in, and who may do what: whoever is turned away is in the audit trail, and so is each change of the keys. */
export class Gate implements AsyncDisposable {
  readonly #ring: KeyRing;
  readonly #tokens: JsonWebTokens | null;
  readonly #addresses: SourceAddresses;
  readonly #proxies: TrustedProxies;
  readonly #factHeaders: AccessConfig['proxies'];
  readonly #log: GateSettings['log'];
  #hasToldOfProxy = false;
  readonly #refusals: Refusals;
  readonly #keyChanges: KeyChanges;
  /** What a caller was let in by. */
  readonly #guests = new WeakMap<object, Guest>();
  readonly #staying = new Map<() => void, Guest>();
  readonly #admitting = new Set<Promise<Admission>>();
  readonly #timer: NodeJS.Timeout;

  constructor(settings: GateSettings) {
    this.#ring = new KeyRing(settings);
    this.#keyChanges = new KeyChanges({ write: (change) => settings.writeKeyChange(change), log: settings.log });
    this.#ring.onChange = (change) => {
      this.#keyChanges.record(change);
      this.#look();
    };
    this.#tokens = settings.tokens && new JsonWebTokens(settings.tokens, settings.log);
    this.#addresses = new SourceAddresses(settings.addressKey);
    this.#proxies = new TrustedProxies(settings.proxies.trust);
    this.#factHeaders = settings.proxies;
    this.#log = settings.log;
    this.#refusals = new Refusals(settings);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Whether callers have to show a key or a token. */
  get asksForKeys(): boolean {
    return !this.#ring.isOpen || this.#tokens !== null;
  }

  /** Where a request comes from. */
  arrivalOf(request: Sent): Arrival {
    const address = this.#proxies.addressOf(request);
    this.#tellOfProxy(request);
    return {
      sourceAddress: this.#addresses.pseudonymOf(address),
      client: clientOf(address),
      origin: request.headers.origin,
      isSameOrigin: isSameOrigin(request),
      connection: this.#proxies.haveSent(request)
        ? connectionFacts(request.headers, this.#factHeaders)
        : UNKNOWN_CONNECTION,
    };
  }

  /** Once, where there seems to be a proxy that no setting names: then all clients would share the limits of one address. */
  #tellOfProxy({ headers }: Sent): void {
    if (this.#factHeaders.trust !== null || this.#hasToldOfProxy || headers['x-forwarded-for'] === undefined) return;
    this.#hasToldOfProxy = true;
    this.#log.warn('a request came with X-Forwarded-For, which is not believed: behind a proxy, set TRUST_PROXY');
  }

  /**
   * Lets in whoever presents a key of ours, or a token of our issuer, from where that may be used.
   * @throws KeySetUnavailableError when nobody can tell at the moment whether a token is good
   */
  async admit(authorization: string | undefined, arrival: Arrival): Promise<Admission> {
    const admitting = this.#admit(authorization, arrival);
    this.#admitting.add(admitting);
    try {
      return await admitting;
    } finally {
      this.#admitting.delete(admitting);
    }
  }

  async #admit(authorization: string | undefined, arrival: Arrival): Promise<Admission> {
    const { sourceAddress, origin } = arrival;
    const keys = this.asksForKeys ? this.#ring.keys : null;
    const byKey = identify(keys, { authorization, origin }, new Date());
    const token = bearerOf(authorization);
    // A key may look like a token, so that those are asked first.
    const isToken = byKey.identity === null && token !== undefined && looksLikeToken(token);
    const found = this.#tokens && isToken ? await this.#identify(this.#tokens, token, arrival) : byKey;
    if (found.refusal === null) {
      const { identity, expiresAtMs } = found;
      const caller = { ...identity, sourceAddress };
      const guest = expiresAtMs === undefined ? this.#guestWithKey(caller, origin) : guestUntil(caller, expiresAtMs);
      if (guest) this.#guests.set(caller, guest);
      return { caller };
    }
    const { name, role } = found.identity ?? { name: 'anonymous', role: null };
    const { reason, isForeign } = found.refusal;
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason });
    return { caller: null, isForeign };
  }

  async #identify(tokens: JsonWebTokens, token: string, arrival: Arrival): Promise<Identification> {
    try {
      return await tokens.identify(token, arrival);
    } catch (error) {
      if (error instanceof KeySetUnavailableError) {
        // Somebody may try tokens while nobody can tell what they are worth.
        this.turnAway(arrival.sourceAddress, "the token cannot be checked without the issuer's keys");
      }
      throw error;
    }
  }

  /** Null where there are no keys. */
  #guestWithKey(caller: Admitted, origin: string | undefined): Guest | null {
    const key = this.#ring.named(caller.name);
    if (!key) return null;
    const refusal = (now: Date) => {
      const today = this.#ring.named(key.name);
      const isSame = today?.sha256 === key.sha256 && today.role === key.role;
      return isSame ? refusalOf(today, origin, now)?.reason : 'the key was taken back';
    };
    return { caller, refusal };
  }

  /** Whether pages of this origin may ask us at all: a key names it, or tokens may be used there. */
  knowsOrigin(origin: string): boolean {
    return this.#ring.knowsOrigin(origin) || this.#tokens?.knowsOrigin(origin) === true;
  }

  /** The same for a socket: what is refused there is no more than an attempt to misuse somebody's browser. */
  admitsOrigin({ sourceAddress, origin }: Arrival): boolean {
    if (origin !== undefined && this.knowsOrigin(origin)) return true;
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
   * For callers who stay. Calls `revoke`, once, within a second of the moment that the key or token is not good any more.
   * @returns to be called when the caller goes by itself
   */
  hold(caller: object, revoke: () => void): () => void {
    const guest = this.#guests.get(caller);
    if (guest) this.#staying.set(revoke, guest);
    return () => void this.#staying.delete(revoke);
  }

  #look(): void {
    const now = new Date();
    for (const [revoke, { caller, refusal }] of this.#staying) {
      const reason = refusal(now);
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

  /** Hears that somebody who was let in asks too often. @param setting which limit that is */
  slowDown({ name, role, sourceAddress }: Admitted, setting: string): void {
    this.#refusals.record({ actor: { name, role, sourceAddress }, reason: `more in a minute than ${setting}` });
  }

  /** To be called when nobody comes any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#ring[Symbol.dispose]();
    this.#tokens?.[Symbol.dispose]();
    await Promise.allSettled(this.#admitting); // of sockets that are closed already
    await this.#keyChanges[Symbol.asyncDispose]();
    await this.#refusals[Symbol.asyncDispose]();
  }
}

const guestUntil = (caller: Admitted, expiresAtMs: number): Guest => ({
  caller,
  refusal: (now) => (expiresAtMs <= now.getTime() ? 'the token is expired' : undefined),
});
