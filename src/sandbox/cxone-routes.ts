import type { CreateSessionResponse, ListedSession, ListSessionsResponse } from '../cxone/wire.js';
import { type Answer, problem } from './answer.js';
import { checkSessionPayload, type PayloadProblem } from './check-session-payload.js';
import type { Inbound } from './inbound.js';
import type { Operation } from './sandbox-server.js';
import type { SandboxSession, SessionBook } from './session-book.js';
import type { TokenEndpoint } from './token-endpoint.js';

const SESSIONS_PATH = '/api/v1/messaging/sessions';

/** What CXone's routes work on. */
export interface CxoneState {
  tokens: TokenEndpoint;
  book: SessionBook;
  sessionTtlSeconds: number;
  /** What tenants differ in; the sandbox's options of the same names say what each means. */
  echoAttributes: boolean;
  echoToken: boolean;
  canList: boolean;
  canEndSessions: boolean;
}

/** CXone's REST API, as far as guest sessions need it. */
export function cxoneRoutes(state: CxoneState): (request: Inbound) => Operation | null {
  const token: Operation = {
    call: 'token',
    successStatus: 200,
    guestId: () => null,
    work: (request) => state.tokens.issue(request),
  };
  const list: Operation = {
    call: 'list',
    successStatus: 200,
    guestId: (request) => request.query.get('guestId'),
    work: (request) => state.tokens.refuse(request) ?? listSessions(state, request),
  };
  const create: Operation = {
    call: 'create',
    successStatus: 201,
    guestId: (request) => textOrNull(request.jsonAt('guestId')),
    work: (request) => state.tokens.refuse(request) ?? createSession(state, request),
  };
  const end: Operation = {
    call: 'end',
    successStatus: 204,
    guestId: (request) => state.book.guestOf(sessionIdOf(request)),
    work: (request) => state.tokens.refuse(request) ?? endSession(state, request),
  };
  return ({ method, path }) => {
    if (method === 'POST' && path === SESSIONS_PATH) return create;
    if (method === 'GET' && path === SESSIONS_PATH) return list;
    if (method === 'POST' && path === '/oauth/token') return token;
    if (method === 'DELETE' && path.startsWith(`${SESSIONS_PATH}/`)) return end;
    return null;
  };
}

function createSession({ book, sessionTtlSeconds }: CxoneState, request: Inbound): Answer {
  if (request.header('x-request-id') === null) {
    return invalid([{ path: 'headers.x-request-id', message: 'is missing' }]);
  }
  if (request.mediaType !== 'application/json') {
    return invalid([{ path: 'headers.content-type', message: 'must be application/json' }]);
  }
  const problems = checkSessionPayload(request.json);
  if (problems.length > 0) return invalid(problems);
  const session = book.open({
    guestId: request.jsonAt('guestId') as string,
    channel: request.jsonAt('channel') as string,
    requestId: request.jsonAt('routing', 'attributes', 'requestId') as string,
    ttlSeconds: sessionTtlSeconds,
  });
  const body: CreateSessionResponse = {
    sessionId: session.sessionId,
    token: session.token,
    expiresAt: session.expiresAt.toISOString(),
    status: 'active',
  };
  return { status: 201, body };
}

function listSessions(state: CxoneState, request: Inbound): Answer {
  if (!state.canList) return problem(403, 'forbidden', 'This tenant does not let its sessions be listed');
  const guestId = request.query.get('guestId');
  if (!guestId) return invalid([{ path: 'query.guestId', message: 'is missing' }]);
  if (request.query.get('status') !== 'active') return invalid([{ path: 'query.status', message: "must be 'active'" }]);
  const body: ListSessionsResponse = {
    items: state.book.live(guestId).map((session) => listed(session, state)),
  };
  return { status: 200, body };
}

function endSession({ book, canEndSessions }: CxoneState, request: Inbound): Answer {
  // An empty Allow says that the resource takes no method at all (RFC 9110 §10.2.1).
  if (!canEndSessions) return problem(405, 'method_not_allowed', 'This tenant lets no session be ended', { allow: '' });
  switch (book.end(sessionIdOf(request))) {
    case 'ended':
      return { status: 204 };
    case 'already-over':
      return problem(410, 'gone', 'The session has already ended');
    case 'unknown':
      return problem(404, 'not_found', 'There is no such session');
  }
}

function listed(session: SandboxSession, { echoAttributes, echoToken }: CxoneState): ListedSession {
  return {
    sessionId: session.sessionId,
    guestId: session.guestId,
    status: 'active',
    createdAt: session.createdAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    ...(echoAttributes && session.requestId !== null && { routing: { attributes: { requestId: session.requestId } } }),
    ...(echoToken && { token: session.token }),
  };
}

function invalid(details: PayloadProblem[]): Answer {
  return { status: 400, body: { error: 'validation_failed', details } };
}

function sessionIdOf(request: Inbound): string {
  return request.pathAfter(`${SESSIONS_PATH}/`);
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
