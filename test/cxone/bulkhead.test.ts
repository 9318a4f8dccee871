import { expect, test } from 'vitest';
import { Bulkhead } from '../../src/cxone/bulkhead.js';
import { Deadline } from '../../src/guest-session/deadline.js';
import { eventually } from '../support/eventually.js';
import { type ClientOptions, GUEST, inTime, outcomeOf, payloadOf, startClient, status, stepsThat } from './client.js';
import { stopMonotonicClock } from './clocks.js';

async function start(options: ClientOptions) {
  const { sandbox, client } = await startClient(options);
  await client.authenticate(inTime());
  const list = (deadline = inTime()) => outcomeOf(client.listActiveSessions(GUEST, deadline));
  const slow = (delayMs: number, times?: number) =>
    sandbox.scenarios.add({ on: 'list', fault: { kind: 'slow', delayMs }, ...(times && { times }) });
  return { sandbox, client, list, slow };
}

test('no more calls are under way than are allowed, and those that wait get their turn', async () => {
  const { sandbox, list, slow } = await start({ maxConcurrency: 3 });
  slow(40);
  let most = 0;
  const calls = Promise.all(Array.from({ length: 15 }, () => list()));
  let isOver = false;
  void calls.finally(() => {
    isOver = true;
  });
  await eventually(() => {
    most = Math.max(most, sandbox.calls.filter(({ call, status: code }) => call === 'list' && code === null).length);
    return isOver;
  });
  expect(await calls).toEqual(Array(15).fill([]));
  expect(most).toBeLessThanOrEqual(3);
});

test('where the queue is full as well a call is refused at once, not sent and not tried again', async () => {
  const { sandbox, client, list, slow } = await start({ maxConcurrency: 1 });
  slow(15);
  const calls = Array.from({ length: 11 }, () => list());
  const steps = stepsThat();
  const refused = await Promise.all([list(), outcomeOf(client.createSession(payloadOf(), inTime(), steps))]);
  for (const error of refused) {
    expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE', retryable: true, retryAfterSeconds: 1 });
  }
  expect(sandbox.count('list')).toBeLessThan(11);
  expect(await Promise.all(calls)).toEqual(Array(11).fill([]));
  expect([sandbox.count('list'), sandbox.count('create')]).toEqual([11, 0]);
  expect(steps.heard).toEqual({ posts: 0, searches: 0 });
});

test('who waits in the queue is answered at the deadline, and the call is never made', async () => {
  const { sandbox, client, list, slow } = await start({ maxConcurrency: 1 });
  slow(400, 1);
  const first = list();
  await eventually(() => sandbox.count('list') === 1);
  const steps = stepsThat();
  const startedAtMs = performance.now();
  const error = await outcomeOf(client.createSession(payloadOf(), new Deadline(40), steps));
  expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
  expect(performance.now() - startedAtMs).toBeLessThan(350);
  expect(await first).toEqual([]);
  expect(await list()).toEqual([]);
  expect([steps.heard.posts, sandbox.count('create')]).toEqual([0, 0]);
});

test('a call whose caller has left is not made, even where there would be time again', async () => {
  const bulkhead = new Bulkhead(1);
  let finish: (value: string) => void = () => undefined;
  const running = bulkhead.run(inTime(), () => new Promise<string>((resolve) => (finish = resolve)));
  stopMonotonicClock();
  let isMade = false;
  const leaving = bulkhead.run(new Deadline(10), async () => {
    isMade = true;
  });
  await expect(leaving).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  finish('first');
  expect(await running).toBe('first');
  expect(await bulkhead.run(inTime(), async () => 'next')).toBe('next');
  expect(isMade).toBe(false);
});

test('who leaves the queue does not stop those behind', async () => {
  const { sandbox, list, slow } = await start({ maxConcurrency: 1 });
  slow(200, 1);
  const first = list();
  const leaving = Array.from({ length: 5 }, () => list(new Deadline(30)));
  const patient = [list(), list()];
  for (const error of await Promise.all(leaving)) expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(await Promise.all([first, ...patient])).toEqual([[], [], []]);
  expect(sandbox.count('list')).toBe(3);
});

test('the timeout of a call begins when it leaves the queue', async () => {
  const { list, slow } = await start({ maxConcurrency: 1, timeoutMs: 400 });
  slow(200);
  expect(await Promise.all([list(), list(), list(), list()])).toEqual([[], [], [], []]);
});

test('a call that fails makes room for the next', async () => {
  const { sandbox, list } = await start({ maxConcurrency: 1, maxAttempts: 1 });
  sandbox.scenarios.add({ on: 'list', fault: { kind: 'reset' }, times: 5 });
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => list()));
  expect(outcomes.filter(Array.isArray)).toEqual([[]]);
});

test('while the circuit is open nobody queues up to be refused', async () => {
  const { sandbox, client, list } = await start({ maxConcurrency: 1, maxAttempts: 1, breakerFailures: 1 });
  sandbox.scenarios.add({ on: 'list', fault: status(500) });
  await list();
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 300 } });
  let isCreated = false;
  const creating = client.createSession(payloadOf(), inTime(), stepsThat()).finally(() => {
    isCreated = true;
  });
  await eventually(() => sandbox.count('create') === 1);
  expect(await list()).toMatchObject({ code: 'CXONE_UNAVAILABLE', detail: expect.stringContaining('breaker') });
  expect(isCreated).toBe(false);
  await creating;
});

test('those who stand in the queue when the circuit opens are refused, and not sent into the outage', async () => {
  const { sandbox, list } = await start({ maxConcurrency: 1, maxAttempts: 1, breakerFailures: 2 });
  sandbox.scenarios.add({ on: 'list', fault: status(500) });
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => list()));
  expect(sandbox.count('list')).toBe(2);
  for (const error of outcomes) expect(error).toMatchObject({ code: 'CXONE_UNAVAILABLE' });
});
