/**
 * The value below which a share of the samples lies (nearest rank): always one of the samples, never between two.
 *
 * @param {ArrayLike<number>} samples in any order
 * @param {number} share 0 to 1
 */
export function percentile(samples, share) {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/**
 * The middle one; of an even number the mean of the middle two.
 *
 * @param {readonly number[]} values in any order
 */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * How two interleaved series compare: round by round, so that what slows the machine down for a while slows both.
 *
 * @param {readonly number[]} numerators
 * @param {readonly number[]} denominators of the same rounds
 */
export function ratios(numerators, denominators) {
  const all = numerators.map((value, round) => value / denominators[round]);
  return { median: median(all), min: Math.min(...all), max: Math.max(...all) };
}
