import { readFileSync, statSync } from 'node:fs';
import type { Network } from './network.js';

const ERASE = /* GraphQL */ `
  mutation Erase($guestId: String!) {
    eraseGuest(guestId: $guestId) {
      erased requestId endedSessions entriesInTheClear
      userErrors { code message field stage retryable retryAfterSeconds }
    }
  }
`;

/** Erases a guest and gives the payload. */
export async function eraseGuest(network: Pick<Network, 'graphql'>, guestId: string, headers?: Record<string, string>) {
  const { data, errors } = await network.graphql(ERASE, { guestId }, headers);
  if (!data) throw new Error(`eraseGuest gave no data: ${JSON.stringify(errors)}`);
  return data.eraseGuest;
}

/** The files that a database consists of while a server is at work on it. */
const FILES = ['', '-wal', '-shm'];

/** Which of these texts lie in the bytes of a database's files, and where: also as UTF-16. */
export function tracesIn(path: string, texts: Readonly<Record<string, string>>): string[] {
  const files = FILES.filter((file) => statSync(path + file, { throwIfNoEntry: false }));
  return files.flatMap((file) => {
    const bytes = readFileSync(path + file);
    const isIn = (text: string) => (['latin1', 'utf16le'] as const).some((form) => bytes.includes(text, 0, form));
    const found = Object.entries(texts).filter(([, text]) => isIn(text));
    return found.map(([name]) => `${name} in ${file || 'the file'}`);
  });
}
