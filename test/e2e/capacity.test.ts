import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, open, startNetwork } from '../support/network.js';

test('a guest has five sessions, and the sixth is refused without a call to CXone', async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  await fill(network, guestId, 5);
  const calls = network.cxone.calls.length;

  const payload = await open(network, inputFor(guestId));

  expect(payload).toMatchObject({
    session: null,
    clientToken: null,
    userErrors: [{ code: 'CAPACITY_EXCEEDED', stage: 'RESERVE', retryable: true, field: null }],
  });
  expect(network.cxone.calls).toHaveLength(calls);
  const { sessions, audits } = await booksOf(network, guestId);
  expect(sessions).toHaveLength(5);
  expect(audits.find(({ requestId }) => requestId === payload.requestId)).toMatchObject({
    status: 'REJECTED',
    errorCode: 'CAPACITY_EXCEEDED',
    attempts: 0,
  });
  expect((await open(network)).session).toMatchObject({ status: 'ACTIVE' }); // another guest
});

test.each([
  ['no sessions elsewhere', 0, 5],
  ['two sessions elsewhere', 2, 3],
  ['four sessions elsewhere', 4, 1],
  ['five sessions elsewhere', 5, 0],
  ['seven sessions elsewhere', 7, 0],
])('forty requests of a guest with %s in the same instant open exactly what is free', async (_what, foreign, free) => {
  const network = await startNetwork();
  const guestId = randomUUID();
  for (let count = 0; count < foreign; count += 1) network.cxone.addSession(guestId);

  const payloads = await Promise.all(Array.from({ length: 40 }, () => open(network, inputFor(guestId))));

  const opened = payloads.filter(({ session }) => session !== null);
  const refused = payloads.filter(({ session }) => session === null);
  expect(opened).toHaveLength(free);
  expect(new Set(refused.map(({ userErrors }) => userErrors[0].code))).toEqual(new Set(['CAPACITY_EXCEEDED']));
  const atCxone = network.cxone.sessions(guestId).filter(({ requestId }) => requestId !== null);
  expect(atCxone.map(({ sessionId }) => sessionId).sort()).toEqual(
    opened.map(({ session }) => session.sessionId).sort(),
  );
  const { sessions } = await booksOf(network, guestId);
  expect(sessions.filter(({ status }) => status === 'ACTIVE')).toHaveLength(free);
});

test('what is refused in a rush is free again, so that the guest can fill up to five later', async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  network.cxone.addSession(guestId);
  await Promise.all(Array.from({ length: 10 }, () => open(network, inputFor(guestId))));
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
  expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
});

test('where CXone does not echo request ids the cap is never exceeded, and reached when requests come in turn', async () => {
  const network = await startNetwork({ cxone: { echoAttributes: false } });
  const guestId = randomUUID();
  network.cxone.addSession(guestId);

  await Promise.all(Array.from({ length: 40 }, () => open(network, inputFor(guestId))));
  const inRush = network.cxone.sessions(guestId).length;
  expect(inRush).toBeGreaterThan(1);
  expect(inRush).toBeLessThanOrEqual(5);

  await fill(network, guestId, 5 - inRush);
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
  expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
});

test('sessions that were opened elsewhere count', async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  for (let count = 0; count < 3; count += 1) network.cxone.addSession(guestId);
  await fill(network, guestId, 2);
  const payload = await open(network, inputFor(guestId));
  expect(payload.userErrors).toMatchObject([{ code: 'CAPACITY_EXCEEDED', stage: 'CAPACITY', retryable: true }]);
  expect(network.cxone.count('create')).toBe(2);
  const { sessions, audits } = await booksOf(network, guestId);
  expect(sessions[0]).toMatchObject({ status: 'FAILED', failureCode: 'CAPACITY_EXCEEDED' });
  expect(audits[0]).toMatchObject({
    status: 'REJECTED',
    capacityCheck: 'CHECKED',
    reason: expect.stringContaining('5 of 5'),
  });
});

test('a guest is the same in upper and in lower case', async () => {
  const network = await startNetwork();
  const guestId = `guest-${randomUUID()}`;
  await fill(network, guestId, 3);
  await fill(network, guestId.toUpperCase(), 2);
  expect(await codeOf(network, guestId.replace('guest', 'Guest'))).toBe('CAPACITY_EXCEEDED');
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
});

test('the prefix belongs to the id: with and without it are two guests', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
  const guestId = randomUUID();
  await fill(network, guestId, 1);
  await fill(network, `guest-${guestId}`, 1);
});

test('a session that expires frees its place', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' }, cxone: { sessionTtlSeconds: 1 } });
  const guestId = randomUUID();
  await fill(network, guestId, 1);
  expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
  await eventually(async () => (await open(network, inputFor(guestId))).session);
});

test('an attempt that fails frees its place', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '1' } });
  const guestId = randomUUID();
  network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status: 500 }, times: 1 });
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 }, times: 1 });
  expect(await codeOf(network, guestId)).toBe('CXONE_UNAVAILABLE');
  expect(await codeOf(network, guestId)).toBe('CXONE_SCHEMA_REJECTED');
  await fill(network, guestId, 1);
  const { sessions } = await booksOf(network, guestId);
  expect(sessions.map(({ status }) => status)).toEqual(['ACTIVE', 'FAILED', 'FAILED']);
});

test('an attempt whose outcome cannot be told holds its place, though there is no session', async () => {
  const network = await startNetwork({ cxone: { canList: false } });
  const guestId = randomUUID();
  await fill(network, guestId, 4);
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, times: 1 });
  expect(await codeOf(network, guestId)).toBe('OUTCOME_UNKNOWN');
  expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
  expect(network.cxone.sessions(guestId)).toHaveLength(4);
});

test('an attempt whose outcome is unknown holds one place, not two, where its session shows up at CXone', async () => {
  const network = await startNetwork();
  const guestId = randomUUID();
  await fill(network, guestId, 3);
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', times: 1 });
  expect(await codeOf(network, guestId)).toBe('OUTCOME_UNKNOWN');
  await fill(network, guestId, 1);
  expect(await codeOf(network, guestId)).toBe('CAPACITY_EXCEEDED');
  expect(network.cxone.sessions(guestId)).toHaveLength(5);
});

test.each([403, 404])(
  'where CXone answers the list with %i our own books alone keep the cap, and the audit says so',
  async (status) => {
    const network = await startNetwork();
    const guestId = randomUUID();
    network.cxone.scenarios.add({ on: 'list', fault: { kind: 'status', status } });
    for (let count = 0; count < 3; count += 1) network.cxone.addSession(guestId);
    const payloads = await Promise.all(Array.from({ length: 12 }, () => open(network, inputFor(guestId))));
    expect(payloads.filter(({ session }) => session !== null)).toHaveLength(5);
    const { audits } = await booksOf(network, guestId);
    const initiations = audits.filter(({ kind }) => kind === 'SESSION_INITIATION');
    expect(initiations.filter(({ capacityCheck }) => capacityCheck === 'SKIPPED')).toHaveLength(5);
  },
);

/** Opens so many sessions, one after the other. */
async function fill(network: Network, guestId: string, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    expect((await open(network, inputFor(guestId))).userErrors).toEqual([]);
  }
}

async function codeOf(network: Network, guestId: string): Promise<string | undefined> {
  return (await open(network, inputFor(guestId))).userErrors[0]?.code;
}
