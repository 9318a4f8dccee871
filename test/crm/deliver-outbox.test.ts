import { describe, expect, it, onTestFinished } from 'vitest';
import { openSession } from '../store/ledger.js';
import { eventually } from '../support/eventually.js';
import { inStatus, newWorker, sessionIds, setUp, upTo } from './worker.js';

describe('the outbox worker', () => {
  it('sends what is committed at once, and says that it was taken', async () => {
    const { books, crm, worker } = await setUp();
    await worker.start();
    const { closed } = await openSession(books);
    await eventually(() => inStatus(books, 'DELIVERED') === 1);
    expect(sessionIds(crm)).toEqual([closed.session?.sessionId]);
    const [delivery] = books.outside.all<{ id: string; body: string }>('SELECT * FROM "WebhookDelivery"');
    expect(crm.received).toMatchObject([{ rawBody: delivery?.body, headers: { 'webhook-id': delivery?.id } }]);
    expect(books.outside.all('SELECT "number", "statusCode", "error" FROM "WebhookAttempt"')).toEqual([
      { number: 1, statusCode: 200, error: null },
    ]);
    expect(books.count('GuestSession', `"crmSync" = 'DELIVERED'`)).toBe(1);
  });

  it('sends each of many exactly once while nothing goes wrong', async () => {
    const { books, crm, worker, complaints } = await setUp();
    await worker.start();
    await Promise.all(upTo(120).map(() => openSession(books)));
    await eventually(() => inStatus(books, 'DELIVERED') === 120);
    expect(crm.count('webhook')).toBe(120);
    expect(new Set(sessionIds(crm)).size).toBe(120);
    expect(complaints).toEqual([]);
  });

  it('tries again by its schedule, with the same id and bytes, until it is taken', async () => {
    const { books, crm, worker, complaints } = await setUp({ retryScheduleSeconds: [0, 0, 0] });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 503 }, times: 1 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'reset' }, times: 1 });
    await worker.start();
    await openSession(books);
    await eventually(() => inStatus(books, 'DELIVERED') === 1);
    expect(books.outside.all('SELECT "number", "statusCode", "error" FROM "WebhookAttempt" ORDER BY "number"')).toEqual(
      [
        { number: 1, statusCode: 503, error: 'status 503' },
        { number: 2, statusCode: null, error: 'no answer (ECONNRESET)' },
        { number: 3, statusCode: 200, error: null },
      ],
    );
    expect(crm.count('webhook')).toBe(3);
    expect(complaints.map(({ level, fields }) => [level, fields.verdict, fields.error])).toEqual([
      ['warn', 'RETRY', 'status 503'],
      ['warn', 'RETRY', 'no answer (ECONNRESET)'],
    ]);
  });

  it('keeps to the time of its schedule', async () => {
    const { books, crm, worker } = await setUp({ retryScheduleSeconds: [3_600] });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 }, times: 1 });
    await worker.start();
    await openSession(books);
    await eventually(() => books.count('WebhookAttempt') === 1);
    const delivery = books.outside.get<{ nextAttemptAt: number; status: string }>('SELECT * FROM "WebhookDelivery"');
    expect(delivery?.status).toBe('PENDING');
    expect(delivery?.nextAttemptAt).toBeGreaterThan(Date.now() + 3_500_000);
    books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = 0'); // the time has come
    await eventually(() => inStatus(books, 'DELIVERED') === 1);
  });

  it('gives up when the schedule is used up, and says so everywhere', async () => {
    const { books, crm, worker, complaints } = await setUp({ retryScheduleSeconds: [0] });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'status', status: 500 } });
    await worker.start();
    await openSession(books);
    await eventually(() => inStatus(books, 'DEAD') === 1);
    expect(crm.count('webhook')).toBe(2);
    expect(books.outside.get('SELECT * FROM "WebhookDelivery"')).toMatchObject({
      attempts: 2,
      lastError: 'status 500',
    });
    expect(books.count('GuestSession', `"crmSync" = 'FAILED'`)).toBe(1);
    expect(books.count('SessionEvent', `"type" = 'SESSION_CRM_SYNC_FAILED'`)).toBe(1);
    expect(books.count('AuditEntry', `"kind" = 'CRM_SYNC' AND "status" = 'FAILED'`)).toBe(1);
    expect(complaints.map(({ fields }) => fields.verdict)).toEqual(['RETRY', 'DEAD']);
  });

  it('is held up by no delivery: others go on while some hang', async () => {
    const { books, crm, worker } = await setUp({ concurrency: 3 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'hang' }, times: 2 });
    await worker.start();
    await Promise.all(upTo(20).map(() => openSession(books)));
    await eventually(() => inStatus(books, 'DELIVERED') === 18);
    await crm.refuseConnections(); // lets go of the two
  });

  it('has no more under way at once than it may', async () => {
    const { books, crm, worker } = await setUp({ concurrency: 4 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'slow', delayMs: 30 } });
    await worker.start();
    let most = 0;
    const opening = Promise.all(upTo(40).map(() => openSession(books)));
    await eventually(() => {
      most = Math.max(most, crm.calls.filter(({ status }) => status === null).length);
      return inStatus(books, 'DELIVERED') === 40;
    });
    await opening;
    expect(most).toBe(4);
    // The same from the tries' own times: none began while four others were under way.
    const tries = books.outside.all<{ startedAt: number; durationMs: number }>('SELECT * FROM "WebhookAttempt"');
    for (const { startedAt } of tries) {
      const during = tries.filter(
        (other) => other.startedAt <= startedAt && other.startedAt + other.durationMs - 2 > startedAt,
      );
      expect(during.length).toBeLessThanOrEqual(4);
    }
  });

  it('sends what an earlier process has left behind', async () => {
    const { books, crm, worker } = await setUp();
    for (let i = 0; i < 3; i++) await openSession(books); // nobody is listening yet
    expect(inStatus(books, 'PENDING')).toBe(3);
    await worker.start();
    await eventually(() => inStatus(books, 'DELIVERED') === 3);
    expect(crm.count('webhook')).toBe(3);
  });

  it('sends all that is due, however much it is, without waiting for its next look', async () => {
    const { books, worker } = await setUp({ pollIntervalMs: 1_000 });
    await Promise.all(upTo(600).map(() => openSession(books)));
    await worker.start();
    await eventually(() => inStatus(books, 'DELIVERED') === 600, 4_500);
  });

  it('takes more than it can keep in memory, and sends all of it', async () => {
    const { books, crm, worker } = await setUp({ concurrency: 64 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'hang' }, times: 64 });
    await worker.start();
    await Promise.all(upTo(1_100).map(() => openSession(books)));
    expect(books.count('WebhookDelivery', '"leaseToken" IS NULL')).toBeGreaterThan(0);
    await crm.refuseConnections();
    await crm.acceptConnections();
    await eventually(() => inStatus(books, 'DELIVERED') === 1_100, 15_000);
    expect(new Set(sessionIds(crm)).size).toBe(1_100);
  });

  it('sends again what it could not write down', async () => {
    const { books, crm, worker, complaints } = await setUp();
    await worker.start();
    books.db.exec(`CREATE TRIGGER "full" BEFORE INSERT ON "WebhookAttempt" BEGIN SELECT RAISE(ABORT, 'no more'); END`);
    await openSession(books);
    await eventually(() => complaints.length > 0);
    expect(complaints).toMatchObject([
      { level: 'error', fields: { err: { message: expect.stringContaining('no more') } } },
    ]);
    expect(inStatus(books, 'PENDING')).toBe(1);
    books.db.exec('DROP TRIGGER "full"');
    books.db.run('UPDATE "WebhookDelivery" SET "nextAttemptAt" = 0'); // the lease has run out
    await eventually(() => inStatus(books, 'DELIVERED') === 1);
    const [first, second] = crm.received;
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(second?.rawBody).toBe(first?.rawBody);
  });
});

describe('disposing of the outbox worker', () => {
  it('finishes what is under way and hands the rest back, due at once', async () => {
    const { books, crm, http, worker } = await setUp({ concurrency: 2 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'slow', delayMs: 100 }, times: 2 });
    await worker.start();
    await Promise.all(upTo(10).map(() => openSession(books)));
    await eventually(() => crm.count('webhook') === 2);
    await worker[Symbol.asyncDispose]();
    expect([inStatus(books, 'DELIVERED'), inStatus(books, 'PENDING')]).toEqual([2, 8]);
    expect(
      books.count(
        'WebhookDelivery',
        `"leaseToken" IS NULL AND "nextAttemptAt" <= ${Date.now()} AND "status" = 'PENDING'`,
      ),
    ).toBe(8);
    expect(crm.count('webhook')).toBe(2);

    const next = newWorker(books, crm, http, {});
    onTestFinished(() => next[Symbol.asyncDispose]());
    await next.start();
    await eventually(() => inStatus(books, 'DELIVERED') === 10);
    expect(crm.count('webhook')).toBe(10);
  });

  it('waits for a CRM that hangs no longer than its timeout, and loses nothing', async () => {
    const { books, crm, worker } = await setUp({ timeoutMs: 150 });
    crm.scenarios.add({ on: 'webhook', fault: { kind: 'hang' } });
    await worker.start();
    await openSession(books);
    await eventually(() => crm.count('webhook') === 1);
    await worker[Symbol.asyncDispose]();
    expect(books.outside.get('SELECT * FROM "WebhookDelivery"')).toMatchObject({
      status: 'PENDING',
      attempts: 1,
      leaseToken: null,
    });
  });

  it('hands back also what is committed afterwards', async () => {
    const { books, crm, worker } = await setUp();
    await worker.start();
    await worker[Symbol.asyncDispose]();
    await openSession(books);
    await eventually(() => books.count('WebhookDelivery', '"leaseToken" IS NULL') === 1);
    expect(crm.count('webhook')).toBe(0);
  });

  it('may happen before it was started, and twice', async () => {
    const { worker } = await setUp();
    await worker[Symbol.asyncDispose]();
    await worker[Symbol.asyncDispose]();
  });
});
