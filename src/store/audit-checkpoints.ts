import type { AuditSigner } from './audit-signer.js';
import { appendCheckpoint, assertAppendable } from './checkpoint-file.js';
import type { Ledger } from './ledger.js';
import type { SqliteConnection } from './sqlite-connection.js';

const ENTRIES_BETWEEN = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** How late a checkpoint may be. */
const LOOK_MS = 1_000;

export interface CheckpointSettings {
  readonly signer: AuditSigner;
  /** Where checkpoints are appended to as well, out of the reach of who may write the database; null for nowhere. */
  readonly file: string | null;
  readonly now?: () => Date;
  readonly intervalMs?: number;
}

interface Log {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

interface Head {
  readonly sequence: number;
  readonly hash: string;
}

/**
 * Signs where the audit trail stands: at every 1,000th entry, a minute after the first entry that no checkpoint covers, and at
 * the shutdown. A checkpoint covers all entries before it, since the hash that it signs does. It is made beside the writing:
 * what is read is committed, the signing is done here, and the writer gets one row to insert.
 */
export class AuditCheckpoints implements AsyncDisposable {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #settings: CheckpointSettings;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | null = null;
  #isFailing = false;

  private constructor(ledger: Ledger, reader: SqliteConnection, settings: CheckpointSettings, log: Log) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#settings = settings;
    this.#log = log;
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look(false).finally(() => {
        this.#looking = null;
      });
    }, settings.intervalMs ?? LOOK_MS);
  }

  /** @throws StartupError when the file cannot be appended to */
  static async start(
    ledger: Ledger,
    reader: SqliteConnection,
    settings: CheckpointSettings,
    log: Log,
  ): Promise<AuditCheckpoints> {
    if (settings.file !== null) await assertAppendable(settings.file);
    return new AuditCheckpoints(ledger, reader, settings, log);
  }

  async #look(isLast: boolean): Promise<void> {
    try {
      for (let entry = this.#due(isLast); entry; entry = this.#due(isLast)) await this.#write(entry);
      this.#isFailing = false;
    } catch (error) {
      // It is tried again with every look: while the storage takes no writes, to be told once is enough.
      if (!this.#isFailing) this.#log.error({ err: error }, 'the audit trail could not be signed: it is tried again');
      this.#isFailing = true;
    }
  }

  /** The entry to be signed now; null where there is none. */
  #due(isLast: boolean): Head | null {
    const head = this.#entry('ORDER BY "sequence" DESC LIMIT 1');
    const last = this.#reader.get<{ sequence: number | null }>(
      'SELECT max("sequence") AS "sequence" FROM "AuditCheckpoint"',
    );
    const signed = last?.sequence ?? 0;
    if (!head || head.sequence <= signed) return null;
    const first = this.#entry('WHERE "sequence" > ? ORDER BY "sequence" LIMIT 1', signed);
    // An entry from the future is old as well: the clock was set back.
    const age = Math.abs(this.#now().getTime() - (first?.timestamp ?? 0));
    if (age >= LONGEST_WAIT_MS) return head; // first, so that a long trail that has none yet gets one and not thousands
    if (head.sequence - signed >= ENTRIES_BETWEEN) {
      return this.#entry('WHERE "sequence" = ?', signed + ENTRIES_BETWEEN) ?? head;
    }
    return isLast ? head : null;
  }

  #entry(where: string, ...values: number[]): (Head & { readonly timestamp: number }) | undefined {
    return this.#reader.get(`SELECT "sequence", "hash", "timestamp" FROM "AuditEntry" ${where}`, ...values);
  }

  #now(): Date {
    return this.#settings.now?.() ?? new Date();
  }

  async #write({ sequence, hash }: Head): Promise<void> {
    const { signer, file } = this.#settings;
    const checkpoint = signer.sign({ sequence, hash, timestamp: this.#now() });
    await this.#ledger.execute('recordCheckpoint', checkpoint, { linger: true });
    const { keyId, signature } = checkpoint;
    this.#log.info({ sequence, hash, keyId, signature }, 'the audit trail was signed');
    if (file === null) return;
    await appendCheckpoint(file, checkpoint).catch((error: unknown) =>
      this.#log.error({ err: error, sequence }, 'a checkpoint could not be appended to AUDIT_CHECKPOINT_FILE'),
    );
  }

  /** Signs what is left. To be called when nobody appends any more, before the ledger is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await this.#look(true);
  }
}
