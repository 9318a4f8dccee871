import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';
import type {
  CreatedSession,
  CreateSteps,
  Cxone,
  GuestId,
  SessionPayload,
  UpstreamEnd,
  UpstreamSession,
} from '../guest-session/ports.js';
import { SingleFlight } from '../guest-session/single-flight.js';
import { withoutSecrets } from '../outbound/redact.js';
import type { AccessTokens } from './access-token.js';
import { type Answer, type Exchange, NoAnswer } from './exchange.js';
import type { CxoneCall, GuardedExchange } from './guarded-exchange.js';
import { describe, isSuccess, throwIfAskedToWait, throwIfNothingSent } from './read-answer.js';
import { readCreated, readSessions } from './read-sessions.js';
import { type RetryPolicy, retrying, TryAgain } from './retry-policy.js';

const SESSIONS_PATH = '/api/v1/messaging/sessions';

/** CXone's messaging API, with every answer of it turned into what it means for an attempt. */
export class CxoneClient implements Cxone {
  readonly #exchange: GuardedExchange;
  readonly #tokens: AccessTokens;
  readonly #retry: RetryPolicy;
  readonly #ending = new SingleFlight<UpstreamEnd>();

  constructor(exchange: GuardedExchange, tokens: AccessTokens, retry: RetryPolicy) {
    this.#exchange = exchange;
    this.#tokens = tokens;
    this.#retry = retry;
  }

  async authenticate(deadline: Deadline): Promise<void> {
    await this.#tokens.get(deadline);
  }

  async listActiveSessions(guestId: GuestId, deadline: Deadline): Promise<readonly UpstreamSession[] | 'SKIPPED'> {
    const query = { guestId, status: 'active' };
    const exchange: Exchange = { method: 'GET', path: SESSIONS_PATH, query, headers: {} };
    return retrying(this.#retry, deadline, async () => {
      const answer = await this.#authorised('list', exchange, deadline).catch((error: unknown) => {
        if (!(error instanceof NoAnswer)) throw error;
        // Who has waited for a whole timeout does not wait for a second one.
        if (error.isTimeout && !error.nothingSent) throw unavailable(error.message, deadline);
        throw tryAgain(error.message, deadline);
      });
      throwIfAskedToWait(answer);
      if (answer.status === 403 || answer.status === 404) return 'SKIPPED';
      if (answer.status >= 500) throw unavailable(describe(answer), deadline);
      if (!isSuccess(answer)) throw new AttemptError('CXONE_REJECTED', { detail: describe(answer) });
      return readSessions(answer, guestId);
    });
  }

  async createSession(payload: SessionPayload, deadline: Deadline, steps: CreateSteps): Promise<CreatedSession> {
    let isLost = false;
    let givenUp: AttemptError | null = null;
    const call = async () => {
      // Not at once but after the wait, just before the POST would be repeated: what is late may have shown up by then.
      const found = isLost ? await steps.findLost() : null;
      if (found) return found;
      isLost = false;
      const end = await this.#post(payload, deadline, () => steps.onPost());
      if (!(end instanceof LostAnswer)) return end;
      isLost = true;
      const detail = `${end.detail}; CXone has no such session`;
      throw new TryAgain(null, (retryAfterSeconds) => {
        givenUp = new AttemptError('CXONE_UNAVAILABLE', { retryAfterSeconds, detail });
        return givenUp;
      });
    };
    try {
      return await retrying(this.#retry, deadline, call);
    } catch (error) {
      if (error !== givenUp) throw error;
      const found = await steps.findLost();
      if (found) return found;
      throw error;
    }
  }

  /** Whoever asks while a session is being ended hears the same: a second order would hear that there is no such session. */
  endSession(sessionId: string, deadline: Deadline): Promise<UpstreamEnd> {
    return this.#ending.run(sessionId, () => this.#end(sessionId, deadline));
  }

  async #end(sessionId: string, deadline: Deadline): Promise<UpstreamEnd> {
    const path = `${SESSIONS_PATH}/${encodeURIComponent(sessionId)}`;
    const exchange: Exchange = { method: 'DELETE', path, headers: {} };
    let mayHaveEnded = false;
    return retrying(this.#retry, deadline, async () => {
      const answer = await this.#authorised('end', exchange, deadline).catch((error: unknown) => {
        if (!(error instanceof NoAnswer)) throw error;
        mayHaveEnded ||= !error.nothingSent;
        throw tryAgain(error.message, deadline);
      });
      throwIfAskedToWait(answer);
      if (isSuccess(answer)) return 'ENDED';
      switch (answer.status) {
        case 404:
        case 410:
          // After an order whose answer was lost this says that it was carried out.
          return mayHaveEnded ? 'ENDED' : 'NOT_THERE';
        case 405:
        case 501:
          return 'UNSUPPORTED';
        case 403:
          throw new AttemptError('CXONE_SCOPE_MISSING', { detail: describe(answer) });
      }
      if (answer.status < 500) throw new AttemptError('CXONE_REJECTED', { detail: describe(answer) });
      mayHaveEnded = true;
      throw tryAgain(describe(answer), deadline);
    });
  }

  async #post(payload: SessionPayload, deadline: Deadline, onPost: () => void): Promise<CreatedSession | LostAnswer> {
    const { requestId, deviceFingerprint } = payload.routing.attributes;
    const exchange: Exchange = {
      method: 'POST',
      path: SESSIONS_PATH,
      headers: { 'content-type': 'application/json', 'x-request-id': requestId },
      body: JSON.stringify(payload),
    };
    let answer: Answer;
    try {
      answer = await this.#authorised('create', exchange, deadline, onPost);
    } catch (error) {
      throwIfNothingSent(error);
      if (error instanceof NoAnswer) return new LostAnswer(error.message);
      throw error;
    }
    throwIfAskedToWait(answer);
    // The request arrived, and what became of it cannot be told from a 5xx.
    if (answer.status >= 500) return new LostAnswer(describe(answer, [deviceFingerprint]));
    if (!isSuccess(answer)) throw refusal(answer, [deviceFingerprint]);
    // The body is not repeated: it may hold the guest's token.
    return readCreated(answer) ?? new LostAnswer(`CXone answered ${answer.status} with an unreadable body`);
  }

  /** Sends with a bearer token; on 401 once more with a fresh one. */
  async #authorised(call: CxoneCall, exchange: Exchange, deadline: Deadline, onSend?: () => void): Promise<Answer> {
    for (let isLastTry = false; ; isLastTry = true) {
      const token = await this.#tokens.get(deadline);
      const headers = { accept: 'application/json', ...exchange.headers, authorization: `Bearer ${token}` };
      const answer = await this.#exchange.send(call, { ...exchange, headers }, deadline, onSend);
      if (isSuccess(answer)) return answer;
      // An error that echoes the request must not carry the bearer into an audit entry.
      if (answer.status !== 401) return { ...answer, text: withoutSecrets(answer.text, [token]) };
      this.#tokens.reject(token);
      if (isLastTry) throw new AttemptError('CXONE_AUTH_FAILED', { detail: 'CXone rejects a fresh access token' });
    }
  }
}

/** A POST was written, and nothing that came back says what became of it. */
class LostAnswer {
  constructor(readonly detail: string) {}
}

/** What a POST that opened nothing means. */
function refusal(answer: Answer, secrets: readonly string[]): AttemptError {
  const detail = describe(answer, secrets);
  if (answer.status === 400) return new AttemptError('CXONE_SCHEMA_REJECTED', { detail });
  if (answer.status === 403) return new AttemptError('CXONE_SCOPE_MISSING', { detail });
  return new AttemptError('CXONE_REJECTED', { detail });
}

function unavailable(detail: string, deadline: Deadline, retryAfterSeconds?: number): AttemptError {
  return new AttemptError(deadline.hasPassed ? 'DEADLINE_EXCEEDED' : 'CXONE_UNAVAILABLE', {
    detail,
    retryAfterSeconds,
  });
}

const tryAgain = (detail: string, deadline: Deadline): TryAgain =>
  new TryAgain(null, (retryAfterSeconds) => unavailable(detail, deadline, retryAfterSeconds));
