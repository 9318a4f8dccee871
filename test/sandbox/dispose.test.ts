import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { bearerOf, postSession, WITHIN } from './requests.js';

const ENDLESS: Fault[] = [{ kind: 'hang' }, { kind: 'drip' }, { kind: 'slow', delayMs: 600_000 }];

test.each(ENDLESS)('disposal is prompt and cuts calls that $kind', async (fault) => {
  const sandbox = await CxoneSandbox.start();
  const bearer = await bearerOf(sandbox);
  sandbox.scenarios.add({ on: 'create', fault });
  const cut = expect(postSession(sandbox, bearer).then((response) => response.text())).rejects.toThrow();
  await vi.waitFor(() => expect(sandbox.calls.at(-1)?.guestId).toEqual(expect.any(String)), WITHIN);
  const startedAt = performance.now();
  await sandbox[Symbol.asyncDispose]();
  expect(performance.now() - startedAt).toBeLessThan(1000);
  await cut;
  await expect(fetch(sandbox.url)).rejects.toThrow();
});

test('disposal does not wait for a connection that never sent anything', async () => {
  const crm = await CrmSandbox.start();
  const socket = connect(Number(new URL(crm.url).port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const closed = new Promise((resolve) => socket.resume().once('close', resolve).once('error', resolve));
  const startedAt = performance.now();
  await crm[Symbol.asyncDispose]();
  await closed;
  expect(performance.now() - startedAt).toBeLessThan(1000);
});

test('a sandbox can be disposed of twice', async () => {
  const sandbox = await CxoneSandbox.start();
  await sandbox[Symbol.asyncDispose]();
  await sandbox[Symbol.asyncDispose]();
});
