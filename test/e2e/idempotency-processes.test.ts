import { randomUUID } from 'node:crypto';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { type Books, openBooks } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { inputFor } from '../support/network.js';
import { type UnlockedAnswer, UnlockedProcess } from '../support/unlocked-process.js';

// Processes that write to one database at the same time, which the server itself does not let happen (docs: one writer to a
// file). What the books promise to several processes is what a database on a server will have to hold.

let cxone: CxoneSandbox;
let books: Books;

beforeEach(async () => {
  cxone = await CxoneSandbox.start();
  onTestFinished(() => cxone[Symbol.asyncDispose]());
  books = await openBooks();
});

const startProcess = (env: Record<string, string> = {}) =>
  UnlockedProcess.start({
    DATABASE_URL: `file:${books.path}`,
    CXONE_BASE_URL: cxone.url,
    CXONE_CLIENT_ID: cxone.clientId,
    CXONE_CLIENT_SECRET: cxone.clientSecret,
    CXONE_QUEUE_ID: 'queue-test',
    CXONE_RETRY_BASE_MS: '10',
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
    ...env,
  });

const startProcesses = (count: number) => Promise.all(Array.from({ length: count }, () => startProcess()));

const keyed = () => ({ ...inputFor(), idempotencyKey: randomUUID() });

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

async function expectSoundBooks(): Promise<void> {
  expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: books.count('AuditEntry') });
  for (const table of ['SessionEvent', 'AuditEntry']) {
    const rows = books.outside.all<{ n: number }>(`SELECT "sequence" AS n FROM "${table}" ORDER BY "sequence"`);
    expect(rows.map(({ n }) => n)).toEqual(upTo(rows.length));
  }
}

/** All answers give the one session of the guest, and one of them is the first. */
function expectOneSession(guestId: string, answers: readonly UnlockedAnswer[]): void {
  const [session, ...more] = cxone.sessions(guestId);
  expect(more).toEqual([]);
  const given = answers.map(({ requestId, sessionId, clientToken, code }) =>
    [requestId, sessionId, clientToken, code].join(),
  );
  expect([...new Set(given)]).toEqual([[session?.requestId, session?.sessionId, session?.token, null].join()]);
  expect(new Set(answers.map(({ eventSequence }) => eventSequence)).size).toBe(1);
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
}

test('twenty duplicates of each intent from each of three processes are one POST, one session, one token', async () => {
  const processes = await startProcesses(3);
  const intents = Array.from({ length: 5 }, keyed);
  cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 300 } }); // so that there is something to wait for

  const asked = await Promise.all(
    intents.flatMap((input) =>
      processes.flatMap((process) =>
        upTo(20).map(async () => ({ key: input.idempotencyKey, answer: await process.open(input) })),
      ),
    ),
  );

  for (const { guestId, idempotencyKey } of intents) {
    const answers = asked.filter(({ key }) => key === idempotencyKey).map(({ answer }) => answer);
    expect(answers).toHaveLength(60);
    expectOneSession(guestId, answers);
  }
  expect(cxone.count('create')).toBe(intents.length);
  expect(books.count('GuestSession')).toBe(intents.length);
  expect(books.count('AuditEntry', `"kind" = 'SESSION_INITIATION'`)).toBe(intents.length);
  expect(books.count('SessionEvent')).toBe(2 * intents.length);
  await expectSoundBooks();
  expect(await Promise.all(processes.map((process) => process.end()))).toEqual([0, 0, 0]);
  expect(processes.map(({ complaints }) => complaints)).toEqual(['', '', '']);
});

test('different intents from several processes at once leave one unbroken chain and log, and the cap holds', async () => {
  const processes = await startProcesses(2);
  const guestId = randomUUID();

  const answers = await Promise.all(
    upTo(60).map((n) =>
      processes[n % 2]!.open({ ...inputFor(n % 4 < 2 ? guestId : randomUUID()), idempotencyKey: `${n}` }),
    ),
  );

  expect(cxone.sessions(guestId)).toHaveLength(5);
  expect(answers.filter(({ code }) => code === null)).toHaveLength(30 + 5);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set([null, 'CAPACITY_EXCEEDED']));
  expect(books.count('AuditEntry')).toBe(60);
  await expectSoundBooks();
});

test('a duplicate whose deadline passes before the first one is done is told so, and when to come again', async () => {
  const patient = await startProcess();
  const hasty = await startProcess({ CREATE_DEADLINE_MS: '300' });
  const input = keyed();
  cxone.scenarios.add({ on: 'create', fault: { kind: 'slow', delayMs: 1_200 } });
  const first = patient.open(input);
  await eventually(() => cxone.count('create') === 1);

  const late = await hasty.open(input);

  expect(late).toMatchObject({
    code: 'IDEMPOTENCY_IN_FLIGHT',
    retryable: true,
    retryAfterSeconds: 1,
    sessionId: null,
    clientToken: null,
    replayed: false,
  });
  const { requestId, sessionId, clientToken } = await first;
  expect(late.requestId).not.toBe(requestId);
  expect(await hasty.open(input)).toMatchObject({ requestId, sessionId, clientToken, replayed: true, code: null });
  expect(cxone.count('create')).toBe(1);
  const ofLate = books.outside.all('SELECT * FROM "AuditEntry" WHERE "requestId" = ?', late.requestId);
  expect(ofLate).toMatchObject([
    { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: 'IDEMPOTENCY_IN_FLIGHT', attempts: 0 },
  ]);
  await expectSoundBooks();
});

test('what another process has left unknown is ended before another session is opened', async () => {
  const [one, other] = (await startProcesses(2)) as [UnlockedProcess, UnlockedProcess];
  const input = keyed();
  cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', times: 1 });
  const first = await one.open(input);
  expect(first).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: true });

  const answers = await Promise.all(upTo(10).map((n) => (n % 2 ? one : other).open(input)));

  expectOneSession(input.guestId, answers);
  expect(cxone.history(input.guestId).map(({ requestId }) => requestId)).toEqual([
    first.requestId,
    answers[0]?.requestId,
  ]);
  expect([cxone.count('create'), cxone.count('end')]).toEqual([2, 1]);
  await expectSoundBooks();
});

test('the key of a process that was killed is held until its lease is over, and then what it left is cleared up', async () => {
  const [dead, alive] = (await startProcesses(2)) as [UnlockedProcess, UnlockedProcess];
  const input = keyed();
  cxone.scenarios.add({ on: 'create', fault: { kind: 'hang' }, when: 'after', times: 1 });
  const lost = dead.open(input);
  await eventually(() => cxone.sessions(input.guestId).length === 1);
  dead.kill();
  await expect(lost).rejects.toThrow('SIGKILL');
  const held = books.outside.get<{ requestId: string; leaseUntil: number }>('SELECT * FROM "IdempotencyKey"')!;
  expect(held.leaseUntil).toBeGreaterThan(Date.now() + 10_000);
  const leaseUntil = Date.now() + 800;
  books.db.run('UPDATE "IdempotencyKey" SET "leaseUntil" = ?', leaseUntil);

  const answer = await alive.open(input);

  // Nothing of it was touched before.
  const looks = cxone.calls.filter(({ call, at }) => call === 'list' && at.getTime() >= leaseUntil);
  expect([looks.length, cxone.count('list')]).toEqual([2, 1 + 2]);
  expectOneSession(input.guestId, [answer]);
  expect(cxone.history(input.guestId)).toMatchObject([
    { requestId: held.requestId, endedAt: expect.any(Date) },
    { requestId: answer.requestId, endedAt: null },
  ]);
  const ofDead = books.outside.all(
    'SELECT * FROM "AuditEntry" WHERE "requestId" = ? ORDER BY "sequence"',
    held.requestId,
  );
  expect(ofDead).toMatchObject([
    { kind: 'SESSION_INITIATION', status: 'FAILED', errorCode: 'OUTCOME_UNKNOWN' },
    { kind: 'SESSION_RECONCILED', status: 'SUCCESS' },
    { kind: 'SESSION_ENDED', status: 'SUCCESS', actor: 'retry' },
  ]);
  await expectSoundBooks();
});
