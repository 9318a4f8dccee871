import { steadyNow } from '../guest-session/steady-clock.js';
import { IS_OVER } from './expiry-commands.js';
import { IS_FORGETTABLE } from './idempotency-commands.js';
import type { Ledger } from './ledger.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Marks sessions whose time is over. */
export class SessionExpiry {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;

  constructor(ledger: Ledger, reader: SqliteConnection) {
    this.#ledger = ledger;
    this.#reader = reader;
  }

  /** Expires at most `limit` sessions, the longest overdue first. @returns how many */
  async expireDue(limit: number): Promise<number> {
    const isAnyOver = this.#reader.get(`SELECT 1 FROM "GuestSession" WHERE ${IS_OVER} LIMIT 1`, new Date());
    return isAnyOver ? this.#ledger.execute('expireSessions', { limit }) : 0; // no commit for nothing
  }
}

/** Forgets idempotency keys whose time is over. */
export class KeyExpiry {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;

  constructor(ledger: Ledger, reader: SqliteConnection) {
    this.#ledger = ledger;
    this.#reader = reader;
  }

  /** Forgets at most `limit` keys. @returns how many */
  async expireDue(limit: number): Promise<number> {
    const sql = `SELECT 1 FROM "IdempotencyKey" WHERE ${IS_FORGETTABLE} LIMIT 1`;
    const now = steadyNow();
    const isAnyOver = this.#reader.get(sql, new Date(), now);
    return isAnyOver ? this.#ledger.execute('forgetKeys', { limit, now }) : 0; // no commit for nothing
  }
}
