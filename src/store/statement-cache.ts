const MAX_STATEMENTS = 200;

/** Prepared statements by their SQL; the one unused for longest makes room. */
export class StatementCache<Prepared> {
  readonly #statements = new Map<string, Prepared>();

  constructor(readonly prepare: (sql: string) => Prepared) {}

  /** @throws what `prepare` throws: faulty SQL is not kept */
  get(sql: string): Prepared {
    const known = this.#statements.get(sql);
    const prepared = known ?? this.prepare(sql);
    if (known !== undefined) this.#statements.delete(sql);
    else if (this.#statements.size >= MAX_STATEMENTS) this.#statements.delete(this.#statements.keys().next().value!);
    this.#statements.set(sql, prepared);
    return prepared;
  }

  clear(): void {
    this.#statements.clear();
  }
}
