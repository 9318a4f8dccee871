import { randomUUID } from 'node:crypto';
import type { Erasure } from '../../src/guest-session/ledger-ports.js';
import type { GuestId } from '../../src/guest-session/ports.js';
import { type Books, openSession, TESTER } from './ledger.js';

const OPS = { name: 'ops', role: 'OPS', sourceAddress: 'net' } as const;

export const erase = (books: Books, guestId: string, requestId: string = randomUUID()): Promise<Erasure> =>
  books.sessions.eraseGuest(guestId as GuestId, requestId, OPS);

/** A guest whose only session is over. */
export async function guestWithHistory(books: Books) {
  const guestId = randomUUID();
  const { attempt, closed } = await openSession(books, guestId);
  const end = { actor: TESTER, reason: `${guestId} said good-bye`, endedUpstream: true };
  await books.sessions.end(attempt.requestId, end);
  return { guestId, requestId: attempt.requestId, sessionId: closed.session?.sessionId ?? '' };
}
