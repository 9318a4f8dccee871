import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  type FetchImplementation,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose';
import type { KeyRingLog } from './key-ring.js';

/** When the keys may have to be fetched, in milliseconds. */
export interface KeySetTiming {
  /** For one fetch. */
  readonly timeoutMs: number;
  /** From this age on they are fetched again, while those that are there go on being used. */
  readonly refreshMs: number;
  /** Beyond this age none is believed any more. */
  readonly maxAgeMs: number;
  /** After a fetch, an unknown key id is not asked for: whoever makes key ids up must not have us flood the issuer. */
  readonly cooldownMs: number;
  /** After a fetch that has failed, it is not tried again. */
  readonly retryMs: number;
}

const USUAL: KeySetTiming = {
  timeoutMs: 5_000,
  refreshMs: 300_000,
  maxAgeMs: 900_000,
  cooldownMs: 10_000,
  retryMs: 1_000,
};

/** Of tokens that may wait for one fetch: each has its request, or its socket, wait with it. */
const MOST_WAITING = 100;

/** The issuer's keys cannot be had: whether a token is good, nobody can tell at the moment. */
export class KeySetUnavailableError extends Error {
  override readonly name = 'KeySetUnavailableError';

  constructor(options?: ErrorOptions) {
    super('the keys that tokens are verified with cannot be fetched', options);
  }
}

/** The keys of a JWK Set that an issuer serves (RFC 7517), fetched when they are needed, and remembered for a while. */
export class RemoteKeySet implements Disposable {
  readonly #timing: KeySetTiming;
  readonly #log: KeyRingLog;
  readonly #set: ReturnType<typeof createRemoteJWKSet>;
  readonly #closing = new AbortController();
  /** On the monotonic clock, as the next one. */
  #refreshAtMs = Number.POSITIVE_INFINITY;
  #retryAtMs = 0;
  #isFailing = false;
  /** How many tokens wait for a fetch. */
  #waiting = 0;

  constructor(url: string, log: KeyRingLog, timing: Partial<KeySetTiming> = {}) {
    this.#timing = { ...USUAL, ...timing };
    this.#log = log;
    this.#set = createRemoteJWKSet(new URL(url), {
      timeoutDuration: this.#timing.timeoutMs,
      cooldownDuration: this.#timing.cooldownMs,
      cacheMaxAge: this.#timing.maxAgeMs,
      [customFetch]: (...request) => this.#fetch(...request),
    });
    this.#reload(); // a mistake in the address is in the log before the first caller comes
  }

  /** The key that a token is signed with. @throws KeySetUnavailableError when it cannot be had now */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (performance.now() >= this.#refreshAtMs) this.#reload();
    if (!this.#waitsFor(header)) return this.#set(header, token);
    if (this.#waiting >= MOST_WAITING) throw new KeySetUnavailableError();
    this.#waiting += 1;
    try {
      return await this.#set(header, token);
    } finally {
      this.#waiting -= 1;
    }
  };

  /** Whether a token has to wait for what is being fetched. */
  #waitsFor({ kid }: Parameters<JWTVerifyGetKey>[0]): boolean {
    if (!this.#set.fresh) return true;
    return this.#set.reloading && !this.#set.jwks()?.keys.some((key) => key.kid === kid);
  }

  #reload(): void {
    this.#set.reload().catch(() => undefined); // it is in the log
  }

  async #fetch(...[url, options]: Parameters<FetchImplementation>): Promise<Response> {
    if (performance.now() < this.#retryAtMs) throw new KeySetUnavailableError();
    try {
      const signal = AbortSignal.any([options.signal, this.#closing.signal]);
      const response = await fetch(url, { ...options, signal });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`it answers with ${response.status}`);
      }
      const keySet = (await response.json()) as JSONWebKeySet;
      createLocalJWKSet(keySet); // throws for what is none
      this.#succeeded();
      return Response.json(keySet);
    } catch (cause) {
      this.#failed(cause);
      throw new KeySetUnavailableError({ cause });
    }
  }

  #succeeded(): void {
    this.#refreshAtMs = performance.now() + this.#timing.refreshMs;
    if (this.#isFailing) this.#log.info({}, 'AUTH_JWKS_URL can be read again');
    this.#isFailing = false;
  }

  #failed(err: unknown): void {
    this.#retryAtMs = performance.now() + this.#timing.retryMs;
    if (!this.#isFailing && !this.#closing.signal.aborted) {
      this.#log.error({ err }, 'AUTH_JWKS_URL cannot be read: tokens whose keys are not known are put off (503)');
    }
    this.#isFailing = true;
  }

  /** Gives up what is being fetched. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }
}
