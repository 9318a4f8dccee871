import { type ErrorCode, PipelineStage } from '../errors.js';
import type { AuditStatus } from '../store/audit-chain.js';
import { averageMs, type LatencyHistogram, latencyAt } from '../store/latency-histogram.js';
import { addCounts, emptyCounts, type MetricCounts, MINUTE_MS } from '../store/metric-bucket.js';
import type { MetricSlice } from '../store/metrics-reader.js';
import type { LatencyPercentiles, OutcomeCount, SessionMetrics } from './metrics-types.js';

const MAX_POINTS = 240;

/** The shortest whole number of minutes that cuts the range into at most 240 slices. */
export const sliceLengthMs = (from: Date, to: Date): number =>
  Math.ceil((to.getTime() - from.getTime()) / (MAX_POINTS - 1) / MINUTE_MS) * MINUTE_MS;

/** Adds up slices into what the API answers. */
export function summarise(measured: {
  readonly from: Date;
  readonly to: Date;
  readonly slices: readonly MetricSlice[];
  readonly activeSessions: number;
  readonly pending: number;
}): SessionMetrics {
  const { from, to, slices, activeSessions, pending } = measured;
  const sum = emptyCounts();
  for (const { counts } of slices) addCounts(sum, counts);
  const outcomes = outcomesOf(sum);
  const totals = totalsOf(outcomes);
  return {
    from,
    to,
    ...totals,
    averageLatencyMs: averageMs(sum.latency),
    successRate: percentage(totals.successfulRequests, totals.totalRequests),
    reliabilityRate: percentage(totals.successfulRequests, totals.totalRequests - totals.rejectedRequests),
    latency: percentilesOf(sum.latency),
    stages: Object.values(PipelineStage).flatMap((stage) => {
      const histogram = sum.stages[stage];
      if (!histogram) return [];
      return [{ stage, count: histogram.count, averageMs: averageMs(histogram), latency: percentilesOf(histogram) }];
    }),
    outcomes,
    activeSessions,
    crm: { delivered: sum.crm.delivered, failed: sum.crm.dead, pending },
    series: slices.map((slice) => {
      const { totalRequests, successfulRequests } = totalsOf(outcomesOf(slice.counts));
      return { from: slice.from, totalRequests, successfulRequests, averageLatencyMs: averageMs(slice.counts.latency) };
    }),
  };
}

const outcomesOf = ({ outcomes }: MetricCounts): OutcomeCount[] =>
  Object.entries(outcomes)
    .map(([outcome, count]) => {
      const [status, errorCode] = outcome.split('/');
      return { status: status as AuditStatus, errorCode: (errorCode as ErrorCode | undefined) ?? null, count };
    })
    .sort((a, b) => b.count - a.count);

function totalsOf(outcomes: readonly OutcomeCount[]) {
  const count = (wanted?: AuditStatus) =>
    outcomes.reduce((sum, { status, count }) => sum + (wanted === undefined || status === wanted ? count : 0), 0);
  return {
    totalRequests: count(),
    successfulRequests: count('SUCCESS'),
    rejectedRequests: count('REJECTED'),
    failedRequests: count('FAILED'),
  };
}

const percentage = (part: number, whole: number): number | null => (whole === 0 ? null : (part / whole) * 100);

function percentilesOf(histogram: LatencyHistogram): LatencyPercentiles | null {
  if (histogram.count === 0) return null;
  const at = (quantile: number) => latencyAt(histogram, quantile) ?? 0;
  return { p50Ms: at(0.5), p90Ms: at(0.9), p95Ms: at(0.95), p99Ms: at(0.99), maxMs: histogram.maxMs };
}
