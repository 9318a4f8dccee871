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

const LEAST_SIFTED = 100;

/**
 * Reads one index range in batches and keeps what matches: for conditions beside one that selects few rows. Given both, SQLite
 * may enter by the other index, which leads through every row of the table that is in the same state.
 */
export async function sift<Row>(
  read: (after: Row | null, limit: number) => Promise<Row[]>,
  matches: (row: Row) => boolean,
  limit: number,
): Promise<Row[]> {
  const found: Row[] = [];
  const batchSize = Math.max(limit, LEAST_SIFTED);
  for (let last: Row | null = null; ; ) {
    const rows: Row[] = await read(last, batchSize);
    found.push(...rows.filter(matches));
    if (found.length >= limit || rows.length < batchSize) return found.slice(0, limit);
    last = rows.at(-1) ?? null;
  }
}
