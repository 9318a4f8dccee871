import type { Axios } from 'axios';
import { signWebhook } from './sign-webhook.js';

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
    const { statusCode, error } = await this.#axios
      .request<string>({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', ...signature },
        data: body,
        timeout: timeoutMs,
      })
      .then(
        ({ status }) => ({ statusCode: status, error: status >= 200 && status < 300 ? null : `status ${status}` }),
        ({ code }: { code?: string }) => ({ statusCode: null, error: `no answer (${code ?? 'ERR_NETWORK'})` }),
      );
    return { startedAt, durationMs: performance.now() - startedAtMs, statusCode, error };
  }
}
