/** Buckets to a doubling of the value: OpenTelemetry's exponential histogram at scale 3, at most 4.5 % off. */
const BUCKETS_PER_DOUBLING = 8;

/** Latencies in milliseconds, in a form that can be added up; as JSON it is what the store keeps. */
export interface LatencyHistogram {
  count: number;
  sumMs: number;
  maxMs: number;
  /** Bucket index → count; bucket i holds 2^(i/8) < ms ≤ 2^((i+1)/8). */
  buckets: Record<string, number>;
}

export const emptyHistogram = (): LatencyHistogram => ({ count: 0, sumMs: 0, maxMs: 0, buckets: {} });

export function recordLatency(histogram: LatencyHistogram, ms: number): void {
  const index = Math.ceil(Math.log2(Math.max(ms, 0.001)) * BUCKETS_PER_DOUBLING) - 1;
  histogram.buckets[index] = (histogram.buckets[index] ?? 0) + 1;
  histogram.count += 1;
  histogram.sumMs += ms;
  histogram.maxMs = Math.max(histogram.maxMs, ms);
}

export function addHistogram(into: LatencyHistogram, other: LatencyHistogram): void {
  for (const [index, count] of Object.entries(other.buckets)) into.buckets[index] = (into.buckets[index] ?? 0) + count;
  into.count += other.count;
  into.sumMs += other.sumMs;
  into.maxMs = Math.max(into.maxMs, other.maxMs);
}

/** @param quantile 0 to 1 @returns milliseconds, or null where nothing was recorded */
export function latencyAt(histogram: LatencyHistogram, quantile: number): number | null {
  if (histogram.count === 0) return null;
  const rank = Math.max(1, Math.ceil(quantile * histogram.count));
  let seen = 0;
  for (const index of Object.keys(histogram.buckets)
    .map(Number)
    .sort((a, b) => a - b)) {
    seen += histogram.buckets[index] ?? 0;
    if (seen >= rank) return Math.min(histogram.maxMs, 2 ** ((index + 0.5) / BUCKETS_PER_DOUBLING));
  }
  return histogram.maxMs;
}

export const averageMs = ({ count, sumMs }: LatencyHistogram): number | null => (count === 0 ? null : sumMs / count);
