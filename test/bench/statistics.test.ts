import { describe, expect, it } from 'vitest';
import { median, percentile, ratios } from '../../bench/lib/statistics.mjs';

describe('the statistics of the bench', () => {
  it('gives a percentile that is one of the samples, whatever their order', () => {
    const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(samples, 0.5)).toBe(50);
    expect(percentile(samples, 0.99)).toBe(99);
    expect(percentile(samples, 1)).toBe(100);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile(Float64Array.of(3, 1, 20), 0.5)).toBe(3);
  });

  it('has no percentile and no median of nothing', () => {
    expect(percentile([], 0.5)).toBeNaN();
    expect(median([])).toBeNaN();
  });

  it('takes the middle of an odd number, and the mean of the middle two of an even one', () => {
    expect(median([30, 1, 20])).toBe(20);
    expect(median([4, 1, 3, 200])).toBe(3.5);
  });

  it('compares round by round, not sum by sum', () => {
    expect(ratios([10, 30, 400], [10, 10, 100])).toEqual({ median: 3, min: 1, max: 4 });
  });
});
