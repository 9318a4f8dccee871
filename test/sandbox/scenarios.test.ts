import { expect, test } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault, SandboxCall } from '../../src/sandbox/faults.js';
import { bearerOf, GUEST, OTHER_GUEST, postSession, postToken, sessionPayload } from './requests.js';

test('a fault after the work leaves the session behind', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.scenarios.add({ on: 'create', fault: { kind: 'status', status: 500 }, when: 'after', times: 1 });
  expect((await postSession(sandbox, bearer)).status).toBe(500);
  expect(sandbox.sessions(GUEST)).toHaveLength(1);
});

test('a fault strikes its guest alone, after so many calls and so many times', async () => {
  await using sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  const fault: Fault = { kind: 'status', status: 500 };
  sandbox.scenarios.add({ on: 'create', fault, guestId: GUEST, skip: 1, times: 2 });
  const statuses = [];
  for (const guest of [GUEST, OTHER_GUEST, GUEST, OTHER_GUEST, GUEST, GUEST]) {
    statuses.push((await postSession(sandbox, bearer, sessionPayload(guest))).status);
  }
  expect(statuses).toEqual([201, 201, 500, 201, 500, 201]);
  expect(sandbox.scenarios.list()).toEqual([]);
});

test('scenarios strike in the order they were added, and a skip counts calls that others struck', async () => {
  await using sandbox = await CxoneSandbox.start();
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'status', status: 500 }, times: 1 });
  sandbox.scenarios.add({ on: 'token', fault: { kind: 'status', status: 503 }, skip: 2 });
  const statuses = [];
  for (let call = 0; call < 4; call += 1) statuses.push((await postToken(sandbox)).status);
  expect(statuses).toEqual([500, 200, 503, 503]);
  sandbox.scenarios.clear();
  expect((await postToken(sandbox)).status).toBe(200);
});

test('a scenario that could never strike is refused', async () => {
  await using sandbox = await CxoneSandbox.start();
  const fault: Fault = { kind: 'hang' };
  expect(() => sandbox.scenarios.add({ on: 'webhook', fault })).toThrow('scenario.on: must be one of token, list');
  expect(() => sandbox.scenarios.add({ on: 'token', fault, guestId: GUEST })).toThrow('scenario.guestId');
  expect(() => sandbox.scenarios.add({ on: 'create', fault, times: 0 })).toThrow('scenario.times');
  expect(() => sandbox.scenarios.add({ on: 'creat' as SandboxCall, fault })).toThrow('scenario.on');
});
