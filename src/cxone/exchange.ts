import { type Axios, type AxiosError, type AxiosResponse, isAxiosError } from 'axios';
import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';

/** Of the time that a call may take: with less than this, the silence of CXone says nothing about its health. */
const FAIR_SHARE = 0.5;
/** What the transport calls its own timeout, and Node that of a connection. */
const TIMED_OUT = 'ETIMEDOUT';

export interface Exchange {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** CXone's answer, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly text: string;
}

/**
 * No answer came. Built from the transport's error without keeping it: that one holds the request, and with it the bearer.
 */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';

  constructor(
    readonly code: string,
    /** True when no byte of the request can have reached CXone. */
    readonly nothingSent: boolean,
    /** True when our own deadline ended the call before CXone had had a fair share of the time that a call may take. */
    readonly wasCutShort: boolean,
  ) {
    super(`no answer from CXone (${code})`);
  }

  get isTimeout(): boolean {
    return this.code === TIMED_OUT;
  }
}

/** One HTTP exchange with CXone. The only place that knows axios' errors. */
export class CxoneExchange {
  readonly #axios: Axios;
  readonly #baseUrl: string;
  readonly #timeoutMs: number;
  readonly #wasNothingSent: (error: AxiosError) => boolean;

  constructor(
    transport: { axios: Axios; wasNothingSent(error: AxiosError): boolean },
    settings: { readonly baseUrl: string; readonly timeoutMs: number },
  ) {
    this.#axios = transport.axios;
    this.#wasNothingSent = transport.wasNothingSent;
    this.#baseUrl = settings.baseUrl.replace(/\/+$/, '');
    this.#timeoutMs = settings.timeoutMs;
  }

  /**
   * @param onSend hears of the exchange just before it is sent
   * @throws NoAnswer when none came in time or the connection failed
   * @throws AttemptError DEADLINE_EXCEEDED when there is no time left to begin
   */
  async send(exchange: Exchange, deadline: Deadline, onSend?: () => void): Promise<Answer> {
    if (deadline.hasPassed) throw new AttemptError('DEADLINE_EXCEEDED');
    onSend?.();
    const timeoutMs = Math.ceil(Math.min(this.#timeoutMs, deadline.remainingMs));
    try {
      const response = await this.#axios.request<string, AxiosResponse<string>>({
        method: exchange.method,
        url: this.#baseUrl + exchange.path,
        params: exchange.query,
        headers: exchange.headers,
        data: exchange.body,
        timeout: timeoutMs,
      });
      const retryAfter = response.headers['retry-after'];
      return {
        status: response.status,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
        text: response.data,
      };
    } catch (error) {
      if (!isAxiosError(error)) throw error;
      const code = error.code ?? 'ERR_NETWORK';
      const wasCutShort = code === TIMED_OUT && timeoutMs < this.#timeoutMs * FAIR_SHARE;
      throw new NoAnswer(code, this.#wasNothingSent(error), wasCutShort);
    }
  }
}
