import type { SandboxSessionRecord } from '../../src/sandbox/session-book.js';
import type { Site as WholeSite } from './server-process.js';

/** What there is to compare, wherever the server runs. */
type Site = Pick<WholeSite, 'rows' | 'count'> & { readonly cxone: Pick<WholeSite['cxone'], 'history' | 'sessions'> };

/** Violations are shown up to this number of each kind. */
const SHOWN = 5;

export const CHECK_TRAIL = /* GraphQL */ `{ verifyAuditTrail { ok checked firstBrokenSequence reason } }`;

/** What has not come to rest: attempts, idempotency keys, and webhooks that wait for their turn. */
export function unrest(site: Site): { open: number; keys: number; webhooks: number } {
  return {
    open: site.count(`FROM "GuestSession" WHERE "status" IN ('PENDING', 'UNKNOWN')`),
    keys: site.count(`FROM "IdempotencyKey" WHERE "state" = 'IN_FLIGHT'`),
    webhooks: site.count(`FROM "WebhookDelivery" WHERE "status" = 'PENDING'`),
  };
}

export const isAtRest = (site: Site): boolean => Object.values(unrest(site)).every((count) => count === 0);

/**
 * Compares the books with what CXone knows, once all is at rest, and with the rules that hold at every moment. To be told what
 * is wrong is more use than to be told that something is: gives a line for each violation, and none when all is well.
 */
export function violations(site: Site, { maxConcurrentSessions }: { maxConcurrentSessions: number }): string[] {
  const history = site.cxone.history();
  return [
    ...disagreements(site),
    ...severalAtATime(site, history),
    ...aboveTheCap(history, maxConcurrentSessions),
    ...miscounted(site),
  ];
}

interface Row {
  readonly id: string;
  readonly status: string;
  readonly sessionId: string | null;
  readonly idempotencyKey: string | null;
}

const rowsOf = (site: Site): Row[] => site.rows<Row>('SELECT * FROM "GuestSession"');

/** A live session at CXone is ACTIVE in the books of the attempt that has opened it, and the other way round. */
function disagreements(site: Site): string[] {
  const live = new Map(site.cxone.sessions().map(({ sessionId, requestId }) => [sessionId, requestId]));
  const active = new Map(
    rowsOf(site)
      .filter(({ status }) => status === 'ACTIVE')
      .map(({ id, sessionId }) => [sessionId ?? '(none)', id]),
  );
  return [
    ...some(
      [...live].filter(([sessionId, requestId]) => active.get(sessionId) !== requestId),
      ([sessionId, requestId]) => `${sessionId} of ${requestId} is live at CXone, and not ACTIVE in the books`,
    ),
    ...some(
      [...active].filter(([sessionId]) => !live.has(sessionId)),
      ([sessionId, id]) => `${sessionId} of ${id} is ACTIVE in the books, and not live at CXone`,
    ),
  ];
}

/** The sessions that an intent has opened, all its attempts together, lived one after the other. */
function severalAtATime(site: Site, history: readonly SandboxSessionRecord[]): string[] {
  const intents = new Map(rowsOf(site).map(({ id, idempotencyKey }) => [id, idempotencyKey ?? id]));
  const strangers = history.filter(({ requestId }) => requestId !== null && !intents.has(requestId));
  const ours = history.filter(({ requestId }) => requestId !== null && intents.has(requestId));
  const byIntent = groupBy(ours, ({ requestId }) => intents.get(requestId ?? '') ?? '');
  return [
    ...some(strangers, ({ sessionId, requestId }) => `${sessionId} of ${requestId}: the books have no such attempt`),
    ...some(
      [...byIntent].filter(([, sessions]) => mostAtATime(sessions) > 1),
      ([intent, sessions]) => `the intent ${intent} had ${mostAtATime(sessions)} live sessions: ${lives(sessions)}`,
    ),
  ];
}

function aboveTheCap(history: readonly SandboxSessionRecord[], cap: number): string[] {
  const byGuest = groupBy(history, ({ guestId }) => guestId);
  return some(
    [...byGuest].filter(([, sessions]) => mostAtATime(sessions) > cap),
    ([guestId, sessions]) => `the guest ${guestId} had ${mostAtATime(sessions)} live sessions at a time`,
  );
}

/** One entry and one only for each attempt; numbers without a gap. */
function miscounted(site: Site): string[] {
  const entries = `SELECT count(*) FROM "AuditEntry" WHERE "kind" = 'SESSION_INITIATION' AND "requestId" = s."id"`;
  const attempts = site.rows<{ id: string; n: number }>(
    `SELECT "id", (${entries}) AS n FROM "GuestSession" s WHERE (${entries}) <> 1`,
  );
  const unreserved = site.rows<{ id: string; n: number }>(
    `SELECT "requestId" AS id, count(*) AS n FROM "AuditEntry" WHERE "kind" = 'SESSION_INITIATION' GROUP BY 1 HAVING n > 1`,
  );
  const gaps = ['SessionEvent', 'AuditEntry'].filter((table) => {
    const [heads] = site.rows<{ n: number; head: number }>(
      `SELECT count(*) AS n, coalesce(max("sequence"), 0) AS head FROM "${table}" WHERE "sequence" > 0`,
    );
    return heads?.n !== heads?.head;
  });
  return [
    ...some([...attempts, ...unreserved], ({ id, n }) => `${n} entries SESSION_INITIATION for ${id}`),
    ...gaps.map((table) => `the sequence of ${table} has a gap`),
  ];
}

/** Sessions live from the millisecond of their opening to the one before that of their end: both are only known so well. */
function mostAtATime(sessions: readonly SandboxSessionRecord[]): number {
  const steps = sessions
    .flatMap(({ createdAt, endedAt, expiresAt }) => [
      { at: createdAt.getTime(), by: 1 },
      { at: (endedAt ?? expiresAt).getTime(), by: -1 },
    ])
    .sort((a, b) => a.at - b.at || a.by - b.by);
  let [live, most] = [0, 0];
  for (const { by } of steps) {
    live += by;
    most = Math.max(most, live);
  }
  return most;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

const lives = (sessions: readonly SandboxSessionRecord[]): string =>
  sessions
    .map(({ requestId, createdAt, endedAt }) => `${requestId} ${createdAt.toISOString()}–${endedAt?.toISOString()}`)
    .join(', ');

function some<T>(wrong: readonly T[], describe: (item: T) => string): string[] {
  const more = wrong.length - SHOWN;
  return [...wrong.slice(0, SHOWN).map(describe), ...(more > 0 ? [`… and ${more} more of that kind`] : [])];
}
