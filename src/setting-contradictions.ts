import type { ApiKey } from './access-settings.js';
import { clashesWith } from './key-formats.js';
import { isLoopback, isLoopbackHost } from './loopback.js';
import { type PublicJwk, suits, type TokenAlgorithm } from './token-formats.js';

/** Of the settings that were understood, those that have to fit each other. */
interface Parsed {
  readonly RETENTION_DAYS: number;
  readonly IDEMPOTENCY_TTL_HOURS: number;
  readonly API_KEYS?: readonly ApiKey[] | undefined;
  readonly API_KEYS_FILE?: { readonly keys: readonly ApiKey[] } | undefined;
  readonly AUTH_JWT_PUBLIC_KEY?: readonly PublicJwk[] | undefined;
  readonly AUTH_ALGORITHMS: readonly TokenAlgorithm[];
}

/** What is wrong between settings, each of which may be right by itself. */
export function contradictions(given: Readonly<Record<string, string | undefined>>, env?: Parsed): string[] {
  const problems: string[] = [];
  const needs = (name: string, condition: string) => {
    if (given[name] === undefined) problems.push(`${name}: is required ${condition}`);
  };
  if (given.CXONE_BASE_URL !== undefined) {
    needs('CXONE_CLIENT_ID', 'when CXONE_BASE_URL is set');
    needs('CXONE_CLIENT_SECRET', 'when CXONE_BASE_URL is set');
    needs('CXONE_QUEUE_ID', 'when CXONE_BASE_URL is set');
    needs('ENCRYPTION_KEY', 'when CXONE_BASE_URL is set (openssl rand -base64 32)');
    // The client secret goes there, which OAuth leaves to TLS to protect (RFC 6749 §3.2).
    if (given.NODE_ENV === 'production' && isInTheClear(given.CXONE_BASE_URL)) {
      problems.push('CXONE_BASE_URL: must be https:// when NODE_ENV is production, or on a loopback address');
    }
    if (given.AUDIT_CHECKPOINT_FILE !== undefined) {
      needs('AUDIT_SIGNING_KEY', 'when AUDIT_CHECKPOINT_FILE is set: there would be no checkpoints');
    }
  }
  for (const name of ['CXONE_CLIENT_ID', 'CXONE_CLIENT_SECRET']) {
    if (given[name] === undefined || given.CXONE_BASE_URL !== undefined) continue;
    problems.push(`${name}: is set but CXONE_BASE_URL is not: guests would get sessions of the sandbox`);
  }
  if (given.FRAUD_SERVICE_URL !== undefined && given.FRAUD_PROVIDER !== 'http') {
    problems.push('FRAUD_SERVICE_URL: is set but FRAUD_PROVIDER is not http: the service would not be asked');
  }
  if (given.FRAUD_PROVIDER === 'http') needs('FRAUD_SERVICE_URL', 'when FRAUD_PROVIDER is http');
  if (given.ENCRYPTION_KEYS_OLD !== undefined) needs('ENCRYPTION_KEY', 'when ENCRYPTION_KEYS_OLD is set');
  if (env && env.RETENTION_DAYS * 24 < env.IDEMPOTENCY_TTL_HOURS) {
    problems.push(
      'RETENTION_DAYS: is shorter than IDEMPOTENCY_TTL_HOURS: keys would outlive the sessions they stand for',
    );
  }
  for (const name of [
    'RATE_PER_KEY',
    'RATE_PER_GUEST_KEY',
    'RATE_PER_ADDRESS',
    'CREATE_RATE_PER_ADDRESS',
    'CREATE_RATE_PER_FINGERPRINT',
  ]) {
    if (given[name] !== undefined && given.RATE_LIMITS === 'off') {
      problems.push(`${name}: is set but RATE_LIMITS is off: nothing would be limited`);
    }
  }
  if (given.CRASH_AT !== undefined && given.NODE_ENV === 'production') {
    problems.push('CRASH_AT: is for tests and is refused when NODE_ENV is production');
  }
  for (const name of ['COUNTRY_HEADER', 'PROXY_HEADER']) {
    if (given[name] === undefined || given.TRUST_PROXY !== undefined) continue;
    problems.push(`${name}: is set but TRUST_PROXY is not: nobody would be believed who sends it`);
  }
  for (const { place, message } of clashesWith(env?.API_KEYS ?? [], env?.API_KEYS_FILE?.keys ?? [])) {
    problems.push(`API_KEYS_FILE (at keys.${place}): ${message}`);
  }
  const tokenKeys = ['AUTH_JWKS_URL', 'AUTH_JWT_PUBLIC_KEY'].filter((name) => given[name] !== undefined);
  if (tokenKeys.length > 1) problems.push('AUTH_JWT_PUBLIC_KEY: is set and AUTH_JWKS_URL is, too: one has the keys');
  if (tokenKeys.length > 0) {
    needs('AUTH_ISSUER', `when ${tokenKeys[0]} is set`);
    needs('AUTH_AUDIENCE', `when ${tokenKeys[0]} is set: a token for another service would do`);
  }
  for (const name of ['AUTH_ISSUER', 'AUTH_AUDIENCE', 'AUTH_ALGORITHMS', 'AUTH_ROLE_CLAIM', 'AUTH_ORIGINS']) {
    if (given[name] === undefined || tokenKeys.length > 0) continue;
    problems.push(`${name}: is set but neither AUTH_JWKS_URL nor AUTH_JWT_PUBLIC_KEY is: no token would be good`);
  }
  const publicKeys = env?.AUTH_JWT_PUBLIC_KEY;
  if (publicKeys && !publicKeys.some((key) => env.AUTH_ALGORITHMS.some((algorithm) => suits(key, algorithm)))) {
    problems.push('AUTH_ALGORITHMS: has none that goes with AUTH_JWT_PUBLIC_KEY');
  }
  const hasKeys = given.API_KEYS_FILE !== undefined || !/^\s*(\[\s*\])?\s*$/.test(given.API_KEYS ?? '');
  const isOpen = !hasKeys && tokenKeys.length === 0;
  if (given.HOST !== undefined && !isLoopback(given.HOST) && isOpen) {
    problems.push(
      'HOST: is not a loopback address, and without API_KEYS or tokens everyone who reaches it could open sessions',
    );
  }
  if (given.TRUST_PROXY !== undefined && isOpen) {
    problems.push(
      'TRUST_PROXY: is set, and without API_KEYS or tokens whoever comes through the proxy could do everything',
    );
  }
  if (given.NODE_ENV === 'production' && given.CXONE_BASE_URL === undefined) {
    problems.push('CXONE_BASE_URL: is required when NODE_ENV is production: guests would get sessions of the sandbox');
  }
  if (given.NODE_ENV === 'production' && isOpen) {
    problems.push(
      'API_KEYS: or API_KEYS_FILE is required when NODE_ENV is production, unless there are tokens (AUTH_JWKS_URL, AUTH_JWT_PUBLIC_KEY): without either everything is open',
    );
  }
  return problems;
}

/** Whether what is sent there crosses a network as it is. */
const isInTheClear = (url: string): boolean =>
  URL.canParse(url) && new URL(url).protocol === 'http:' && !isLoopbackHost(new URL(url).host);
