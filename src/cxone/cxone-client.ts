import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';
import type { CreatedSession, Cxone, GuestId, SessionPayload, UpstreamSession } from '../guest-session/ports.js';
import type { AccessTokens } from './access-token.js';
import {
  type Answer,
  type CxoneExchange,
  describe,
  type Exchange,
  isSuccess,
  NoAnswer,
  parseJson,
  throwIfAskedToWait,
  throwIfNothingSent,
} from './exchange.js';
import { type RetryPolicy, retrying } from './retry-policy.js';
import type { CreateSessionResponse, ListSessionsResponse } from './wire.js';

const SESSIONS_PATH = '/api/v1/messaging/sessions';

/** CXone's messaging API, with every answer of it turned into what it means for an attempt. */
export class CxoneClient implements Cxone {
  readonly #exchange: CxoneExchange;
  readonly #tokens: AccessTokens;
  readonly #retry: RetryPolicy;

  constructor(exchange: CxoneExchange, tokens: AccessTokens, retry: RetryPolicy) {
    this.#exchange = exchange;
    this.#tokens = tokens;
    this.#retry = retry;
  }

  async authenticate(deadline: Deadline): Promise<void> {
    await this.#tokens.get(deadline);
  }

  async listActiveSessions(guestId: GuestId, deadline: Deadline): Promise<readonly UpstreamSession[] | 'SKIPPED'> {
    return retrying(this.#retry, deadline, async () => {
      const query = { guestId, status: 'active' };
      const answer = await this.#authorised({ method: 'GET', path: SESSIONS_PATH, query, headers: {} }, deadline).catch(
        (error: unknown) => {
          if (error instanceof NoAnswer) throw unavailable(error.message, deadline);
          throw error;
        },
      );
      throwIfAskedToWait(answer);
      if (answer.status === 403 || answer.status === 404) return 'SKIPPED';
      if (answer.status >= 500) throw unavailable(describe(answer), deadline);
      if (!isSuccess(answer)) throw new AttemptError('CXONE_REJECTED', { detail: describe(answer) });
      return readSessions(answer, guestId);
    });
  }

  async createSession(payload: SessionPayload, deadline: Deadline, onAttempt: () => void): Promise<CreatedSession> {
    const { requestId, deviceFingerprint } = payload.routing.attributes;
    const exchange: Exchange = {
      method: 'POST',
      path: SESSIONS_PATH,
      headers: { 'content-type': 'application/json', 'x-request-id': requestId },
      body: JSON.stringify(payload),
    };
    return retrying(this.#retry, deadline, async () => {
      const answer = await this.#authorised(exchange, deadline, onAttempt).catch((error: unknown) => {
        throwIfNothingSent(error);
        if (error instanceof NoAnswer) throw new AttemptError('OUTCOME_UNKNOWN', { detail: error.message });
        throw error;
      });
      throwIfAskedToWait(answer);
      if (isSuccess(answer)) return readCreated(answer);
      throw refusal(answer, [deviceFingerprint]);
    });
  }

  /** Sends with a bearer token; on 401 once more with a fresh one. */
  async #authorised(exchange: Exchange, deadline: Deadline, onAttempt?: () => void): Promise<Answer> {
    for (let isLastTry = false; ; isLastTry = true) {
      const token = await this.#tokens.get(deadline);
      if (deadline.hasPassed) throw new AttemptError('DEADLINE_EXCEEDED');
      onAttempt?.();
      const headers = { accept: 'application/json', ...exchange.headers, authorization: `Bearer ${token}` };
      const answer = await this.#exchange.send({ ...exchange, headers }, deadline);
      if (isSuccess(answer)) return answer;
      // An error that echoes the request must not carry the bearer into an audit entry.
      if (answer.status !== 401) return { ...answer, text: answer.text.replaceAll(token, '[redacted]') };
      this.#tokens.reject(token);
      if (isLastTry) throw new AttemptError('CXONE_AUTH_FAILED', { detail: 'CXone rejects a fresh access token' });
    }
  }
}

/** What a POST that opened nothing, or perhaps something, means. */
function refusal(answer: Answer, secrets: readonly string[]): AttemptError {
  const detail = describe(answer, secrets);
  // The request arrived, and what became of it cannot be told from a 5xx.
  if (answer.status >= 500) return new AttemptError('OUTCOME_UNKNOWN', { detail });
  if (answer.status === 400) return new AttemptError('CXONE_SCHEMA_REJECTED', { detail });
  if (answer.status === 403) return new AttemptError('CXONE_SCOPE_MISSING', { detail });
  return new AttemptError('CXONE_REJECTED', { detail });
}

function unavailable(detail: string, deadline: Deadline): AttemptError {
  return new AttemptError(deadline.hasPassed ? 'DEADLINE_EXCEEDED' : 'CXONE_UNAVAILABLE', { detail });
}

/** An unreadable 2xx leaves open what was opened. Its body is not repeated: it may hold the guest's token. */
function readCreated(answer: Answer): CreatedSession {
  const { sessionId, token, expiresAt } = (parseJson(answer) ?? {}) as Partial<CreateSessionResponse>;
  const expiry = new Date(typeof expiresAt === 'string' ? expiresAt : Number.NaN);
  if (!isId(sessionId) || !isText(token) || Number.isNaN(expiry.getTime())) {
    throw new AttemptError('OUTCOME_UNKNOWN', { detail: `CXone answered ${answer.status} with an unreadable body` });
  }
  return { sessionId, clientToken: token, expiresAt: expiry };
}

function readSessions(answer: Answer, guestId: GuestId): UpstreamSession[] {
  const { items } = (parseJson(answer) ?? {}) as Partial<ListSessionsResponse>;
  if (!Array.isArray(items) || !items.every((item) => isText(item?.sessionId))) {
    throw new AttemptError('CXONE_CONTRACT_BROKEN', { detail: 'the session list has no readable items' });
  }
  const sessions = new Map<string, UpstreamSession>();
  for (const { sessionId, guestId: owner, status, routing } of items) {
    // A tenant that ignores our query must not have other guests' sessions, or ended ones, counted against this one.
    if (typeof owner === 'string' && owner.toLowerCase() !== guestId) continue;
    if (typeof status === 'string' && status.toLowerCase() !== 'active') continue;
    const requestId = routing?.attributes?.requestId;
    sessions.set(sessionId, { sessionId, requestId: isText(requestId) ? requestId : null });
  }
  return [...sessions.values()];
}

/** An id that survives every store, header and log as it is. */
const isId = (value: unknown): value is string => typeof value === 'string' && /^[\x21-\x7e]{1,256}$/.test(value);

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
