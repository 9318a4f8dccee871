import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { main } from '../../../scripts/audit-archive.mjs';
import { loadSettings } from '../../../src/config.js';
import type { ArchiveStep } from '../../../src/store/archive-audit-trail.js';
import { type AuditCheckpoint, AuditSigner } from '../../../src/store/audit-signer.js';
import { SqliteConnection } from '../../../src/store/sqlite-connection.js';
import { TrailRows } from '../../../src/store/trail-rows.js';
import { verifyAuditTrail } from '../../../src/store/verify-audit-trail.js';
import { type Books, openBooks, someAudit } from '../../store/ledger.js';
import { MASTER_KEYS } from '../../support/opened-connection.js';
import { temporaryDirectory } from '../../support/temporary-directory.js';

const SCRIPT = fileURLToPath(new URL('../../../scripts/audit-archive.mjs', import.meta.url));
const DAY_MS = 86_400_000;
const { privateKey } = generateKeyPairSync('ed25519');
export const signer = new AuditSigner(privateKey);
const signingKey = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');

/** A server's books with so many entries that are 400 days old, and so many of today. */
export async function oldTrail({ old = 2_500, young = 10 } = {}) {
  const directory = temporaryDirectory();
  const books = await openBooks({ path: join(directory, 'trail.db') });
  await append(books, old, 400);
  await append(books, young, 0);
  return { books, path: books.path, file: (name: string) => join(directory, name) };
}

/** Entries of some days ago. */
export async function append({ writer }: Books, count: number, daysAgo: number): Promise<void> {
  const at = new Date(Date.now() - daysAgo * DAY_MS);
  await writer.submit((transaction) => {
    for (let n = 0; n < count; n++) {
      transaction.appendAudit(someAudit({ guestId: n % 2 === 0 ? `guest-${n % 5}` : null, reason: 'a “reason”' }), at);
    }
  });
}

const environment = (path: string, more: Record<string, string> = {}) => ({
  DATABASE_URL: `file:${path}`,
  ENCRYPTION_KEY: MASTER_KEYS[0].toString('base64'),
  AUDIT_SIGNING_KEY: signingKey,
  ...more,
});

/** Runs the command in this process, and gives its exit code and what it says. */
export async function archive(
  path: string,
  args: readonly string[],
  more?: Record<string, string>,
  onStep: (step: ArchiveStep) => void = () => {},
) {
  let said = '';
  const say = (text: string) => {
    said += text;
  };
  const code = await main(args, { say, complain: say, onStep, settings: loadSettings(environment(path, more)) });
  return { code, said };
}

/** Runs it in a process of its own, that dies when it gets to a step. */
export async function archiveInProcess(path: string, args: readonly string[], killedAt: ArchiveStep | null = null) {
  const program = `import { main } from ${JSON.stringify(SCRIPT)};
    const print = (text) => process.stderr.write(text);
    const onStep = (step) => step === ${JSON.stringify(killedAt)} && process.kill(process.pid, 'SIGKILL');
    process.exitCode = await main(${JSON.stringify(args)}, { say: print, complain: print, onStep });`;
  const env = { PATH: process.env.PATH ?? '', ...environment(path) };
  const stdio = ['ignore', 'ignore', 'pipe'] as const;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { env, stdio: [...stdio] });
  const [said, [code, signal]] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
  return { said, code: code as number | null, signal: signal as string | null };
}

/** Signs an entry, as a server does that has this key. */
export function signEntry(path: string, sequence: number, by = signer): AuditCheckpoint {
  const db = new SqliteConnection(path);
  try {
    const { hash } = db.get<{ hash: string }>('SELECT "hash" FROM "AuditEntry" WHERE "sequence" = ?', sequence)!;
    const checkpoint = by.sign({ sequence, hash, timestamp: new Date(1_000) });
    const { timestamp, keyId, signature } = checkpoint;
    const sql = `INSERT INTO "AuditCheckpoint" ("sequence", "hash", "timestamp", "keyId", "signature") VALUES (?, ?, ?, ?, ?)`;
    db.run(sql, sequence, hash, timestamp, keyId, signature);
    return checkpoint;
  } finally {
    db.close();
  }
}

/** What the server's own verifier finds. */
export async function verifyAsServer(path: string, from = 1, to = Number.MAX_SAFE_INTEGER) {
  const db = new SqliteConnection(path, { readOnly: true });
  try {
    return await verifyAuditTrail(new TrailRows(db), signer, from, to);
  } finally {
    db.close();
  }
}
