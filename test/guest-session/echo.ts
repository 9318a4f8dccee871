import { RequestIdEcho } from '../../src/guest-session/request-id-echo.js';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';

/** What is known of a tenant: where it repeats no request ids, a list has shown a session of ours without one. */
export function echoOf({ echoAttributes }: CxoneSandboxOptions): RequestIdEcho {
  const echo = new RequestIdEcho();
  const unnamed = {
    sessionId: 'cxs_ours',
    requestId: null,
    createdAt: null,
    expiresAt: null,
    clientToken: null,
    namesGuest: true,
  };
  if (echoAttributes === false) echo.learn([unnamed], new Set([unnamed.sessionId]));
  return echo;
}
