import { AttemptError } from '../errors.js';
import type { Deadline } from './deadline.js';
import { lookUpstream } from './look-upstream.js';
import type { GuestId, Ports, UpstreamSession } from './ports.js';

/** An attempt that may have opened a session. */
export interface Suspect {
  readonly requestId: string;
  readonly guestId: GuestId;
  readonly openedAt: Date;
  /** The session that the books have of it, if any. */
  readonly sessionId: string | null;
  /** The guest's sessions at CXone before the POST, which are not ours; null where they are not known any more. */
  readonly known: readonly UpstreamSession[] | null;
  /** Whether a session may be taken for its own that does not say so. */
  readonly mayGuess: boolean;
}

type LookPorts = Pick<Ports, 'cxone' | 'ledger' | 'sessions' | 'echo' | 'rules'>;

/** What an attempt opens appears so long after its deadline at the latest, and CXone's clock may be this far off. */
const ARRIVAL_MARGIN_MS = 15_000;
const CLOCK_SKEW_MS = 5_000;
/** Clocks that are further apart than usual make it unclear, where further still they would make everything so. */
const WIDEST_SKEW_MS = 60_000;

/**
 * Looks at CXone which live sessions an attempt has opened: those that carry its request id, usually one or none; more when
 * a POST that was given up for lost has arrived late. Where CXone is known not to repeat request ids, and if it may be
 * guessed, a session that appeared while the attempt was at work and that no other attempt owns is taken for its own,
 * provided that there is one such session and no other attempt it could belong to.
 *
 * @throws AttemptError OUTCOME_UNKNOWN when it cannot be told
 */
export async function findSessionsOf(
  suspect: Suspect,
  deadline: Deadline,
  ports: LookPorts,
): Promise<readonly UpstreamSession[]> {
  const { cxone, ledger, echo, rules } = ports;
  const { requestId, guestId, sessionId: ownId, mayGuess } = suspect;
  const upstream = await list(guestId, deadline, cxone);
  const ids = upstream.map(({ sessionId }) => sessionId);
  echo.learn(upstream, new Set([...ledger.ownedByOthers(requestId, ids), ownId]));
  const ours = upstream.filter((session) => session.requestId === requestId || session.sessionId === ownId);
  if (ours.length > 0 || !mayGuess || echo.isHeard) return ours;

  const nameless = upstream.filter((session) => session.requestId === null && !isKnown(session, suspect));
  if (nameless.length === 0) return [];
  if (echo.isHeard === null) await listenElsewhere(deadline, ports);
  if (echo.isHeard) return [];
  // First who could own it, then who does: whoever is closed in between is seen to own it.
  const rivals = ledger.countOpen(guestId, requestId);
  const others = ledger.ownedByOthers(requestId, ids);
  const candidates = nameless.filter(
    (session) => !others.has(session.sessionId) && timeliness(session, suspect, rules.createDeadlineMs) !== 'NEVER',
  );
  if (candidates.length === 0) return [];
  const [candidate] = candidates;
  const isSure =
    candidate?.namesGuest &&
    timeliness(candidate, suspect, rules.createDeadlineMs) === 'IN_TIME' &&
    echo.isHeard === false;
  if (isSure && candidates.length === 1 && rivals === 0) return candidates;
  throw unknown(
    `CXone lists ${candidates.length} session(s) without a request id, for this attempt and ${rivals} other(s)`,
  );
}

/**
 * Lists the guest of some live session of ours, to hear whether CXone repeats request ids. One that turns out to be over is
 * ended in the books, so that the next time another is asked for.
 */
async function listenElsewhere(deadline: Deadline, ports: LookPorts): Promise<void> {
  const live = ports.ledger.someLiveSession();
  if (live) await lookUpstream(live.guestId, deadline, ports).catch(asUnknown);
}

const isKnown = ({ sessionId }: UpstreamSession, { known }: Suspect): boolean =>
  known?.some((session) => session.sessionId === sessionId) ?? false;

/** Whether a session that does not say whose it is appeared while the attempt was at work. */
function timeliness(
  { createdAt }: UpstreamSession,
  { openedAt, known }: Suspect,
  deadlineMs: number,
): 'IN_TIME' | 'PERHAPS' | 'NEVER' {
  // What was not there before the POST has appeared since, whatever the clocks say.
  if (known !== null) return 'IN_TIME';
  if (createdAt === null) return 'PERHAPS';
  const ageMs = createdAt.getTime() - openedAt.getTime();
  const latestMs = deadlineMs + ARRIVAL_MARGIN_MS;
  if (ageMs >= -CLOCK_SKEW_MS && ageMs <= latestMs) return 'IN_TIME';
  return ageMs >= -WIDEST_SKEW_MS && ageMs <= latestMs + WIDEST_SKEW_MS ? 'PERHAPS' : 'NEVER';
}

async function list(guestId: GuestId, deadline: Deadline, cxone: Ports['cxone']): Promise<readonly UpstreamSession[]> {
  const upstream = await cxone.listActiveSessions(guestId, deadline).catch(asUnknown);
  if (upstream === 'SKIPPED') throw unknown('CXone does not let us list sessions');
  return upstream;
}

function asUnknown(error: unknown): never {
  if (!(error instanceof AttemptError)) throw error;
  throw unknown(`CXone cannot be asked: ${error.detail ?? error.message}`, error.retryAfterSeconds);
}

const unknown = (detail: string, retryAfterSeconds?: number): AttemptError =>
  new AttemptError('OUTCOME_UNKNOWN', { detail, retryAfterSeconds });
