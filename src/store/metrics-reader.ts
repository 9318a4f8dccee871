import type { PrismaClient } from '../generated/prisma/client.js';
import { WEBHOOK_EVENT_TYPES } from '../guest-session/session-event.js';
import { addCounts, emptyCounts, type MetricCounts, minuteOf } from './metric-bucket.js';

const READ_BATCH_SIZE = 1_000;

/** A stretch of time, and what it adds up to. */
export interface MetricSlice {
  readonly from: Date;
  readonly counts: MetricCounts;
}

/** Reads metrics: sums of minutes, so that the cost depends on the time asked for and not on how much happened. */
export class MetricsReader {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /**
   * Adds up the minutes of a range in slices of equal length; slices in which nothing happened are left out.
   * @param sliceMs a whole number of minutes, in milliseconds
   */
  async slices(from: Date, to: Date, sliceMs: number): Promise<MetricSlice[]> {
    const slices = new Map<number, MetricCounts>();
    let after = new Date(minuteOf(from) - 1);
    for (;;) {
      const rows = await this.#prisma.metricBucket.findMany({
        where: { minute: { gt: after, lt: to } },
        orderBy: { minute: 'asc' },
        take: READ_BATCH_SIZE,
      });
      for (const { minute, buckets } of rows) {
        const start = Math.floor(minute.getTime() / sliceMs) * sliceMs;
        const counts = slices.get(start) ?? emptyCounts();
        slices.set(start, counts);
        addCounts(counts, JSON.parse(buckets) as MetricCounts);
        after = minute;
      }
      if (rows.length < READ_BATCH_SIZE) break;
    }
    return [...slices].map(([start, counts]) => ({ from: new Date(start), counts }));
  }

  async pendingDeliveries(): Promise<number> {
    return this.#prisma.webhookDelivery.count({
      where: { eventType: { in: [...WEBHOOK_EVENT_TYPES] }, status: 'PENDING' },
    });
  }
}
