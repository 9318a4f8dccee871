import { AttemptError } from '../errors.js';
import { redacted } from '../outbound/redact.js';
import { parseRetryAfterMs } from '../outbound/retry-after.js';
import { type Answer, NoAnswer } from './exchange.js';
import { TryAgain } from './retry-policy.js';

const MAX_DETAIL_LENGTH = 500;

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

/** What CXone said, for operations: short, on one line, and without credentials. @param secrets what we have sent */
export function describe(answer: Answer, secrets: readonly string[] = []): string {
  const text = redacted(answer.text, secrets).replace(/\s+/g, ' ').slice(0, MAX_DETAIL_LENGTH);
  return `CXone answered ${answer.status}: ${text}`;
}
