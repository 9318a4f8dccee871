import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import { type OpenedDatabase, openDatabase } from '../../src/store/open-database.js';
import { PrismaSqliteReader } from '../../src/store/prisma-sqlite-adapter.js';
import type { SqlValue } from '../../src/store/sql-values.js';
import { MASTER_KEYS } from '../support/opened-connection.js';
import { closeWithWriter, writerOf } from './writer-of.js';

const directory = mkdtempSync(join(tmpdir(), 'adapter-'));
let database: OpenedDatabase;

function insert(table: string, row: Record<string, SqlValue>): void {
  const columns = Object.keys(row);
  writerOf(database).run(
    `INSERT INTO "${table}" (${columns.map((name) => `"${name}"`)}) VALUES (${columns.map(() => '?')})`,
    ...Object.values(row),
  );
}

const createdAt = new Date('2026-11-22T15:00:00.123Z');
const session = {
  id: 's1',
  callerName: 'widget',
  guestId: 'guest-1',
  crmId: null,
  channel: 'WHATSAPP',
  priority: 'HIGH',
  queueId: 'queue',
  languagePreference: 'en-US',
  fingerprintHmac: 'hmac',
  status: 'ACTIVE',
  createdAt,
  placeHeldUntil: new Date(8_640_000_000_000_000),
  durationMs: 12.625,
  attempts: 2,
  fraudScore: 0,
};
const entry = {
  timestamp: createdAt,
  requestId: 's1',
  kind: 'SESSION_INITIATION',
  status: 'SUCCESS',
  actor: 'widget',
  previousHash: '0',
};

beforeAll(async () => {
  database = await openDatabase(`file:${join(directory, 'test.db')}`, () => MASTER_KEYS);
});
beforeEach(() => {
  writerOf(database).exec('DELETE FROM "GuestSession"; DELETE FROM "WebhookDelivery"; DELETE FROM "MetricBucket"');
});
afterAll(async () => {
  await closeWithWriter(database);
  rmSync(directory, { recursive: true, force: true });
});

describe('what Prisma reads', () => {
  it('is what was written: dates, numbers, enums, nothing', async () => {
    insert('GuestSession', session);
    expect(await database.prisma.guestSession.findUnique({ where: { id: 's1' } })).toMatchObject({
      ...session,
      expiresAt: null,
      crmSync: 'DISABLED',
    });
  });

  it('may hold any text', async () => {
    const callerName = 'Zoë 🦊 "quoted" \'s; DROP TABLE\n日本語';
    insert('GuestSession', { ...session, callerName });
    expect(await database.prisma.guestSession.findMany({ where: { callerName } })).toMatchObject([{ callerName }]);
  });

  it('gives a whole number in a Float column as a number', async () => {
    insert('GuestSession', { ...session, durationMs: 5 });
    expect(await database.prisma.guestSession.findFirst()).toMatchObject({ durationMs: 5 });
  });

  it('gives booleans', async () => {
    insert('AuditEntry', { ...entry, sequence: 1, id: 'a1', hash: '1', crmSynced: true });
    insert('AuditEntry', { ...entry, sequence: 2, id: 'a2', hash: '2', crmSynced: false });
    insert('AuditEntry', { ...entry, sequence: 3, id: 'a3', hash: '3' });
    const entries = await database.prisma.auditEntry.findMany({ orderBy: { sequence: 'asc' } });
    expect(entries.map(({ crmSynced }) => crmSynced)).toEqual([true, false, null]);
    expect(await database.prisma.auditEntry.count({ where: { crmSynced: false } })).toBe(1);
  });

  it('is found by dates to the millisecond, before 1970 too', async () => {
    for (const minute of [new Date(-1), new Date(0), new Date(1)]) insert('MetricBucket', { minute, buckets: '{}' });
    const found = await database.prisma.metricBucket.findMany({
      where: { minute: { lt: new Date(1) } },
      orderBy: { minute: 'asc' },
    });
    expect(found.map(({ minute }) => minute)).toEqual([new Date(-1), new Date(0)]);
  });

  it('is found by enums, lists, floats and missing values', async () => {
    insert('GuestSession', session);
    const where = {
      channel: { in: ['SMS', 'WHATSAPP'] as ('SMS' | 'WHATSAPP')[] },
      durationMs: { gt: 12.6, lt: 12.7 },
      crmId: null,
      attempts: { gte: 2 },
    };
    expect(await database.prisma.guestSession.count({ where })).toBe(1);
    expect(await database.prisma.guestSession.count({ where: { ...where, status: 'ENDED' } })).toBe(0);
  });

  it('pages by keys, newest first', async () => {
    for (const id of ['a', 'b', 'c']) insert('GuestSession', { ...session, id });
    const page = await database.prisma.guestSession.findMany({
      where: { OR: [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: 'c' } }] },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: 1,
    });
    expect(page.map(({ id }) => id)).toEqual(['b']);
  });

  it('includes relations', async () => {
    const delivery = { id: 'd1', requestId: 's1', eventType: 'x', body: '{}', createdAt, nextAttemptAt: createdAt };
    insert('WebhookDelivery', delivery);
    insert('WebhookAttempt', { deliveryId: 'd1', number: 1, startedAt: createdAt, durationMs: 1.5, statusCode: 500 });
    const found = await database.prisma.webhookDelivery.findUnique({ where: { id: 'd1' }, include: { tries: true } });
    expect(found?.tries).toMatchObject([{ number: 1, startedAt: createdAt, durationMs: 1.5, statusCode: 500 }]);
  });

  it('counts and groups', async () => {
    insert('GuestSession', session);
    insert('GuestSession', { ...session, id: 's2', status: 'ENDED', durationMs: 0.375 });
    const groups = await database.prisma.guestSession.groupBy({
      by: ['status'],
      _count: true,
      orderBy: { status: 'asc' },
    });
    expect(groups).toMatchObject([
      { status: 'ACTIVE', _count: 1 },
      { status: 'ENDED', _count: 1 },
    ]);
    const { _avg, _max } = await database.prisma.guestSession.aggregate({
      _avg: { durationMs: true },
      _max: { createdAt: true },
    });
    expect([_avg.durationMs, _max.createdAt]).toEqual([6.5, createdAt]);
  });

  it('gives the values of raw expressions, and integers of any size', async () => {
    const rows = await database.prisma.$queryRaw`
      SELECT 9007199254740993 AS big, 1.5 AS real, 'x' AS text, x'00ff' AS bytes, NULL AS missing, ${createdAt} AS date, ${2 ** 40} AS wide`;
    expect(rows).toEqual([
      {
        big: 9007199254740993n,
        real: 1.5,
        text: 'x',
        bytes: new Uint8Array([0, 255]),
        missing: null,
        date: BigInt(createdAt.getTime()),
        wide: 2n ** 40n,
      },
    ]);
  });

  it('still works after more distinct queries than are kept prepared', async () => {
    for (let n = 0; n < 250; n++)
      expect(await database.prisma.$queryRawUnsafe(`SELECT ${n} AS n`)).toEqual([{ n: BigInt(n) }]);
  });
});

describe('Prisma beside the writer', () => {
  it('does not see, and does not wait for, what the writer has not committed', async () => {
    writerOf(database).begin();
    insert('GuestSession', session);
    expect(await database.prisma.guestSession.count()).toBe(0);
    writerOf(database).rollback();
    expect(await database.prisma.guestSession.count()).toBe(0);
  });

  it('sees what is committed at once', async () => {
    for (let i = 1; i <= 20; i++) {
      writerOf(database).begin();
      insert('GuestSession', { ...session, id: `s${i}` });
      writerOf(database).commit();
      expect(await database.prisma.guestSession.count()).toBe(i);
    }
  });

  it('goes on seeing what is committed after a query of its own failed', async () => {
    await expect(database.prisma.$queryRaw`SELECT json('{')`).rejects.toThrow(/malformed JSON/);
    insert('GuestSession', session);
    expect(await database.prisma.guestSession.count()).toBe(1);
  });
});

describe('a write through Prisma', () => {
  const refusal = /Prisma only reads this database/;
  const minute = new Date(0);

  it('is refused, however it is asked for', async () => {
    insert('MetricBucket', { minute, buckets: 'before' });
    const { metricBucket } = database.prisma;
    await expect(metricBucket.create({ data: { minute: new Date(1), buckets: '' } })).rejects.toThrow(refusal);
    await expect(metricBucket.createMany({ data: [{ minute: new Date(1), buckets: '' }] })).rejects.toThrow(refusal);
    await expect(metricBucket.update({ where: { minute }, data: { buckets: '' } })).rejects.toThrow(refusal);
    await expect(metricBucket.updateMany({ data: { buckets: '' } })).rejects.toThrow(refusal);
    await expect(metricBucket.deleteMany()).rejects.toThrow(refusal);
    await expect(
      metricBucket.upsert({ where: { minute }, create: { minute, buckets: '' }, update: { buckets: '' } }),
    ).rejects.toThrow(refusal);
    await expect(database.prisma.$executeRaw`DELETE FROM "MetricBucket"`).rejects.toThrow(refusal);
    await expect(database.prisma.$queryRaw`DELETE FROM "MetricBucket" RETURNING *`).rejects.toThrow(refusal);
    expect(await metricBucket.findMany()).toEqual([{ minute, buckets: 'before' }]);
  });

  it('is refused as a transaction too', async () => {
    const { metricBucket } = database.prisma;
    await expect(database.prisma.$transaction([metricBucket.count(), metricBucket.count()])).rejects.toThrow(refusal);
    await expect(database.prisma.$transaction((tx) => tx.metricBucket.count())).rejects.toThrow(refusal);
  });

  it('stays refused after a statement tried to switch that off', async () => {
    await database.prisma.$queryRaw`PRAGMA query_only = OFF`;
    await expect(database.prisma.$queryRaw`DELETE FROM "MetricBucket" RETURNING *`).rejects.toThrow(refusal);
  });
});

describe('what goes wrong', () => {
  it('is told with the name of the table or column that is missing', async () => {
    await expect(database.prisma.$queryRaw`SELECT * FROM nowhere`).rejects.toThrow(/nowhere/);
    await expect(database.prisma.$queryRaw`SELECT nothing FROM "GuestSession"`).rejects.toThrow(/nothing/);
    await expect(database.prisma.$queryRaw`SELEKT`).rejects.toThrow(/syntax error/);
  });

  it('has the code that Prisma gives it: a table that is not there is P2021', async () => {
    const writer = writerOf(database);
    writer.exec('ALTER TABLE "MetricBucket" RENAME TO "Elsewhere"');
    await expect(database.prisma.metricBucket.count()).rejects.toMatchObject({ code: 'P2021' });
    writer.exec('ALTER TABLE "Elsewhere" RENAME TO "MetricBucket"');
    expect(await database.prisma.metricBucket.count()).toBe(0);
  });

  it('is a value that is no valid enum or does not fit its type', async () => {
    insert('GuestSession', { ...session, channel: 'PIGEON' });
    await expect(database.prisma.guestSession.findFirst()).rejects.toThrow(/PIGEON/);
  });

  it('is a search for text with a NUL, which the driver would cut short', async () => {
    insert('GuestSession', session);
    await expect(database.prisma.guestSession.findMany({ where: { id: 's1\u0000x' } })).rejects.toThrow(/NUL/);
  });

  it('is a file that is not there', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaSqliteReader(join(directory, 'missing.db')) });
    await expect(prisma.guestSession.count()).rejects.toThrow(/unable to open database file/);
    await prisma.$disconnect();
  });
});
