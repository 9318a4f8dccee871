import { describe, expect, it } from 'vitest';
import { sliceLengthMs, summarise } from '../../src/graphql/summarise-metrics.js';
import { countMeasurement, emptyCounts, type Measurement } from '../../src/store/metric-bucket.js';

const from = new Date('2026-01-01T00:00:00Z');
const to = new Date('2026-01-02T00:00:00Z');

const attempt = (status: 'SUCCESS' | 'REJECTED' | 'FAILED', durationMs: number, errorCode: string | null = null) =>
  ({
    of: 'attempt',
    at: from,
    status,
    errorCode,
    durationMs,
    stageDurationsMs: new Map([['VALIDATE', durationMs / 10] as const]),
  }) satisfies Measurement;

function slice(start: Date, ...measurements: Measurement[]) {
  const counts = emptyCounts();
  for (const measurement of measurements) countMeasurement(counts, measurement);
  return { from: start, counts };
}

describe('the metrics', () => {
  it('are null, and not zero, where nothing happened', () => {
    expect(summarise({ from, to, slices: [], activeSessions: 0, pending: 0 })).toEqual({
      from,
      to,
      totalRequests: 0,
      successfulRequests: 0,
      rejectedRequests: 0,
      failedRequests: 0,
      averageLatencyMs: null,
      successRate: null,
      reliabilityRate: null,
      latency: null,
      stages: [],
      outcomes: [],
      activeSessions: 0,
      crm: { delivered: 0, failed: 0, pending: 0 },
      series: [],
    });
  });

  it('add up what happened, however it is cut', () => {
    const later = new Date('2026-01-01T12:00:00Z');
    const metrics = summarise({
      from,
      to,
      slices: [
        slice(
          from,
          attempt('SUCCESS', 100),
          attempt('SUCCESS', 300),
          attempt('REJECTED', 10, 'FRAUD_BLOCKED'),
          { of: 'crm', at: from, delivered: true },
          { of: 'crm', at: from, delivered: false },
        ),
        slice(
          later,
          attempt('SUCCESS', 200),
          attempt('REJECTED', 10, 'FRAUD_BLOCKED'),
          attempt('REJECTED', 10, 'CAPACITY_EXCEEDED'),
          attempt('FAILED', 1000, 'CXONE_UNAVAILABLE'),
          attempt('FAILED', 370),
          { of: 'crm', at: later, delivered: true },
        ),
      ],
      activeSessions: 3,
      pending: 2,
    });

    expect(metrics).toMatchObject({
      totalRequests: 8,
      successfulRequests: 3,
      rejectedRequests: 3,
      failedRequests: 2,
      averageLatencyMs: 250,
      successRate: 37.5,
      reliabilityRate: 60,
      activeSessions: 3,
      crm: { delivered: 2, failed: 1, pending: 2 },
      stages: [{ stage: 'VALIDATE', count: 8, averageMs: expect.closeTo(25) }],
      series: [
        { from, totalRequests: 3, successfulRequests: 2, averageLatencyMs: expect.closeTo(410 / 3) },
        { from: later, totalRequests: 5, successfulRequests: 1, averageLatencyMs: 318 },
      ],
    });
    expect(metrics.outcomes.slice(0, 2)).toEqual([
      { status: 'SUCCESS', errorCode: null, count: 3 },
      { status: 'REJECTED', errorCode: 'FRAUD_BLOCKED', count: 2 },
    ]);
    expect(metrics.outcomes).toHaveLength(5);
    expect(metrics.outcomes).toContainEqual({ status: 'FAILED', errorCode: null, count: 1 });
  });

  it('have no reliability where our rules refused everything', () => {
    const metrics = summarise({
      from,
      to,
      slices: [slice(from, attempt('REJECTED', 10, 'FRAUD_BLOCKED'))],
      activeSessions: 0,
      pending: 0,
    });

    expect([metrics.successRate, metrics.reliabilityRate]).toEqual([0, null]);
  });

  it('give percentiles that are at most 5 % off, in order, and an exact longest', () => {
    const durations = Array.from({ length: 1_000 }, (_, index) => index + 1);
    const slices = [slice(from, ...durations.map((ms) => attempt('SUCCESS', ms)))];
    const { latency } = summarise({ from, to, slices, activeSessions: 0, pending: 0 });

    for (const [percentile, exact] of [
      [latency?.p50Ms, 500],
      [latency?.p90Ms, 900],
      [latency?.p95Ms, 950],
      [latency?.p99Ms, 990],
    ] as const) {
      expect(Math.abs(percentile! / exact - 1), `${percentile} for ${exact}`).toBeLessThan(0.05);
    }
    expect(latency?.maxMs).toBe(1000);
  });

  it('list the stages in the order of the pipeline', () => {
    const counts = emptyCounts();
    countMeasurement(counts, {
      ...attempt('SUCCESS', 100),
      stageDurationsMs: new Map([
        ['CLOSE', 1],
        ['CREATE', 2],
        ['FRAUD', 3],
        ['VALIDATE', 4],
      ]),
    });
    const { stages } = summarise({ from, to, slices: [{ from, counts }], activeSessions: 0, pending: 0 });

    expect(stages.map(({ stage }) => stage)).toEqual(['VALIDATE', 'FRAUD', 'CREATE', 'CLOSE']);
  });

  it.each([
    [1, 1],
    [60, 1],
    [239, 1],
    [240, 2],
    [24 * 60, 7],
    [31 * 24 * 60, 187],
  ])('cut %i minutes into slices of %i', (minutes, expected) => {
    const lengthMs = sliceLengthMs(from, new Date(from.getTime() + minutes * 60_000));

    expect(lengthMs).toBe(expected * 60_000);
    // Slices lie on a fixed grid, so that a range can touch one more than fit into it.
    expect(minutes / expected + 1).toBeLessThanOrEqual(240);
  });
});
