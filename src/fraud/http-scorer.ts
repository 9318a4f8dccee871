import type { Axios, AxiosResponse } from 'axios';
import type { Config } from '../config.js';
import { AttemptError } from '../errors.js';
import type { Deadline } from '../guest-session/deadline.js';
import type { RiskAssessment, RiskScorer, RiskSignal } from '../guest-session/ports.js';
import { withoutSecrets } from '../outbound/redact.js';

const MAX_REASONS = 20;

/**
 * Asks a fraud service: `POST {serviceUrl}` with the signal as JSON; it answers `{ "score": 0–100, "reasons"?: string[] }`.
 * Whatever goes wrong is settled by the fail mode: `closed` refuses, `open` lets the request pass and says so.
 */
export class HttpScorer implements RiskScorer {
  readonly #axios: Axios;
  readonly #serviceUrl: string;
  readonly #settings: Pick<Config['fraud'], 'timeoutMs' | 'failMode'>;

  constructor(axios: Axios, serviceUrl: string, settings: Pick<Config['fraud'], 'timeoutMs' | 'failMode'>) {
    this.#axios = axios;
    this.#serviceUrl = serviceUrl;
    this.#settings = settings;
  }

  async score(signal: RiskSignal, deadline: Deadline): Promise<RiskAssessment> {
    const { timeoutMs, failMode } = this.#settings;
    // Field by field: a validated request holds more than the service needs to know.
    const { guestId, deviceFingerprint, isProxy, country, channel } = signal;
    const problem = await this.#axios
      .request<string, AxiosResponse<string>>({
        method: 'POST',
        url: this.#serviceUrl,
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        data: JSON.stringify({ guestId, deviceFingerprint, isProxy, country, channel }),
        timeout: Math.max(1, Math.ceil(Math.min(timeoutMs, deadline.remainingMs))),
      })
      .then(
        (response) => readAssessment(response, deviceFingerprint),
        (error: { code?: string }) => `no answer (${error.code ?? 'ERR_NETWORK'})`,
      );
    if (typeof problem !== 'string') return problem;
    if (failMode === 'closed') {
      throw new AttemptError('FRAUD_CHECK_UNAVAILABLE', { detail: `the fraud service gave ${problem}` });
    }
    return { score: 0, reasons: [problem], provider: 'http', degraded: true };
  }
}

/** The assessment, or what is wrong with the answer. */
function readAssessment({ status, data }: AxiosResponse<string>, deviceFingerprint: string): RiskAssessment | string {
  if (status !== 200) return `status ${status}`;
  try {
    const { score, reasons } = JSON.parse(data) as { score?: unknown; reasons?: unknown };
    if (typeof score !== 'number' || !(score >= 0 && score <= 100)) return 'no score from 0 to 100';
    const texts = Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === 'string') : [];
    // The reasons are kept, and the fingerprint is not.
    const told = texts
      .slice(0, MAX_REASONS)
      .map((reason) => withoutSecrets(reason, [deviceFingerprint], '[fingerprint]'));
    // Up, not to the nearest: 75.4 is above a threshold of 75, and has to stay above it.
    return { score: Math.ceil(score), reasons: told, provider: 'http', degraded: false };
  } catch {
    return 'a body that is not JSON';
  }
}
