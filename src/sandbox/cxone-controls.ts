import { type Answer, problem } from './answer.js';
import { CONTROL_PREFIX, type ControlRoutes } from './control-routes.js';
import type { CxoneSandbox } from './cxone-sandbox.js';
import type { Inbound } from './inbound.js';
import type { SandboxSession } from './session-book.js';

/** The control routes that CXone has for itself: each does what a method of the sandbox does. */
export function cxoneControls(sandbox: CxoneSandbox): ControlRoutes {
  return {
    'POST revoke-tokens': () => {
      sandbox.revokeTokens();
      return { status: 204 };
    },
    'POST sessions': (request) => addSession(sandbox, request),
    'DELETE sessions/{id}': (request) =>
      sandbox.endSession(request.pathAfter(`${CONTROL_PREFIX}sessions/`))
        ? { status: 204 }
        : problem(404, 'not_found', 'There is no such live session'),
    'GET history': ({ query }) => ({
      status: 200,
      body: sandbox
        .history(query.get('guestId') ?? undefined)
        .map((session) => ({ ...withoutToken(session), endedAt: session.endedAt })),
    }),
  };
}

/** What can be shown of a session: all but the guest's credential. */
export function withoutToken({ sessionId, guestId, channel, requestId, createdAt, expiresAt }: SandboxSession) {
  return { sessionId, guestId, channel, requestId, createdAt, expiresAt };
}

function addSession(sandbox: CxoneSandbox, request: Inbound): Answer {
  const guestId = request.jsonAt('guestId');
  const ttlSeconds = request.jsonAt('ttlSeconds');
  if (typeof guestId !== 'string' || guestId === '') {
    return problem(400, 'invalid_session', 'guestId: must be a string that is not empty');
  }
  if (ttlSeconds !== undefined && !(typeof ttlSeconds === 'number' && ttlSeconds > 0)) {
    return problem(400, 'invalid_session', 'ttlSeconds: must be a number above 0');
  }
  return { status: 201, body: withoutToken(sandbox.addSession(guestId, ttlSeconds)) };
}
