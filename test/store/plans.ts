import type { SqliteConnection } from '../../src/store/sqlite-connection.js';

/** How SQLite goes about a statement. */
export interface QueryPlan {
  readonly sql: string;
  readonly plan: string[];
}

/** What is asked of a connection while something is done, with how SQLite goes about it. */
export async function plansOf(db: SqliteConnection, work: () => unknown): Promise<QueryPlan[]> {
  const statements = new Set<string>();
  const { all, get, run } = db;
  const hear =
    <F extends (sql: string, ...rest: never[]) => unknown>(method: F) =>
    (...args: Parameters<F>): ReturnType<F> => {
      statements.add(args[0]);
      return method.apply(db, args) as ReturnType<F>;
    };
  Object.assign(db, { all: hear(all), get: hear(get), run: hear(run) });
  try {
    await work();
  } finally {
    Object.assign(db, { all, get, run });
  }
  const looked = [...statements].filter((sql) => /^\s*(SELECT|UPDATE|DELETE)/.test(sql));
  return looked.map((sql) => {
    const plan = db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).map(({ detail }) => detail);
    return { sql, plan };
  });
}
