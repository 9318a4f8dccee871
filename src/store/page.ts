/** One page of a list, and whether there is more behind it. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly hasNextPage: boolean;
}

/** Makes a page of rows that were asked for with one more than wanted. */
export const toPage = <Row>(rows: readonly Row[], first: number): Page<Row> => ({
  rows: rows.slice(0, first),
  hasNextPage: rows.length > first,
});

/** A half-open range of time. */
export interface TimeRange {
  /** Inclusive. */
  readonly from?: Date | null | undefined;
  /** Exclusive. */
  readonly to?: Date | null | undefined;
}

/**
 * Reads several index ranges, each in order, and merges them: what "column IN (…)" asks for, without the sort that SQLite
 * would do over all that matches.
 */
export async function mergeRanges<Range, Row>(
  ranges: readonly Range[],
  read: (range: Range) => Promise<Row[]>,
  compare: (a: Row, b: Row) => number,
  limit: number,
): Promise<Row[]> {
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1) return read(only);
  return (await Promise.all(ranges.map(read))).flat().sort(compare).slice(0, limit);
}
