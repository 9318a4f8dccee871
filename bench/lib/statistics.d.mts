/** Nearest rank: one of the samples; NaN for none. `share` is 0 to 1. */
export function percentile(samples: ArrayLike<number>, share: number): number;
export function median(values: readonly number[]): number;
/** Of `numerators[i] / denominators[i]`. */
export function ratios(
  numerators: readonly number[],
  denominators: readonly number[],
): { median: number; min: number; max: number };
