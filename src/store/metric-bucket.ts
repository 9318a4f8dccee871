import type { PipelineStage } from '../errors.js';
import type { AuditStatus } from './audit-chain.js';
import { addHistogram, emptyHistogram, type LatencyHistogram, recordLatency } from './latency-histogram.js';

export const MINUTE_MS = 60_000;

/** What one minute, or a longer time, adds up to. This is the JSON of a `MetricBucket` row. */
export interface MetricCounts {
  /** `SUCCESS`, or status and error code: `REJECTED/FRAUD_BLOCKED`. */
  outcomes: Record<string, number>;
  latency: LatencyHistogram;
  stages: Partial<Record<PipelineStage, LatencyHistogram>>;
  crm: { delivered: number; dead: number };
}

/** One thing to count. */
export type Measurement =
  | {
      readonly of: 'attempt';
      readonly at: Date;
      readonly status: AuditStatus;
      readonly errorCode: string | null;
      readonly durationMs: number;
      readonly stageDurationsMs: ReadonlyMap<PipelineStage, number>;
    }
  | { readonly of: 'crm'; readonly at: Date; readonly delivered: boolean };

export const emptyCounts = (): MetricCounts => ({
  outcomes: {},
  latency: emptyHistogram(),
  stages: {},
  crm: { delivered: 0, dead: 0 },
});

export const minuteOf = (at: Date): number => Math.floor(at.getTime() / MINUTE_MS) * MINUTE_MS;

export function countMeasurement(counts: MetricCounts, measurement: Measurement): void {
  if (measurement.of === 'crm') {
    counts.crm[measurement.delivered ? 'delivered' : 'dead'] += 1;
    return;
  }
  const { status, errorCode, durationMs, stageDurationsMs } = measurement;
  const outcome = errorCode === null ? status : `${status}/${errorCode}`;
  counts.outcomes[outcome] = (counts.outcomes[outcome] ?? 0) + 1;
  recordLatency(counts.latency, durationMs);
  for (const [stage, ms] of stageDurationsMs) recordLatency(stageOf(counts, stage), ms);
}

function stageOf(counts: MetricCounts, stage: PipelineStage): LatencyHistogram {
  counts.stages[stage] ??= emptyHistogram();
  return counts.stages[stage];
}

export function addCounts(into: MetricCounts, other: MetricCounts): void {
  for (const [outcome, count] of Object.entries(other.outcomes)) {
    into.outcomes[outcome] = (into.outcomes[outcome] ?? 0) + count;
  }
  addHistogram(into.latency, other.latency);
  for (const [stage, histogram] of Object.entries(other.stages)) {
    addHistogram(stageOf(into, stage as PipelineStage), histogram);
  }
  into.crm.delivered += other.crm.delivered;
  into.crm.dead += other.crm.dead;
}
