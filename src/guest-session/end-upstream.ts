import type { Deadline } from './deadline.js';
import type { GuestId, Ports, UpstreamEnd } from './ports.js';

/** What came of ending a session at CXone. */
export interface UpstreamEnding {
  /** True when CXone has ended it at our word. */
  readonly endedUpstream: boolean;
  /** True when it goes on at CXone, as far as we know. */
  readonly isLive: boolean;
  /** For operations. */
  readonly reason: string;
}

const ENDINGS: Readonly<Record<UpstreamEnd | 'OFF', UpstreamEnding>> = {
  ENDED: { endedUpstream: true, isLive: false, reason: 'CXone has ended it' },
  NOT_THERE: { endedUpstream: false, isLive: false, reason: 'CXone knows of no such live session' },
  UNSUPPORTED: { endedUpstream: false, isLive: true, reason: 'CXone cannot end sessions (405 or 501)' },
  OFF: { endedUpstream: false, isLive: true, reason: 'CXONE_END_SESSION is off' },
};

/**
 * Ends a session at CXone, where we are allowed to.
 * @throws AttemptError when CXone could not be asked, or refused
 */
export async function endUpstream(
  sessionId: string,
  deadline: Deadline,
  { cxone, rules }: Pick<Ports, 'cxone' | 'rules'>,
): Promise<UpstreamEnding> {
  return ENDINGS[rules.endsUpstream ? await cxone.endSession(sessionId, deadline) : 'OFF'];
}

/**
 * The same for a session that CXone has just listed. Some tenants have no such route and answer 404: what they go on listing
 * is live, whatever they say.
 */
export async function endListed(
  sessionId: string,
  guestId: GuestId,
  deadline: Deadline,
  ports: Pick<Ports, 'cxone' | 'rules'>,
): Promise<UpstreamEnding> {
  const end = await endUpstream(sessionId, deadline, ports);
  if (end.isLive || end.endedUpstream) return end;
  const upstream = await ports.cxone.listActiveSessions(guestId, deadline);
  const isListed = upstream === 'SKIPPED' || upstream.some((session) => session.sessionId === sessionId);
  return isListed ? { ...end, isLive: true, reason: 'CXone denies it, and goes on listing it' } : end;
}
