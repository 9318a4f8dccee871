import { AttemptError } from '../errors.js';
import type { CreatedSession, GuestId, UpstreamSession } from '../guest-session/ports.js';
import type { Answer } from './exchange.js';
import { parseJson } from './read-answer.js';
import type { CreateSessionResponse, ListSessionsResponse } from './wire.js';

/** The session that CXone has opened, or null where its answer cannot be read. */
export function readCreated(answer: Answer): CreatedSession | null {
  const { sessionId, token, expiresAt } = (parseJson(answer) ?? {}) as Partial<CreateSessionResponse>;
  const expiry = readDate(expiresAt);
  return isId(sessionId) && isText(token) && expiry ? { sessionId, clientToken: token, expiresAt: expiry } : null;
}

/**
 * The guest's live sessions.
 * @throws AttemptError CXONE_CONTRACT_BROKEN, without the body: it may hold the guest's token
 */
export function readSessions(answer: Answer, guestId: GuestId): UpstreamSession[] {
  const { items } = (parseJson(answer) ?? {}) as Partial<ListSessionsResponse>;
  if (!Array.isArray(items) || !items.every((item) => isId(item?.sessionId))) {
    throw new AttemptError('CXONE_CONTRACT_BROKEN', { detail: 'the session list has no readable items' });
  }
  const sessions = new Map<string, UpstreamSession>();
  for (const { sessionId, guestId: owner, status, createdAt, expiresAt, token, routing } of items) {
    // A tenant that ignores our query must not have other guests' sessions, or ended ones, counted against this one. A status
    // that we do not know is live: to take a session for gone ends it in our books.
    if (typeof owner === 'string' && owner.toLowerCase() !== guestId) continue;
    if (typeof status === 'string' && OVER.test(status)) continue;
    const requestId = routing?.attributes?.requestId;
    sessions.set(sessionId, {
      sessionId,
      requestId: isText(requestId) ? requestId : null,
      createdAt: readDate(createdAt),
      expiresAt: readDate(expiresAt),
      clientToken: isText(token) ? token : null,
      namesGuest: typeof owner === 'string',
    });
  }
  return [...sessions.values()];
}

const OVER = /^(inactive|ended|expired|closed|completed|cancell?ed|terminated|abandoned)$/i;

/** An id that survives every store, header, log and path as it is; a path drops the parts `.` and `..`. */
const isId = (value: unknown): value is string =>
  typeof value === 'string' && /^(?!\.{1,2}$)[\x21-\x7e]{1,256}$/.test(value);

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

function readDate(value: unknown): Date | null {
  const date = new Date(typeof value === 'string' ? value : Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}
