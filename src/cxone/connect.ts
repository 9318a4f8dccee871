import type { Axios, AxiosError } from 'axios';
import type { Config } from '../config.js';
import { AccessTokens } from './access-token.js';
import { CxoneClient } from './cxone-client.js';
import { CxoneExchange } from './exchange.js';
import { GuardedExchange } from './guarded-exchange.js';
import { RetryBudget } from './retry-budget.js';

/** What calls leave by. */
export interface Transport {
  readonly axios: Axios;
  /** Whether a call that failed was never sent. */
  wasNothingSent(error: Pick<AxiosError, 'request' | 'response'>): boolean;
}

export interface TenantSettings extends Omit<Config['cxone'], 'baseUrl'> {
  readonly baseUrl: string;
  readonly clientSecret: string;
  readonly fetchDeadlineMs: number;
}

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Puts the layers between the pipeline and a tenant together, in the order of docs/architecture.md. */
export function connectCxone(transport: Transport, tenant: TenantSettings, log: Log): CxoneClient {
  const guarded = new GuardedExchange(new CxoneExchange(transport, tenant), tenant, (call, isOpen) => {
    if (isOpen) log.warn({ call }, 'CXone is in trouble: its circuit breaker has opened');
    else log.info({ call }, 'CXone is back: its circuit breaker has closed');
  });
  const retry = { maxAttempts: tenant.maxAttempts, baseMs: tenant.retryBaseMs, budget: new RetryBudget() };
  return new CxoneClient(guarded, new AccessTokens(guarded, { ...tenant, retry }), retry);
}
