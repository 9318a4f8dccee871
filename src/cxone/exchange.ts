import { type Axios, type AxiosError, type AxiosResponse, isAxiosError } from 'axios';
import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';
import { parseRetryAfterMs, TryAgain } from './retry-policy.js';

const MAX_DETAIL_LENGTH = 500;

export interface Exchange {
  readonly method: 'GET' | 'POST';
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
  ) {
    super(`no answer from CXone (${code})`);
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
   * @throws NoAnswer when none came in time or the connection failed
   * @throws AttemptError DEADLINE_EXCEEDED when there is no time left to begin
   */
  async send(exchange: Exchange, deadline: Deadline): Promise<Answer> {
    if (deadline.hasPassed) throw new AttemptError('DEADLINE_EXCEEDED');
    try {
      const response = await this.#axios.request<string, AxiosResponse<string>>({
        method: exchange.method,
        url: this.#baseUrl + exchange.path,
        params: exchange.query,
        headers: exchange.headers,
        data: exchange.body,
        timeout: Math.ceil(Math.min(this.#timeoutMs, deadline.remainingMs)),
      });
      const retryAfter = response.headers['retry-after'];
      return {
        status: response.status,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
        text: response.data,
      };
    } catch (error) {
      if (!isAxiosError(error)) throw error;
      throw new NoAnswer(error.code ?? 'ERR_NETWORK', this.#wasNothingSent(error));
    }
  }
}

export const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;

/** The body as JSON, or undefined where it is not. */
export function parseJson({ text }: Answer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** 429, and 503 that says when to come back: CXone has not begun, and asks to wait. */
export function throwIfAskedToWait(answer: Answer): void {
  if (answer.status !== 429 && !(answer.status === 503 && answer.retryAfter !== null)) return;
  throw new TryAgain(
    parseRetryAfterMs(answer.retryAfter, new Date()),
    (retryAfterSeconds) =>
      new AttemptError('RATE_LIMITED', { retryAfterSeconds, detail: `CXone answered ${answer.status}` }),
  );
}

/** A request that never left may be sent again as it is. */
export function throwIfNothingSent(error: unknown): void {
  if (!(error instanceof NoAnswer) || !error.nothingSent) return;
  throw new TryAgain(
    null,
    (retryAfterSeconds) => new AttemptError('CXONE_UNAVAILABLE', { retryAfterSeconds, detail: error.message }),
  );
}

/** What CXone said, for operations: short, on one line, and without the values that must not be kept. */
export function describe(answer: Answer, secrets: readonly string[] = []): string {
  let text = answer.text;
  text = text.replace(CREDENTIAL_MEMBER, '$1"[redacted]"');
  for (const form of secrets.flatMap(formsOf)) text = text.replaceAll(form, '[redacted]');
  return `CXone answered ${answer.status}: ${text.replace(/\s+/g, ' ').slice(0, MAX_DETAIL_LENGTH)}`;
}

/**
 * A JSON member that may hold a credential, such as the token of a session that exists already. The name is looked at ahead,
 * which is never gone back into: the time is linear in the length of whatever CXone sends.
 */
const CREDENTIAL_MEMBER = /("(?=[^"]*(?:token|secret|password|authorization|bearer))[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"?/gi;

/** A value as it is, and as JSON, a form and a URL carry it: an error page may echo any of them. */
function formsOf(value: string): string[] {
  if (value === '') return [];
  const asForm = new URLSearchParams([['', value]]).toString().slice(1);
  return [value, JSON.stringify(value).slice(1, -1), asForm, encodeURIComponent(value)];
}
