import { GuestVault } from '../../src/store/guest-vault.js';
import type { MasterKeys } from '../../src/store/master-cipher.js';
import type { PersonalReader, SealedRow } from '../../src/store/personal-reader.js';
import { openBody, type SealedBody } from '../../src/store/sealed-body.js';
import { openAudit, openEvent, sessionContext } from '../../src/store/sealed-rows.js';
import type { SqlValue } from '../../src/store/sql-values.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';

/** What the books of tests are sealed under, wherever a test looks into them. */
export const MASTER_KEYS: MasterKeys = [Buffer.alloc(32, 7)];
/** The same as a setting. */
export const ENCRYPTION_KEY = MASTER_KEYS[0].toString('base64');

type Opener = (row: SealedRow & { id: string }, persons: PersonalReader) => object;

/** How the rows of each table that is sealed are opened. */
const OPENERS: Readonly<Record<string, Opener>> = {
  GuestSession: (row, persons) => {
    const { crmId = null, sessionId = null, guestId = null } = persons.personalOf(row, sessionContext(row.id)) ?? {};
    return { guestId, crmId, sessionId };
  },
  SessionEvent: (row, persons) => openEvent(row as Parameters<typeof openEvent>[0], persons),
  AuditEntry: (row, persons) => openAudit(row as unknown as Parameters<typeof openAudit>[0], persons),
  WebhookDelivery: (row, persons) => ({ body: openBody(row as unknown as SealedBody, persons) }),
};

/** Reads whole rows (`SELECT *`) as they were before what is personal in them was sealed; all else as it is kept. */
export class OpenedConnection extends SqliteConnection {
  #vault: GuestVault | null = null;

  constructor(path: string) {
    super(path, { readOnly: true });
  }

  /** Opened when it is first needed: the server may not have made its keys yet. */
  get vault(): GuestVault {
    this.#vault ??= GuestVault.open(this, MASTER_KEYS);
    return this.#vault;
  }

  override all<Row>(sql: string, ...parameters: SqlValue[]): Row[] {
    return super.all<Row>(sql, ...parameters).map((row) => this.#opened(row, sql));
  }

  override get<Row>(sql: string, ...parameters: SqlValue[]): Row | undefined {
    const row = super.get<Row>(sql, ...parameters);
    return row && this.#opened(row, sql);
  }

  #opened<Row>(row: Row, sql: string): Row {
    const [, table = ''] = /^SELECT \* FROM "(\w+)"/.exec(sql) ?? [];
    const open = OPENERS[table];
    return open ? { ...row, ...open(row as SealedRow & { id: string }, this.vault.reader()) } : row;
  }
}
