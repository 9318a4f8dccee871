import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { main as exportMain } from '../../../scripts/audit-export.mjs';
import { main as verifyMain } from '../../../scripts/audit-verify.mjs';
import { type AuditContent, type AuditEntry, hashEntry } from '../../../src/store/audit-chain.js';
import { AuditSigner } from '../../../src/store/audit-signer.js';
import type { LedgerTransaction } from '../../../src/store/ledger-transaction.js';
import { SqliteConnection } from '../../../src/store/sqlite-connection.js';
import { TrailRows } from '../../../src/store/trail-rows.js';
import { verifyAuditTrail } from '../../../src/store/verify-audit-trail.js';
import { type Books, openBooks, someAudit } from '../../store/ledger.js';
import { dropAuditTriggers } from '../../support/drop-audit-triggers.js';

/** What somebody has who has the database file: a copy without its triggers, to do with as they like. It goes with the test. */
export class Trail {
  readonly #directory = mkdtempSync(join(tmpdir(), 'audit-trail-'));
  readonly path = join(this.#directory, 'trail.db');

  /** @param from a database that nobody has open */
  constructor(from: string) {
    copyFileSync(from, this.path);
    onTestFinished(() => rmSync(this.#directory, { recursive: true, force: true }));
  }

  /** A path for a file that goes with the trail. */
  file(name: string, content?: string): string {
    const path = join(this.#directory, name);
    if (content !== undefined) writeFileSync(path, content);
    return path;
  }

  /** Runs something on a connection of its own, without triggers. */
  tamper<Result>(act: (db: SqliteConnection) => Result): Result {
    const db = this.open();
    try {
      return act(db);
    } finally {
      db.close();
    }
  }

  /** What the server's own verifier finds. */
  async verifyAsServer(signer: Signer | null = null) {
    const db = this.open();
    try {
      return await verifyAsServer(db, signer);
    } finally {
      db.close();
    }
  }

  /** A connection that no trigger stops; to be closed. */
  open(): SqliteConnection {
    const db = new SqliteConnection(this.path);
    db.exec('PRAGMA synchronous = OFF');
    dropAuditTriggers(db);
    return db;
  }
}

/** A trail that the server’s own writer has written once, for tests that change copies of it. */
export class Template {
  readonly #directory = mkdtempSync(join(tmpdir(), 'audit-template-'));
  readonly path = join(this.#directory, 'template.db');
  readonly #entries: number;
  #written: Promise<void> | undefined;

  constructor(entries: number) {
    this.#entries = entries;
  }

  async copy(): Promise<Trail> {
    this.#written ??= this.#write();
    await this.#written;
    return new Trail(this.path);
  }

  async #write(): Promise<void> {
    await using books = await openBooks({ path: this.path });
    await fill(books, this.#entries);
    // No verifier reads them, and each change would have to keep them.
    const indexes = books.db.all<{ name: string }>(
      `SELECT "name" FROM sqlite_master WHERE "type" = 'index' AND "tbl_name" = 'AuditEntry'`,
    );
    for (const { name } of indexes) books.db.exec(`DROP INDEX "${name}"`);
    books.db.exec('VACUUM');
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** How many of so many entries are of version 1. */
export const firstVersionOf = (entries: number): number => Math.floor(entries * 0.4);
const GUESTS = 20;

/** Writes entries of many kinds: those that a server of version 1 left, and then as the server writes them. */
async function fill({ writer }: Books, entries: number): Promise<void> {
  await writer.submit((transaction) => {
    for (let n = 1; n <= entries; n++) {
      const isEven = n % 2 === 0;
      const content = someAudit({
        reason: [null, 'plain', 'Zoë 🦊 “später” \\ "quoted"', 'half a pair \ud83e'][n % 4] ?? null,
        guestId: isEven ? `guest-${n % GUESTS}` : null,
        sessionId: isEven ? `cxs-${n}` : null,
        actor: { name: 'tester', role: 'BACKEND', sourceAddress: n % 3 === 0 ? '203.0.113.0' : null },
        durationMs: isEven ? n / 7 : n,
        fraudScore: isEven ? n % 100 : null,
        attempts: n % 3,
        capacityCheck: isEven ? 'CHECKED' : null,
        crmSynced: [null, true, false][n % 3] ?? null,
      });
      if (n <= firstVersionOf(entries)) appendFirstVersion(transaction, content);
      else transaction.appendAudit(content);
    }
  });
}

function appendFirstVersion(transaction: LedgerTransaction, { actor, crmId: _, ...content }: AuditContent): void {
  const { auditSequence, auditHash } = transaction.heads;
  const entry: AuditEntry = {
    ...content,
    sequence: auditSequence + 1,
    id: randomUUID(),
    timestamp: new Date(),
    reason: content.reason?.toWellFormed() ?? null,
    actor: actor.name,
    version: 1,
    actorRole: null,
    personal: null,
    sourceAddress: null,
  };
  const hash = hashEntry(auditHash, entry);
  transaction.insert('AuditEntry', { ...entry, previousHash: auditHash, hash });
  transaction.heads = { ...transaction.heads, auditSequence: entry.sequence, auditHash: hash };
}

export interface Checkpoint {
  readonly version: 1;
  readonly sequence: number;
  readonly hash: string;
  readonly timestamp: string;
  readonly keyId: string;
  readonly signature: string;
}

/** One who signs checkpoints, with a key of its own. */
export class Signer {
  readonly #privateKey: KeyObject;
  /** The server's own, with the same key. */
  readonly ofServer: AuditSigner;
  readonly pem: string;
  readonly jwk: { readonly x?: string | undefined };
  readonly keyId: string;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#privateKey = privateKey;
    this.ofServer = new AuditSigner(privateKey);
    this.pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
    this.jwk = publicKey.export({ format: 'jwk' });
    const raw = Buffer.from(this.jwk.x!, 'base64url');
    this.keyId = createHash('sha256').update(raw).digest('hex').slice(0, 16);
  }

  sign(sequence: number, hash: string): Checkpoint {
    const timestamp = '2026-01-02T03:04:05.006Z';
    const signed = `{"hash":"${hash}","keyId":"${this.keyId}","sequence":${sequence},"timestamp":"${timestamp}","version":1}`;
    const signature = sign(null, Buffer.from(signed), this.#privateKey).toString('base64');
    return { version: 1, sequence, hash, timestamp, keyId: this.keyId, signature };
  }
}

/** Has the database hold these checkpoints, and no others. */
export function putCheckpoints(db: SqliteConnection, checkpoints: readonly Checkpoint[]): void {
  db.exec(`DROP TABLE IF EXISTS "AuditCheckpoint";
    CREATE TABLE "AuditCheckpoint" ("sequence" INTEGER NOT NULL PRIMARY KEY, "hash" TEXT NOT NULL, "timestamp" DATETIME NOT NULL,
      "keyId" TEXT NOT NULL, "signature" TEXT NOT NULL)`);
  for (const { sequence, hash, timestamp, keyId, signature } of checkpoints) {
    const values = [sequence, hash, Date.parse(timestamp), keyId, signature];
    db.run('INSERT INTO "AuditCheckpoint" VALUES (?, ?, ?, ?, ?)', ...values);
  }
}

export const jsonLines = (values: readonly unknown[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join('');

/** What a command says, and its exit code. */
export async function verify(...args: readonly string[]): Promise<{ code: number; said: string }> {
  let said = '';
  const say = (text: string) => {
    said += text;
  };
  return { code: await verifyMain(args, { say, complain: say, isTerminal: false }), said };
}

/** What the server's own verifier finds. */
export async function verifyAsServer(db: SqliteConnection, signer: Signer | null = null) {
  const verification = await verifyAuditTrail(new TrailRows(db), signer?.ofServer ?? null, 1, Number.MAX_SAFE_INTEGER);
  const { ok, firstBrokenSequence, reason } = verification;
  return { ok, firstBrokenSequence, reason };
}

export async function exportTrail(...args: readonly string[]): Promise<{ code: number; said: string }> {
  let said = '';
  const complain = (text: string) => {
    said += text;
  };
  return { code: await exportMain(args, { stdout: process.stdout, complain }), said };
}
