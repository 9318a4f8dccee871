import { setTimeout as sleep } from 'node:timers/promises';
import { AttemptError } from '../errors.js';
import { Deadline } from '../guest-session/deadline.js';
import {
  type Answer,
  type CxoneExchange,
  describe,
  isSuccess,
  NoAnswer,
  parseJson,
  throwIfAskedToWait,
  throwIfNothingSent,
} from './exchange.js';
import { type RetryPolicy, retrying } from './retry-policy.js';
import type { TokenErrorResponse, TokenResponse } from './wire.js';

const REQUIRED_SCOPE = 'messaging:write';
/** RFC 6749 leaves `expires_in` optional; then we ask again soon. */
const DEFAULT_LIFETIME_SECONDS = 300;
const MAX_REFRESH_MARGIN_MS = 60_000;

interface CachedToken {
  readonly value: string;
  /** On the monotonic clock: a jump of the wall clock neither ages nor rejuvenates a token. */
  readonly refreshAtMs: number;
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
 * shortly before it expires. However many ask at once, one fetch is in flight; a failed one is not remembered.
 */
export class AccessTokens {
  readonly #exchange: CxoneExchange;
  readonly #settings: AccessTokenSettings;
  #cached: CachedToken | null = null;
  #fetching: Promise<string> | null = null;

  constructor(exchange: CxoneExchange, settings: AccessTokenSettings) {
    this.#exchange = exchange;
    this.#settings = settings;
  }

  /**
   * @throws AttemptError CXONE_AUTH_FAILED, CXONE_SCOPE_MISSING, CXONE_UNAVAILABLE, CXONE_CONTRACT_BROKEN, RATE_LIMITED,
   * DEADLINE_EXCEEDED (of this caller: the shared fetch goes on for the others)
   */
  async get(deadline: Deadline): Promise<string> {
    if (this.#cached && performance.now() < this.#cached.refreshAtMs) return this.#cached.value;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return within(deadline, this.#fetching);
  }

  /** Drops a token that CXone rejected, unless a newer one has taken its place. */
  reject(token: string): void {
    if (this.#cached?.value === token) this.#cached = null;
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
      const marginMs = Math.min(MAX_REFRESH_MARGIN_MS, lifetimeMs / 10);
      this.#cached = { value: token.access_token, refreshAtMs: askedAtMs + lifetimeMs - marginMs };
      return token.access_token;
    });
  }

  async #ask(body: string, deadline: Deadline): Promise<Answer> {
    try {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
      return await this.#exchange.send({ method: 'POST', path: '/oauth/token', headers, body }, deadline);
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
