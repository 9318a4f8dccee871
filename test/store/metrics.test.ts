import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PipelineStage } from '../../src/errors.js';
import {
  addHistogram,
  averageMs,
  emptyHistogram,
  type LatencyHistogram,
  latencyAt,
  recordLatency,
} from '../../src/store/latency-histogram.js';
import { LedgerWriter } from '../../src/store/ledger-writer.js';
import {
  addCounts,
  countMeasurement,
  emptyCounts,
  type Measurement,
  MINUTE_MS,
} from '../../src/store/metric-bucket.js';
import { MetricsReader } from '../../src/store/metrics-reader.js';
import { MinuteCounter } from '../../src/store/minute-counter.js';
import { openBooks } from './ledger.js';

const latencies = fc.array(fc.double({ min: 0.001, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 300 });
const quantile = fc.constantFrom(0, 0.01, 0.5, 0.9, 0.95, 0.99, 1);

const histogramOf = (values: readonly number[]): LatencyHistogram => {
  const histogram = emptyHistogram();
  for (const ms of values) recordLatency(histogram, ms);
  return histogram;
};

describe('a latency histogram', () => {
  it('gives every percentile within 5 % of the exact one', () => {
    fc.assert(
      fc.property(latencies, quantile, (values, q) => {
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1]!;
        const estimate = latencyAt(histogramOf(values), q)!;
        expect(Math.abs(estimate - exact) / exact).toBeLessThanOrEqual(0.05);
      }),
    );
  });

  it('knows count, sum and maximum exactly', () => {
    fc.assert(
      fc.property(latencies, (values) => {
        const { count, sumMs, maxMs } = histogramOf(values);
        expect([count, maxMs]).toEqual([values.length, Math.max(...values)]);
        expect(sumMs).toBeCloseTo(
          values.reduce((sum, ms) => sum + ms, 0),
          3,
        );
      }),
    );
  });

  it('adds up to the same whether it was recorded in one or in parts', () => {
    fc.assert(
      fc.property(fc.array(latencies, { maxLength: 5 }), (parts) => {
        const whole = histogramOf(parts.flat());
        const sum = emptyHistogram();
        for (const part of parts) addHistogram(sum, histogramOf(part));
        expect({ ...sum, sumMs: 0 }).toEqual({ ...whole, sumMs: 0 });
        expect(sum.sumMs).toBeCloseTo(whole.sumMs, 3);
      }),
    );
  });

  it('survives JSON', () => {
    const histogram = histogramOf([0, 0.2, 1, 1.5, 800, 64]);
    expect(JSON.parse(JSON.stringify(histogram))).toEqual(histogram);
    expect(latencyAt(JSON.parse(JSON.stringify(histogram)) as LatencyHistogram, 0.5)).toBe(latencyAt(histogram, 0.5));
  });

  it('takes zero, and has nothing to say when nothing was recorded', () => {
    expect(latencyAt(histogramOf([0, 0, 0]), 0.5)).toBe(0);
    expect(latencyAt(emptyHistogram(), 0.5)).toBeNull();
    expect(averageMs(emptyHistogram())).toBeNull();
    expect(averageMs(histogramOf([1, 2]))).toBe(1.5);
  });

  it('never names a latency above the longest', () => {
    expect(latencyAt(histogramOf([8.01]), 0.99)).toBe(8.01);
  });
});

const NOON = new Date('2026-11-22T12:00:00Z').getTime();
const attemptAt = (at: number, durationMs = 100, errorCode: string | null = null): Measurement => ({
  of: 'attempt',
  at: new Date(at),
  status: errorCode === null ? 'SUCCESS' : 'REJECTED',
  errorCode,
  durationMs,
  stageDurationsMs: new Map<PipelineStage, number>([
    ['FRAUD', 1],
    ['CREATE', durationMs / 2],
  ]),
});

const countsOf = (measurements: readonly Measurement[]) => {
  const counts = emptyCounts();
  for (const measurement of measurements) countMeasurement(counts, measurement);
  return counts;
};

describe('metric buckets', () => {
  it('count outcomes, latency per stage and what became of the webhooks', () => {
    const counts = countsOf([
      attemptAt(NOON),
      attemptAt(NOON, 300),
      attemptAt(NOON, 5, 'FRAUD_BLOCKED'),
      { of: 'crm', at: new Date(NOON), delivered: true },
      { of: 'crm', at: new Date(NOON), delivered: false },
    ]);
    expect(counts).toMatchObject({
      outcomes: { SUCCESS: 2, 'REJECTED/FRAUD_BLOCKED': 1 },
      latency: { count: 3, sumMs: 405, maxMs: 300 },
      stages: { FRAUD: { count: 3, sumMs: 3 }, CREATE: { count: 3, sumMs: 202.5, maxMs: 150 } },
      crm: { delivered: 1, dead: 1 },
    });
  });

  it('add up to the same in any split', () => {
    const all = [attemptAt(NOON), attemptAt(NOON, 64, 'RATE_LIMITED'), attemptAt(NOON, 2 ** 7), attemptAt(NOON, 0)];
    const sum = emptyCounts();
    addCounts(sum, countsOf(all.slice(0, 1)));
    addCounts(sum, countsOf(all.slice(1)));
    expect(sum).toEqual(countsOf(all));
  });
});

describe('the minutes in the books', () => {
  const openMetrics = async () => {
    const books = await openBooks();
    const count = (...measurements: Measurement[]) =>
      books.writer.submit((transaction) => transaction.measurements.push(...measurements));
    return { books, count, metrics: new MetricsReader(books.prisma) };
  };
  const between = (from: number, to: number) => [new Date(from), new Date(to)] as const;

  it('are sums of all groups that wrote into them', async () => {
    const { books, count, metrics } = await openMetrics();
    const all = Array.from({ length: 50 }, (_, i) => attemptAt(NOON + i * 10, i + 1));
    for (let i = 0; i < 50; i += 10) await count(...all.slice(i, i + 10));
    const [slice] = await metrics.slices(...between(NOON, NOON + 1), MINUTE_MS);
    expect(slice).toEqual({ from: new Date(NOON), counts: countsOf(all) });
    expect(books.count('MetricBucket')).toBe(1);
  });

  it('survive a restart of the writer', async () => {
    const { books, count, metrics } = await openMetrics();
    await count(attemptAt(NOON, 10));
    await books.writer[Symbol.asyncDispose]();
    const next = new LedgerWriter(books.db, books.vault, new MinuteCounter(), []);
    await next.submit((transaction) => transaction.measurements.push(attemptAt(NOON + 59_999, 20)));
    const [slice] = await metrics.slices(...between(NOON, NOON + 1), MINUTE_MS);
    expect(slice?.counts).toEqual(countsOf([attemptAt(NOON, 10), attemptAt(NOON, 20)]));
  });

  it('are right also when measurements come late, for minutes that are no longer at hand', async () => {
    const { count, metrics } = await openMetrics();
    const order = [0, 1, 2, 3, 0, 5, 1, 0, 3, 3, 0];
    for (const minute of order) await count(attemptAt(NOON + minute * MINUTE_MS));
    await count(...order.map((minute) => attemptAt(NOON + minute * MINUTE_MS)));
    const slices = await metrics.slices(...between(NOON, NOON + 10 * MINUTE_MS), MINUTE_MS);
    expect(slices.map(({ from, counts }) => [(from.getTime() - NOON) / MINUTE_MS, counts.outcomes.SUCCESS])).toEqual([
      [0, 8],
      [1, 4],
      [2, 2],
      [3, 6],
      [5, 2],
    ]);
  });

  it('come in slices of the length asked for, from the first whole minute to before the end', async () => {
    const { count, metrics } = await openMetrics();
    await count(...Array.from({ length: 60 }, (_, minute) => attemptAt(NOON + minute * MINUTE_MS)));
    const slices = await metrics.slices(
      ...between(NOON + 5 * MINUTE_MS + 30_000, NOON + 30 * MINUTE_MS),
      10 * MINUTE_MS,
    );
    expect(slices.map(({ from, counts }) => [(from.getTime() - NOON) / MINUTE_MS, counts.latency.count])).toEqual([
      [0, 5],
      [10, 10],
      [20, 10],
    ]);
  });

  it('are all read, also when they are more than one batch', async () => {
    const { count, metrics } = await openMetrics();
    const minutes = 2_345;
    for (let i = 0; i < minutes; i += 500) {
      await count(
        ...Array.from({ length: Math.min(500, minutes - i) }, (_, n) => attemptAt(NOON + (i + n) * MINUTE_MS)),
      );
    }
    const slices = await metrics.slices(...between(NOON, NOON + minutes * MINUTE_MS), 60 * MINUTE_MS);
    expect(slices.reduce((sum, { counts }) => sum + counts.latency.count, 0)).toBe(minutes);
    expect(slices).toHaveLength(40);
  });
});
