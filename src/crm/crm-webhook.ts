import { type Axios, AxiosError, type AxiosResponse } from 'axios';
import { parseRetryAfterMs } from '../outbound/retry-after.js';
import { signWebhook } from './sign-webhook.js';

/** No more is read of what the CRM answers: its status says all that counts. */
const MAX_ANSWER_BYTES = 16_384;

export interface CrmWebhookSettings {
  readonly url: string;
  readonly timeoutMs: number;
  /** Empty: unsigned. */
  readonly secrets: readonly string[];
}

/** What came of one POST to the CRM. */
export interface Posted {
  readonly startedAt: Date;
  readonly durationMs: number;
  readonly statusCode: number | null;
  /** Null when the CRM took it: a 2xx, and nothing else. */
  readonly error: string | null;
  /** How long the CRM asks us to wait (429 and 503 with `Retry-After`); null where it does not say. */
  readonly retryAfterMs: number | null;
}

/** The CRM's end of the webhook. */
export class CrmWebhook {
  readonly #axios: Axios;
  readonly #settings: CrmWebhookSettings;

  constructor(axios: Axios, settings: CrmWebhookSettings) {
    this.#axios = axios;
    this.#settings = settings;
  }

  /** Posts one event. Never throws: whatever goes wrong is the result. */
  async post(id: string, body: string): Promise<Posted> {
    const { url, timeoutMs, secrets } = this.#settings;
    const startedAt = new Date();
    const startedAtMs = performance.now();
    const signature = secrets.length > 0 ? signWebhook(id, body, secrets, startedAt) : { 'webhook-id': id };
    const { statusCode, error, retryAfter } = await this.#axios
      .request<string>({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', ...signature },
        data: body,
        timeout: timeoutMs,
        maxContentLength: MAX_ANSWER_BYTES,
      })
      .catch((failure: AxiosError) => failure.response ?? failure)
      .then(judge);
    const retryAfterMs = parseRetryAfterMs(retryAfter, new Date());
    return { startedAt, durationMs: performance.now() - startedAtMs, statusCode, error, retryAfterMs };
  }
}

/** An answer that is longer than we read, or compressed, is an answer all the same; one that was broken off is none. */
function judge(answer: AxiosResponse | AxiosError) {
  if (answer instanceof AxiosError) {
    return { statusCode: null, error: `no answer (${answer.code ?? 'ERR_NETWORK'})`, retryAfter: null };
  }
  const { status, headers } = answer;
  const isTaken = status >= 200 && status < 300;
  const asksToWait = status === 429 || status === 503;
  const retryAfter = asksToWait ? String(headers['retry-after'] ?? '') : null;
  return { statusCode: status, error: isTaken ? null : `status ${status}`, retryAfter };
}
