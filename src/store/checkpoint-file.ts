import { type FileHandle, open } from 'node:fs/promises';
import { StartupError } from '../errors.js';
import { type AuditCheckpoint, CHECKPOINT_VERSION } from './audit-signer.js';

const NEWLINE = 0x0a;

/**
 * Makes sure that checkpoints can be appended to a file, and makes it where it is missing.
 * @throws StartupError when they cannot
 */
export async function assertAppendable(path: string): Promise<void> {
  try {
    await (await open(path, 'a+')).close();
  } catch (error) {
    throw new StartupError(`AUDIT_CHECKPOINT_FILE: ${path} cannot be appended to: ${(error as Error).message}`);
  }
}

/** Appends a checkpoint as a line of JSON; on return it is on the disk. */
export async function appendCheckpoint(path: string, checkpoint: AuditCheckpoint): Promise<void> {
  const { sequence, hash, timestamp, keyId, signature } = checkpoint;
  const line = JSON.stringify({ version: CHECKPOINT_VERSION, sequence, hash, timestamp, keyId, signature });
  // Opened each time: it may have been moved away, to be kept, or its disk put back.
  const file = await open(path, 'a+');
  try {
    await file.appendFile(`${(await endsInsideLine(file)) ? '\n' : ''}${line}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A crash or a full disk may have cut off the last line: the next one must not be lost with it. */
async function endsInsideLine(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] !== NEWLINE;
}
