import { expect, test } from 'vitest';
import { AttemptError, ErrorCode, InternalError, PipelineStage } from '../src/errors.js';

const CODES = Object.values(ErrorCode);

test.each(CODES)('%s says how the attempt ends, whether to try again, and what the public may read', (code) => {
  const error = new AttemptError(code);
  expect(error).toMatchObject({ name: 'AttemptError', code, problems: [] });
  expect(['REJECTED', 'FAILED']).toContain(error.status);
  expect(error.message).toMatch(/^[A-Z].+\.$/);
  expect([error.detail, error.retryAfterSeconds, error.cause]).toEqual([undefined, undefined, undefined]);
});

test('our rules reject, all else fails', () => {
  const rejected = CODES.filter((code) => new AttemptError(code).status === 'REJECTED');
  expect(rejected).toEqual([
    'INVALID_INPUT',
    'FRAUD_BLOCKED',
    'CAPACITY_EXCEEDED',
    'IDEMPOTENCY_CONFLICT',
    'NOT_FOUND',
    'WEBHOOKS_DISABLED',
  ]);
});

test('only what may go better next time is retryable', () => {
  const retryable = CODES.filter((code) => new AttemptError(code).retryable);
  expect(retryable).toEqual([
    'CAPACITY_EXCEEDED',
    'RATE_LIMITED',
    'CXONE_UNAVAILABLE',
    'FRAUD_CHECK_UNAVAILABLE',
    'DEADLINE_EXCEEDED',
    'IDEMPOTENCY_IN_FLIGHT',
    'LEDGER_UNAVAILABLE',
  ]);
});

test('codes and stages are named after themselves, as GraphQL shows them', () => {
  for (const names of [ErrorCode, PipelineStage]) {
    for (const [key, value] of Object.entries(names)) expect(value).toBe(key);
  }
});

test('what is for operations is not in the public message', () => {
  const error = new AttemptError('CXONE_REJECTED', {
    detail: 'the queue is closed',
    retryAfterSeconds: 7,
    cause: new Error('foreign'),
  });
  expect(error).toMatchObject({ detail: 'the queue is closed', retryAfterSeconds: 7 });
  expect(error.message).not.toMatch(/queue|foreign/);
});

test('an internal error shows its request id and keeps its cause to itself', () => {
  const cause = new TypeError('x is not a function');
  const error = new InternalError('request-1', { cause });
  expect(error).toMatchObject({ requestId: 'request-1', cause });
  expect(error.message).not.toContain('function');
});
