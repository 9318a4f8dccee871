import { setTimeout as sleep } from 'node:timers/promises';
import { AttemptError } from '../errors.js';
import { Deadline } from '../guest-session/deadline.js';
import { type Answer, NoAnswer } from './exchange.js';
import type { GuardedExchange } from './guarded-exchange.js';
import { describe, isSuccess, parseJson, throwIfAskedToWait, throwIfNothingSent } from './read-answer.js';
import { type RetryPolicy, retrying } from './retry-policy.js';
import type { TokenErrorResponse, TokenResponse } from './wire.js';

const REQUIRED_SCOPE = 'messaging:write';
/** RFC 6749 leaves `expires_in` optional; then we ask again soon. */
const DEFAULT_LIFETIME_SECONDS = 300;
const MAX_REFRESH_MARGIN_MS = 60_000;
/** What a token must still have to live when it is sent. */
const LEAST_LIFE_MS = 1_000;
const REFRESH_PAUSE_MS = 1_000;

/** Its times are on the monotonic clock: a jump of the wall clock neither ages nor rejuvenates a token. */
interface CachedToken {
  readonly value: string;
  /** When we begin to ask for a new one. */
  readonly refreshAtMs: number;
  /** Until when it is used where no new one can be had. */
  readonly usableUntilMs: number;
}

export interface AccessTokenSettings {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly retry: RetryPolicy;
  /** How long one fetch may take, waits included. */
  readonly fetchDeadlineMs: number;
}

/**
 * The bearer token of the OAuth 2.0 client credentials grant (RFC 6749 §4.4), fetched when it is first needed and again
 * shortly before it expires. However many ask at once, one fetch is in flight; a failed one is not remembered. While the old
 * token lives nobody waits for the new one, or fails with it.
 */
export class AccessTokens {
  readonly #exchange: GuardedExchange;
  readonly #settings: AccessTokenSettings;
  #cached: CachedToken | null = null;
  #fetching: Promise<string> | null = null;

  constructor(exchange: GuardedExchange, settings: AccessTokenSettings) {
    this.#exchange = exchange;
    this.#settings = settings;
  }

  /**
   * @throws AttemptError CXONE_AUTH_FAILED, CXONE_SCOPE_MISSING, CXONE_UNAVAILABLE, CXONE_CONTRACT_BROKEN, RATE_LIMITED,
   * DEADLINE_EXCEEDED (of this caller: the shared fetch goes on for the others)
   */
  async get(deadline: Deadline): Promise<string> {
    const token = this.#cached;
    const nowMs = performance.now();
    if (token && nowMs < token.refreshAtMs) return token.value;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    if (!token || nowMs >= token.usableUntilMs) return within(deadline, this.#fetching);
    this.#fetching.catch(() => this.#postponeRefresh(token));
    return token.value;
  }

  /** Drops a token that CXone rejected, unless a newer one has taken its place. */
  reject(token: string): void {
    if (this.#cached?.value === token) this.#cached = null;
  }

  /** A refresh that failed is not tried again with every request while its reason may still be there. */
  #postponeRefresh(token: CachedToken): void {
    if (this.#cached !== token) return;
    const refreshAtMs = Math.min(performance.now() + REFRESH_PAUSE_MS, token.usableUntilMs);
    this.#cached = { ...token, refreshAtMs };
  }

  async #fetch(): Promise<string> {
    const { clientId, clientSecret, retry, fetchDeadlineMs } = this.#settings;
    const deadline = new Deadline(fetchDeadlineMs);
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
    }).toString();
    return retrying(retry, deadline, async () => {
      const askedAtMs = performance.now();
      const answer = await this.#ask(body, deadline);
      const token = readToken(answer, clientSecret);
      const lifetimeMs = (token.expires_in ?? DEFAULT_LIFETIME_SECONDS) * 1000;
      const expiresAtMs = askedAtMs + lifetimeMs;
      this.#cached = {
        value: token.access_token,
        refreshAtMs: expiresAtMs - Math.min(MAX_REFRESH_MARGIN_MS, lifetimeMs / 10),
        usableUntilMs: expiresAtMs - LEAST_LIFE_MS,
      };
      return token.access_token;
    });
  }

  async #ask(body: string, deadline: Deadline): Promise<Answer> {
    try {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
      return await this.#exchange.send('token', { method: 'POST', path: '/oauth/token', headers, body }, deadline);
    } catch (error) {
      throwIfNothingSent(error);
      if (error instanceof NoAnswer) throw new AttemptError('CXONE_UNAVAILABLE', { detail: error.message });
      throw error;
    }
  }
}

function readToken(answer: Answer, clientSecret: string): Omit<TokenResponse, 'expires_in'> & { expires_in?: number } {
  throwIfAskedToWait(answer);
  const detail = `the token endpoint: ${describe(answer, [clientSecret])}`;
  if (answer.status >= 500) throw new AttemptError('CXONE_UNAVAILABLE', { detail });
  if (!isSuccess(answer)) {
    const { error } = (parseJson(answer) ?? {}) as Partial<TokenErrorResponse>;
    throw new AttemptError(error === 'invalid_scope' ? 'CXONE_SCOPE_MISSING' : 'CXONE_AUTH_FAILED', { detail });
  }
  const token = parseJson(answer) as Partial<TokenResponse> | undefined | null;
  const lifetime = token?.expires_in;
  const isReadable =
    typeof token?.access_token === 'string' &&
    /^[\x21-\x7e]+$/.test(token.access_token) &&
    (lifetime === undefined || (typeof lifetime === 'number' && lifetime > 0)) &&
    (token.scope == null || typeof token.scope === 'string');
  // The body is not repeated here: it may hold a token.
  if (!isReadable) throw new AttemptError('CXONE_CONTRACT_BROKEN', { detail: 'the token endpoint: no readable token' });
  const scopes = token.scope?.split(' ');
  if (scopes && !scopes.includes(REQUIRED_SCOPE)) {
    throw new AttemptError('CXONE_SCOPE_MISSING', { detail: `the token lacks the scope ${REQUIRED_SCOPE}` });
  }
  return token as TokenResponse;
}

async function within<T>(deadline: Deadline, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const timeout = sleep(deadline.remainingMs, undefined, { signal: timer.signal }).then(() => {
    throw new AttemptError('DEADLINE_EXCEEDED', { detail: 'no access token in time' });
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    timer.abort();
    timeout.catch(() => undefined); // aborted, and nobody waits for it any more
  }
}
