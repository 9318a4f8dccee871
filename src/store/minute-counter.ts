import {
  addCounts,
  countMeasurement,
  emptyCounts,
  type Measurement,
  type MetricCounts,
  minuteOf,
} from './metric-bucket.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** The metric rows of the minutes at work, added up in memory and written with each group. */
export class MinuteCounter {
  #minutes = new Map<number, MetricCounts>();

  /** Adds the measurements of one group to their minutes' rows, inside its transaction. */
  write(measurements: readonly Measurement[], db: SqliteConnection): void {
    const touched = new Set<number>();
    for (const measurement of measurements) {
      const minute = minuteOf(measurement.at);
      touched.add(minute);
      const counts = this.#minutes.get(minute) ?? read(minute, db);
      this.#minutes.set(minute, counts);
      countMeasurement(counts, measurement);
    }
    for (const minute of touched) {
      db.run(
        'INSERT INTO "MetricBucket" ("minute", "buckets") VALUES (?, ?) ON CONFLICT ("minute") DO UPDATE SET "buckets" = excluded."buckets"',
        minute,
        JSON.stringify(this.#minutes.get(minute)),
      );
    }
    this.#keepNewest();
  }

  /** After a group that was not committed: the rows are read again when they are next needed. */
  forget(): void {
    this.#minutes.clear();
  }

  // Measurements arrive in the order of time, nearly: an attempt counts in the minute in which it ends.
  #keepNewest(): void {
    while (this.#minutes.size > 2) this.#minutes.delete(Math.min(...this.#minutes.keys()));
  }
}

function read(minute: number, db: SqliteConnection): MetricCounts {
  const counts = emptyCounts();
  const row = db.get<{ buckets: string }>('SELECT "buckets" FROM "MetricBucket" WHERE "minute" = ?', minute);
  if (row) addCounts(counts, JSON.parse(row.buckets) as MetricCounts);
  return counts;
}
