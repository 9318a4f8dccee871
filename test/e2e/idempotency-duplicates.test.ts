import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, OPEN, open, startNetwork } from '../support/network.js';

// The same key and input several times at once.

const keyed = (key: string = randomUUID(), guestId?: string) => ({ ...inputFor(guestId), idempotencyKey: key });

/** How many audit entries each attempt of a guest has, by request id. */
async function initiationsOf(network: Network, guestId: string): Promise<Map<string, number>> {
  const { audits } = await booksOf(network, guestId);
  const counts = new Map<string, number>();
  for (const { kind, requestId } of audits) {
    if (kind === 'SESSION_INITIATION') counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
  }
  return counts;
}

/** All answers give the one session of the guest, and one of them is the first. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes, and say what they expect of them
function expectOneSession(network: Network, guestId: string, answers: readonly any[]): void {
  const [live, ...others] = network.cxone.sessions(guestId);
  expect(others).toEqual([]);
  const given = answers.map(({ requestId, clientToken, session, eventCursor }) =>
    JSON.stringify({ requestId, clientToken, sessionId: session.sessionId, eventCursor }),
  );
  expect(new Set(given).size).toBe(1);
  expect(JSON.parse(given[0] ?? '')).toMatchObject({
    requestId: live?.requestId,
    clientToken: live?.token,
    sessionId: live?.sessionId,
  });
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
}

test('forty duplicates end in one POST, one session, one token, and one answer that is not a replay', async () => {
  const network = await startNetwork();
  const input = keyed();

  const answers = await Promise.all(Array.from({ length: 40 }, () => open(network, input)));

  expectOneSession(network, input.guestId, answers);
  expect(network.cxone.count('create')).toBe(1);
  expect(network.cxone.count('list')).toBe(1);
  expect([...(await initiationsOf(network, input.guestId))]).toEqual([[answers[0].requestId, 1]]);
  await eventually(async () => (await booksOf(network, input.guestId)).sessions[0].crmSync === 'DELIVERED');
  expect(network.crm.received).toHaveLength(1);
});

test('twenty duplicates each of ten intents of one guest end in ten sessions', async () => {
  const network = await startNetwork({ env: { MAX_CONCURRENT_SESSIONS: '10' } });
  const guestId = randomUUID();
  const inputs = Array.from({ length: 10 }, () => keyed(randomUUID(), guestId));

  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, n) => ({ intent: n % 10, answer: await open(network, inputs[n % 10]) })),
  );

  expect(network.cxone.count('create')).toBe(10);
  expect(network.cxone.sessions(guestId)).toHaveLength(10);
  for (let intent = 0; intent < 10; intent += 1) {
    const ofIntent = answers.filter((it) => it.intent === intent).map(({ answer }) => answer);
    expect(new Set(ofIntent.map(({ clientToken, session }) => `${clientToken} ${session.sessionId}`)).size).toBe(1);
    expect(ofIntent.filter(({ replayed }) => !replayed)).toHaveLength(1);
  }
});

test('duplicates wait for the first, however slow, and have its answer as soon as it is there', async () => {
  const network = await startNetwork();
  const input = keyed();
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 800 } });
  const answeredAtMs: number[] = [];
  const ask = async () => {
    const answer = await open(network, input);
    answeredAtMs.push(performance.now());
    return answer;
  };
  const first = ask();
  await eventually(() => network.cxone.count('create') === 1);

  const duplicates = Array.from({ length: 10 }, ask);

  const answers = await Promise.all([first, ...duplicates]);
  expectOneSession(network, input.guestId, answers);
  expect(answers[0].replayed).toBe(false);
  expect(network.cxone.count('create')).toBe(1);
  expect(Math.max(...answeredAtMs) - Math.min(...answeredAtMs)).toBeLessThan(500);
});

test('duplicates of one that fails take its place, one after the other, until one succeeds', async () => {
  const network = await startNetwork();
  const input = keyed();
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 }, times: 2 });

  const answers = await Promise.all(Array.from({ length: 20 }, () => open(network, input)));

  const failed = answers.filter(({ session }) => session === null);
  expect(failed.map(({ userErrors }) => userErrors[0].code)).toEqual(Array(2).fill('CXONE_SCHEMA_REJECTED'));
  expectOneSession(
    network,
    input.guestId,
    answers.filter(({ session }) => session !== null),
  );
  expect(network.cxone.count('create')).toBe(3);
  const initiations = await initiationsOf(network, input.guestId);
  expect([...initiations.values()]).toEqual([1, 1, 1]);
  expect(new Set(initiations.keys())).toEqual(new Set(answers.map(({ requestId }) => requestId)));
});

test('duplicates of one that always fails fail each for itself, and never two at CXone at a time', async () => {
  const network = await startNetwork();
  const input = keyed();
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 } });

  const answers = await Promise.all(Array.from({ length: 8 }, () => open(network, input)));

  expect(new Set(answers.map(({ requestId }) => requestId)).size).toBe(8);
  // Each attempt lists and then posts: were two at work at a time, their calls would mix.
  const byAttempt = network.cxone.calls.filter(({ call }) => call !== 'token').map(({ call }) => call);
  expect(byAttempt).toEqual(Array.from({ length: 8 }, () => ['list', 'create']).flat());
});

test('with one key and two inputs, one input gets the session, and the other one a conflict', async () => {
  const network = await startNetwork();
  const input = keyed();
  const other = { ...input, crmId: 'crm-2' };

  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => ({ n, answer: await open(network, n % 2 === 0 ? input : other) })),
  );

  const winners = answers.filter(({ answer }) => answer.session !== null);
  const refused = answers.filter(({ answer }) => answer.session === null);
  expect([winners.length, refused.length]).toEqual([10, 10]);
  expect(new Set(winners.map(({ n }) => n % 2)).size).toBe(1);
  expect(new Set(refused.map(({ answer }) => answer.userErrors[0].code))).toEqual(new Set(['IDEMPOTENCY_CONFLICT']));
  expectOneSession(
    network,
    input.guestId,
    winners.map(({ answer }) => answer),
  );
});

test('duplicates in one document are one intent as well', async () => {
  const network = await startNetwork();
  const fields = ['a', 'b', 'c'].map((name) => `${name}: createGuestSession(input: $input) { clientToken replayed }`);
  const { data } = await network.graphql(`mutation ($input: CreateGuestSessionInput!) { ${fields.join(' ')} }`, {
    input: keyed(),
  });

  expect(new Set([data.a, data.b, data.c].map(({ clientToken }) => clientToken)).size).toBe(1);
  expect([data.a.replayed, data.b.replayed, data.c.replayed]).toEqual([false, true, true]);
  expect(network.cxone.count('create')).toBe(1);
});

test('the answer that its caller did not wait for is there for the next who asks', async () => {
  const network = await startNetwork();
  const input = keyed();
  network.cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 300 } });
  const impatient = new AbortController();
  const body = JSON.stringify({ query: OPEN, variables: { input } });
  const headers = { 'content-type': 'application/json' };
  const hungUp = fetch(`${network.app.url}/graphql`, { method: 'POST', headers, body, signal: impatient.signal });
  await eventually(() => network.cxone.count('create') === 1);
  impatient.abort();
  await expect(hungUp).rejects.toThrow();

  const answer = await open(network, input);

  expect(answer).toMatchObject({ replayed: true, userErrors: [], clientToken: expect.stringMatching(/^ctk_/) });
  expect(network.cxone.count('create')).toBe(1);
});
