import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { AccessTokens } from '../../src/cxone/access-token.js';
import { CxoneClient } from '../../src/cxone/cxone-client.js';
import { CxoneExchange } from '../../src/cxone/exchange.js';
import { GuardedExchange } from '../../src/cxone/guarded-exchange.js';
import { RetryBudget } from '../../src/cxone/retry-budget.js';
import type { AttemptError } from '../../src/errors.js';
import { buildSessionPayload } from '../../src/guest-session/build-session-payload.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { CreatedSession, CreateSteps, GuestId, SessionPayload } from '../../src/guest-session/ports.js';
import { validateRequest } from '../../src/guest-session/validate-request.js';
import { createHttpClient } from '../../src/outbound/http-client.js';
import { wasNothingSent } from '../../src/outbound/undici-adapter.js';
import { CxoneSandbox, type CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { SEED } from '../guest-session/seed.js';

export const GUEST = SEED.guestId as GuestId;
export const FINGERPRINT = SEED.deviceFingerprint;
export const HOUR_MS = 3_600_000;

export interface ClientOptions {
  readonly sandbox?: CxoneSandboxOptions;
  readonly clientSecret?: string;
  readonly timeoutMs?: number;
  readonly maxAttempts?: number;
  readonly fetchDeadlineMs?: number;
  /** By default so many that no circuit opens. */
  readonly breakerFailures?: number;
  readonly breakerOpenMs?: number;
  readonly maxConcurrency?: number;
  /** Where sessions are opened, when not at the sandbox that gives the tokens. */
  readonly sessionsUrl?: string;
}

/** Our client with a sandbox to talk to; both are gone when the test is over. */
export async function startClient(options: ClientOptions = {}) {
  const sandbox = await CxoneSandbox.start(options.sandbox);
  onTestFinished(() => sandbox[Symbol.asyncDispose]());
  return { sandbox, ...clientOf(sandbox.url, { clientSecret: sandbox.clientSecret, ...options }) };
}

/** Our client, for a CXone at some address. */
export function clientOf(baseUrl: string, options: ClientOptions = {}) {
  const { timeoutMs = 5_000, maxAttempts = 3, fetchDeadlineMs = 10_000, clientSecret = 'sandbox-secret' } = options;
  const { breakerFailures = 1_000, breakerOpenMs = HOUR_MS, maxConcurrency = 100 } = options;
  const http = createHttpClient();
  onTestFinished(() => http[Symbol.asyncDispose]());
  const retry = { maxAttempts, baseMs: 5, budget: new RetryBudget() };
  const guard = { breakerFailures, breakerOpenMs, maxConcurrency };
  const exchangeAt = (url: string) =>
    new GuardedExchange(new CxoneExchange({ axios: http.axios, wasNothingSent }, { baseUrl: url, timeoutMs }), guard);
  const settings = { clientId: 'sandbox-client', clientSecret, retry, fetchDeadlineMs };
  const tokens = new AccessTokens(exchangeAt(baseUrl), settings);
  return { tokens, client: new CxoneClient(exchangeAt(options.sessionsUrl ?? baseUrl), tokens, retry) };
}

/** Short for what nothing but the timeout ends, and else so long that a busy machine does not bring it about. */
export const timeoutMsFor = ({ kind }: Fault): number => (kind === 'hang' || kind === 'drip' ? 250 : 5_000);

export const inTime = () => new Deadline(10_000);

export const payloadOf = (requestId: string = randomUUID()): SessionPayload =>
  buildSessionPayload(validateRequest(SEED, { defaultQueueId: 'queue-test' }), requestId, new Date());

/** What the pipeline does around a POST: counts, and finds what a test lets it find; by default nothing. */
export function stepsThat(findLost: () => Promise<CreatedSession | null> = async () => null) {
  const heard = { posts: 0, searches: 0 };
  const steps: CreateSteps = {
    onPost: () => {
      heard.posts += 1;
    },
    findLost: () => {
      heard.searches += 1;
      return findLost();
    },
  };
  return Object.assign(steps, { heard });
}

export const status = (code: number, body?: string): Fault => ({
  kind: 'status',
  status: code,
  ...(body !== undefined && { body }),
});

/** What a call came to: its value, or the error that it threw. */
export async function outcomeOf<T>(call: Promise<T>): Promise<T | AttemptError> {
  return call.catch((error: unknown) => error as AttemptError);
}
