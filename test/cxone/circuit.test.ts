import { expect, test } from 'vitest';
import type { AttemptError } from '../../src/errors.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { closedUrl } from '../outbound/raw-server.js';
import { eventually } from '../support/eventually.js';
import {
  type ClientOptions,
  GUEST,
  HOUR_MS,
  inTime,
  outcomeOf,
  payloadOf,
  startClient,
  status,
  stepsThat,
  timeoutMsFor,
} from './client.js';
import { setWallClock } from './clocks.js';

const isRefusal = { name: 'AttemptError', code: 'CXONE_UNAVAILABLE', retryable: true };

/** A client without retries, so that each call is one exchange, and its circuits. */
async function start(options: ClientOptions = {}) {
  const { sandbox, client, tokens } = await startClient({ maxAttempts: 1, breakerFailures: 3, ...options });
  await client.authenticate(inTime());
  const list = () => outcomeOf(client.listActiveSessions(GUEST, inTime()));
  const isClosed = async () => !String(((await list()) as AttemptError).detail).startsWith('the circuit breaker');
  return {
    sandbox,
    client,
    tokens,
    list,
    isClosed,
    async fail(times: number, fault: Fault = status(500)) {
      sandbox.scenarios.add({ on: 'list', fault, times });
      for (let call = 0; call < times; call += 1) await list();
    },
    /** Lets the open time pass, without sending anything. */
    async openTimePasses() {
      const until = performance.now() + (options.breakerOpenMs ?? HOUR_MS);
      await eventually(() => performance.now() > until);
    },
  };
}

test('after so many failures in a row calls are refused at once, with the time to wait, and nothing is sent', async () => {
  const { sandbox, list, fail } = await start();
  await fail(3);
  for (let call = 0; call < 5; call += 1) {
    const error = (await list()) as AttemptError;
    expect(error).toMatchObject({ ...isRefusal, detail: 'the circuit breaker for "list" is open' });
    expect(error.retryAfterSeconds).toBeGreaterThan(3_500);
    expect(error.retryAfterSeconds).toBeLessThanOrEqual(3_600);
  }
  expect(sandbox.count('list')).toBe(3);
});

test('one failure less does nothing, nor do many with a success between them', async () => {
  const { sandbox, fail, list, isClosed } = await start();
  for (let round = 0; round < 4; round += 1) {
    await fail(2);
    expect(await list()).toEqual([]);
  }
  expect(await isClosed()).toBe(true);
  expect(sandbox.count('list')).toBe(13);
});

test('each kind of call has a circuit of its own', async () => {
  const { sandbox, client, tokens, list, fail, isClosed } = await start();
  await fail(3);
  const steps = stepsThat();
  const { sessionId } = await client.createSession(payloadOf(), inTime(), steps);
  expect(await client.endSession(sessionId, inTime())).toBe('ENDED');
  tokens.reject(await tokens.get(inTime()));
  expect(await tokens.get(inTime())).toMatch(/\S/);
  expect(await isClosed()).toBe(false);

  sandbox.scenarios.clear();
  sandbox.scenarios.add({ on: 'token', fault: status(500) });
  tokens.reject(await tokens.get(inTime()));
  for (let call = 0; call < 5; call += 1) expect(await list()).toMatchObject(isRefusal);
  expect(sandbox.count('token')).toBe(2 + 3);
});

test('a POST that is refused is not counted as one, not searched for and not tried again', async () => {
  const { sandbox, client } = await start({ maxAttempts: 3 });
  sandbox.scenarios.add({ on: 'create', fault: status(500) });
  const before = stepsThat();
  await outcomeOf(client.createSession(payloadOf(), inTime(), before));
  expect(before.heard).toEqual({ posts: 3, searches: 3 });

  const steps = stepsThat();
  const error = await outcomeOf(client.createSession(payloadOf(), inTime(), steps));
  expect(error).toMatchObject({ ...isRefusal, detail: 'the circuit breaker for "create" is open' });
  expect(steps.heard).toEqual({ posts: 0, searches: 0 });
  expect(sandbox.count('create')).toBe(3);
});

test('a circuit that opens between two POSTs of one attempt ends the attempt', async () => {
  const { sandbox, client } = await start({ maxAttempts: 3, breakerFailures: 2 });
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'reset' } });
  const steps = stepsThat();
  expect(await outcomeOf(client.createSession(payloadOf(), inTime(), steps))).toMatchObject(isRefusal);
  expect(steps.heard).toEqual({ posts: 2, searches: 2 });
});

const FAILURES: [string, Fault][] = [
  ...[500, 501, 502, 503, 504, 599].map((code): [string, Fault] => [String(code), status(code)]),
  ['503 with Retry-After', { kind: 'rate-limit', status: 503, retryAfter: '0' }],
  ['a reset', { kind: 'reset' }],
  ['an outage', { kind: 'outage' }],
  ['a hang', { kind: 'hang' }],
  ['a dripping body', { kind: 'drip', everyMs: 10 }],
  ['half a body', { kind: 'truncated' }],
  ['5 MB', { kind: 'oversized' }],
];

test.each(FAILURES)('%s is a failure', async (_what, fault) => {
  const { fail, isClosed } = await start({ timeoutMs: timeoutMsFor(fault) });
  await fail(3, fault);
  expect(await isClosed()).toBe(false);
});

test('so is a connection that is refused', async () => {
  const { list, isClosed } = await start({ sessionsUrl: await closedUrl() });
  for (let call = 0; call < 3; call += 1) await list();
  expect(await isClosed()).toBe(false);
});

const OTHERS: [string, Fault][] = [
  ...[302, 400, 401, 403, 404, 409, 422, 429].map((code): [string, Fault] => [String(code), status(code)]),
  ['429 with Retry-After', { kind: 'rate-limit', retryAfter: '0' }],
  ['HTML', { kind: 'malformed' }],
  ['{}', { kind: 'wrong-shape' }],
];

test.each(OTHERS)('%s is none, however often it comes', async (_what, fault) => {
  const { fail, isClosed } = await start();
  await fail(10, fault);
  expect(await isClosed()).toBe(true);
});

test('a call that our own deadline cuts short says nothing about CXone', async () => {
  const { sandbox, client, fail, isClosed } = await start({ timeoutMs: 10_000 });
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'hang' }, times: 10 });
  for (let call = 0; call < 10; call += 1) await outcomeOf(client.listActiveSessions(GUEST, new Deadline(15)));
  expect(await isClosed()).toBe(true);
  // Nor does it make earlier failures forgotten.
  await fail(2);
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'hang' }, times: 1 });
  await outcomeOf(client.listActiveSessions(GUEST, new Deadline(15)));
  await fail(1);
  expect(await isClosed()).toBe(false);
});

test('when the open time is over one call probes, the others are refused meanwhile, and a success closes', async () => {
  const { sandbox, list, fail, openTimePasses } = await start({ breakerOpenMs: 50 });
  await fail(3);
  await openTimePasses();
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs: 100 }, times: 1 });

  const outcomes = await Promise.all(Array.from({ length: 20 }, list));

  expect(outcomes.filter(Array.isArray)).toHaveLength(1);
  const refused = outcomes.filter((outcome) => !Array.isArray(outcome)) as AttemptError[];
  expect(refused).toHaveLength(19);
  for (const error of refused) {
    expect(error).toMatchObject({ ...isRefusal, detail: 'the circuit breaker for "list" is half open' });
    expect(error.retryAfterSeconds).toBeGreaterThan(0);
  }
  expect(sandbox.count('list')).toBe(3 + 1);
  expect(await Promise.all(Array.from({ length: 20 }, list))).toEqual(Array(20).fill([]));
});

const FAILED_PROBES: [string, Fault, number][] = [
  ['is answered 500', status(500), 10_000],
  ['is reset', { kind: 'reset' }, 10_000],
  ['is cut short by its own deadline', { kind: 'hang' }, 20],
];

test.each(FAILED_PROBES)('a probe that %s opens the circuit again', async (_what, fault, deadlineMs) => {
  const breakerOpenMs = 80;
  const { sandbox, client, list, fail, openTimePasses } = await start({ breakerOpenMs, timeoutMs: 5_000 });
  await fail(3);
  for (let probe = 1; probe <= 2; probe += 1) {
    await openTimePasses();
    sandbox.scenarios.add({ on: 'list', fault, times: 1 });
    await outcomeOf(client.listActiveSessions(GUEST, new Deadline(deadlineMs)));
    expect(sandbox.count('list')).toBe(3 + probe);
    expect(await list()).toMatchObject({ ...isRefusal, detail: 'the circuit breaker for "list" is open' });
  }
  await openTimePasses();
  expect(await list()).toEqual([]);
  expect(await list()).toEqual([]);
});

test('a bug of ours in a probe does not pass for an answer of CXone', async () => {
  const { sandbox, client, openTimePasses } = await start({ breakerOpenMs: 50, breakerFailures: 1 });
  sandbox.scenarios.add({ on: 'create', fault: status(500) });
  await outcomeOf(client.createSession(payloadOf(), inTime(), stepsThat()));
  await openTimePasses();
  const bug = new TypeError('a bug of ours');
  const steps = {
    ...stepsThat(),
    onPost: () => {
      throw bug;
    },
  };
  expect(await outcomeOf(client.createSession(payloadOf(), inTime(), steps))).toBe(bug);
  expect(await outcomeOf(client.createSession(payloadOf(), inTime(), stepsThat()))).toMatchObject(isRefusal);
});

test('calls from before the circuit opened do not open it again when they fail late', async () => {
  const { sandbox, list, fail, openTimePasses } = await start({
    timeoutMs: 500,
    breakerFailures: 2,
    breakerOpenMs: 50,
  });
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'hang' }, times: 3 });
  const stragglers = [list(), list(), list()];
  await eventually(() => sandbox.count('list') === 3);
  await fail(2);
  expect(await list()).toMatchObject(isRefusal);
  await openTimePasses();
  expect(await list()).toEqual([]);
  for (const error of await Promise.all(stragglers)) expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE' });
  expect(await list()).toEqual([]);
});

test('a wall clock that is set back does not keep the circuit open', async () => {
  const { list, fail, openTimePasses } = await start({ breakerOpenMs: 50 });
  await fail(3);
  setWallClock(-1);
  await openTimePasses();
  expect(await list()).toEqual([]);
});

test('a wall clock that is set forward does not close it', async () => {
  const { sandbox, list, fail } = await start({ breakerOpenMs: 60_000, sandbox: { tokenTtlSeconds: 36_000 } });
  await fail(3);
  setWallClock(1);
  expect(await list()).toMatchObject(isRefusal);
  expect(sandbox.count('list')).toBe(3);
});
