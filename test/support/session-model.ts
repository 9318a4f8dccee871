import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';
import type { Scenario } from '../../src/sandbox/faults.js';
import type { SandboxSessionRecord } from '../../src/sandbox/session-book.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { CHECK_TRAIL, violations } from './check-books.js';
import { eventually } from './eventually.js';
import { type GraphqlAnswer, inputFor, OPEN } from './network.js';
import { OpenedConnection } from './opened-connection.js';

/** The file that the server keeps its books in, past the server; the connections are kept, since they come late to be freed. */
export class Books implements Disposable {
  readonly #reader: OpenedConnection;
  readonly #writer: SqliteConnection;

  constructor(path: string) {
    this.#reader = new OpenedConnection(path);
    this.#writer = new SqliteConnection(path);
  }

  rows<Row>(sql: string, ...parameters: (string | number)[]): Row[] {
    return this.#reader.all<Row>(sql, ...parameters);
  }

  /** What stands for a guest in the books; nothing for one that they have never heard of. */
  nameOf(guestId: string): string {
    return this.#reader.vault.nameOf(guestId) ?? '';
  }

  count(sql: string, ...parameters: (string | number)[]): number {
    return this.rows<{ n: number }>(`SELECT count(*) AS n ${sql}`, ...parameters)[0]?.n ?? Number.NaN;
  }

  change(sql: string, ...parameters: (string | number)[]): void {
    this.#writer.run(sql, ...parameters);
  }

  [Symbol.dispose](): void {
    this.#reader.close();
    this.#writer.close();
  }
}

/** The server under test with what stands around it, be it in this process or in one of its own. */
export interface World {
  readonly cxone: CxoneSandbox;
  readonly books: Books;
  /** Rejects when no answer comes because the server has died. */
  graphql(query: string, variables?: object): Promise<GraphqlAnswer>;
  /**
   * Whether nobody is refused while there is a free place. Not where the server dies, which leaves places taken for a while,
   * nor where CXone does not say whose a session is, which then may count twice.
   */
  readonly isExact: boolean;
}

const CAP = 2;

export const MODEL_ENV = {
  MAX_CONCURRENT_SESSIONS: `${CAP}`,
  // Small where something hangs, and still above what a call takes when nothing does, but on a very busy machine.
  CXONE_TIMEOUT_MS: '500',
  CREATE_DEADLINE_MS: '2500',
  CXONE_RETRY_BASE_MS: '10',
  // Guests must not feel each other's faults: what the circuit breaker does has tests of its own.
  CXONE_BREAKER_FAILURES: '1000',
} as const;

/** Where nothing hangs and nothing may be late, on however busy a machine. */
export const PUNCTUAL_ENV = { ...MODEL_ENV, CXONE_TIMEOUT_MS: '10000', CREATE_DEADLINE_MS: '20000' } as const;

/** When a POST arrives that is late. */
const LATE_MS = 900;

/** What can go wrong at CXone, by a name that a counterexample shows. */
const FAULTS = {
  'the POST is cut before': { on: 'create', fault: { kind: 'reset' } },
  'the POST is cut after': { on: 'create', fault: { kind: 'reset' }, when: 'after' },
  'the POST meets an outage': { on: 'create', fault: { kind: 'outage' } },
  'the POST gets 500 before': { on: 'create', fault: { kind: 'status', status: 500 } },
  'the POST gets 502 after': { on: 'create', fault: { kind: 'status', status: 502 }, when: 'after' },
  'the POST gets half an answer': { on: 'create', fault: { kind: 'truncated' }, when: 'after' },
  'the POST hangs before': { on: 'create', fault: { kind: 'hang' } },
  'the POST hangs after': { on: 'create', fault: { kind: 'hang' }, when: 'after' },
  'the POST arrives late': { on: 'create', fault: { kind: 'slow', delayMs: LATE_MS }, when: 'before' },
  'the POST gets 429': { on: 'create', fault: { kind: 'rate-limit' } },
  'the POST gets 429 of an hour': { on: 'create', fault: { kind: 'rate-limit', retryAfter: '3600' } },
  'the POST gets 400': { on: 'create', fault: { kind: 'status', status: 400 } },
  'the list gets 500': { on: 'list', fault: { kind: 'status', status: 500 } },
  'the list is cut': { on: 'list', fault: { kind: 'reset' } },
  'the list hangs': { on: 'list', fault: { kind: 'hang' } },
  'the list is forbidden': { on: 'list', fault: { kind: 'status', status: 403 } },
  'the list gets 429 of an hour': { on: 'list', fault: { kind: 'rate-limit', retryAfter: '3600' } },
  'the DELETE is cut before': { on: 'end', fault: { kind: 'reset' } },
  'the DELETE is cut after': { on: 'end', fault: { kind: 'reset' }, when: 'after' },
  'the DELETE gets 500': { on: 'end', fault: { kind: 'status', status: 500 } },
  'the DELETE gets 429 of an hour': { on: 'end', fault: { kind: 'rate-limit', retryAfter: '3600' } },
} as const satisfies Record<string, Scenario>;
type FaultName = keyof typeof FAULTS;

/** What befalls one guest, in this order. What is not waited for goes on while the next begins. */
export type Step =
  /** Asks for a session, with the key of an intent; null: without a key. The same key again is a retry. */
  | { readonly do: 'open'; readonly intent: number | null; readonly waits: boolean }
  /** Ends one of the sessions that were answered. */
  | { readonly do: 'end'; readonly nth: number; readonly by: 'id' | 'sessionId'; readonly waits: boolean }
  /** An agent at CXone ends one of the sessions that live there. */
  | { readonly do: 'agent ends'; readonly nth: number }
  | { readonly do: 'fault'; readonly what: FaultName; readonly times: number }
  | { readonly do: 'mend' }
  /** Sessions get old enough for CXone's list to be trusted about them. */
  | { readonly do: 'age' };

const nth = fc.nat({ max: 3 });
const waits = fc.constantFrom(true, true, false);

const fault = (what: fc.Arbitrary<FaultName>) =>
  fc.record({ do: fc.constant('fault' as const), what, times: fc.integer({ min: 1, max: 2 }) });

const step = (intents: number, isPunctual: boolean): fc.Arbitrary<Step> => {
  const faults = (Object.keys(FAULTS) as FaultName[]).filter((name) => !isPunctual || !/late|hangs/.test(name));
  const intent = fc.nat({ max: intents - 1 });
  return fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('open' as const), intent, waits }) },
    { weight: 3, arbitrary: fault(fc.constantFrom(...faults)) },
    // What loses the answer of a session that is open tries the most.
    { weight: 3, arbitrary: fault(fc.constantFrom(...faults.filter((name) => /POST.*(after|half)/.test(name)))) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('end' as const),
        nth,
        by: fc.constantFrom('id' as const, 'sessionId' as const),
        waits,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('agent ends' as const), nth }) },
    {
      weight: intents > 1 ? 1 : 0,
      arbitrary: fc.record({ do: fc.constant('open' as const), intent: fc.constant(null), waits }),
    },
    { weight: 1, arbitrary: fc.constant({ do: 'mend' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'age' as const }) },
  );
};

export interface StoryOptions {
  /** How many intents a guest has: few, so that they are retried. With one there are no requests without a key either. */
  readonly intents?: number;
  /** Whether CXone does and answers at once what it does and answers: then no POST arrives when it was given up for lost. */
  readonly isPunctual?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
}

/** What befalls one guest. */
export const story = ({ intents = 2, isPunctual = false, minLength = 4, maxLength = 14 }: StoryOptions = {}) =>
  fc.array(step(intents, isPunctual), { minLength, maxLength });

interface Payload {
  readonly requestId: string;
  readonly clientToken: string | null;
  readonly eventCursor: string | null;
  readonly replayed: boolean;
  readonly session: { readonly id: string; readonly sessionId: string; readonly status: string } | null;
  readonly userErrors: readonly { readonly code: string; readonly stage: string }[];
}

const END = /* GraphQL */ `
  mutation End($input: EndGuestSessionInput!) {
    endGuestSession(input: $input) { upstreamEnded session { id status } userErrors { code stage } }
  }
`;

/** How an attempt may be refused here; everything else is a bug. */
const REFUSALS: readonly string[] = [
  'CAPACITY_EXCEEDED',
  'RATE_LIMITED',
  'CXONE_SCHEMA_REJECTED',
  'CXONE_UNAVAILABLE',
  'OUTCOME_UNKNOWN',
  'DEADLINE_EXCEEDED',
  'IDEMPOTENCY_IN_FLIGHT',
];
const END_REFUSALS: readonly string[] = ['RATE_LIMITED', 'CXONE_UNAVAILABLE', 'DEADLINE_EXCEEDED'];

/** A client that lost its connection comes back after this, with the same key. */
const COME_BACK_MS = 50;
const COME_BACK_WITHIN_MS = 20_000;
const AT_REST_WITHIN_MS = 12_000;
const EXPIRED_WITHIN_MS = 3_000;
/** On a busy machine CXone's list may be late, and one look in vain. */
const MOST_LOOKS = 2;
const MINUTE_MS = 60_000;
/** What is looked at within this time is left alone. */
const SOON_MS = 1_500;

/**
 * One guest in the model: an intent has one session, and what was answered stays so. Nothing here knows how the server does
 * that; it only compares what the server says with what it said before, and in the end with what CXone knows.
 */
export class GuestModel {
  readonly guestId = randomUUID();
  readonly #world: World;
  readonly #keys = new Map<number, string>();
  /** The first answer of each intent, and of each request without a key. */
  readonly #answers = new Map<string, Payload>();
  /** Sessions that somebody but us has reason to end. */
  readonly #mayBeOver = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly wrong: string[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** Sessions that were answered, in the order of their answers. */
  get answered(): readonly { readonly id: string; readonly sessionId: string }[] {
    return [...this.#answers.values()].flatMap(({ session }) => session ?? []);
  }

  async live(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step);
    await Promise.all(this.#underWay);
  }

  async #take(step: Step): Promise<void> {
    const { cxone, books } = this.#world;
    switch (step.do) {
      case 'open':
        return this.#run(this.#open(step.intent), step.waits);
      case 'end':
        return this.#run(this.#end(step.nth, step.by), step.waits);
      case 'agent ends': {
        const live = cxone.sessions(this.guestId);
        const session = live[step.nth % Math.max(1, live.length)];
        if (!session) return;
        this.#mayBeOver.add(session.sessionId);
        cxone.endSession(session.sessionId);
        return;
      }
      case 'fault':
        cxone.scenarios.add({ ...FAULTS[step.what], times: step.times, guestId: this.guestId });
        return;
      case 'mend':
        return mend(cxone, this.guestId);
      case 'age':
        books.change(
          `UPDATE "GuestSession" SET "createdAt" = "createdAt" - ? WHERE "guestId" = ? AND ${IS_SETTLED}`,
          MINUTE_MS,
          this.guestId,
        );
    }
  }

  async #run(work: Promise<void>, isWaitedFor: boolean): Promise<void> {
    this.#underWay.add(work);
    const done = work.finally(() => this.#underWay.delete(work));
    if (isWaitedFor) await done;
  }

  /** Asks for a session, and again for as long as the server is not there. */
  async #open(intent: number | null): Promise<void> {
    const key = intent === null ? null : (this.#keys.get(intent) ?? randomUUID());
    if (intent !== null && key !== null) this.#keys.set(intent, key);
    const input = { ...inputFor(this.guestId), ...(key !== null && { idempotencyKey: key }) };
    const isAlone = this.#world.isExact && this.#underWay.size === 0;
    const takenBefore = isAlone ? this.#takenPlaces() : null;

    const answer = await this.#ask(OPEN, { input }, key !== null);
    if (!answer) return; // without a key nobody can tell what has become of it
    const payload: Payload = answer.data?.createGuestSession;
    if (!payload || answer.errors) return this.#complain(`createGuestSession gave ${JSON.stringify(answer.errors)}`);

    const { session, userErrors, clientToken, replayed, requestId } = payload;
    if ((session === null) !== userErrors.length > 0) this.#complain(`neither or both: ${JSON.stringify(payload)}`);
    if (payload.eventCursor === null) this.#complain(`no cursor: ${JSON.stringify(payload)}`);
    for (const { code } of userErrors)
      if (!REFUSALS.includes(code)) this.#complain(`the refusal ${code} of ${requestId}`);

    const first = this.#answers.get(key ?? requestId);
    if (first?.session) return this.#compare(first, payload);
    if (session) {
      if (replayed && key === null) this.#complain(`a replay without a key: ${requestId}`);
      if (!clientToken && !replayed) this.#complain(`a session without its token: ${requestId}`);
      this.#answers.set(key ?? requestId, payload);
      return;
    }
    const [error] = userErrors;
    if (error?.code !== 'CAPACITY_EXCEEDED' || takenBefore === null || this.#underWay.size > 1) return;
    // What expires meanwhile makes no wrong refusal.
    const taken = Math.max(takenBefore, this.#takenPlaces());
    if (taken < CAP) this.#complain(`${requestId} was refused with ${taken} of ${CAP} places taken`);
  }

  /** An intent that was answered with a session is answered with that session for ever. */
  #compare(first: Payload, again: Payload): void {
    const isSame =
      again.session?.sessionId === first.session?.sessionId &&
      again.session?.id === first.session?.id &&
      again.requestId === first.requestId;
    if (!isSame) this.#complain(`answered ${JSON.stringify(first)} and then ${JSON.stringify(again)}`);
    if (again.session?.status !== 'ACTIVE' || !first.clientToken) return;
    if (again.clientToken !== first.clientToken && again.clientToken !== null) {
      this.#complain(`two tokens for ${first.requestId}`);
    }
  }

  async #end(nth: number, by: 'id' | 'sessionId'): Promise<void> {
    const { answered } = this;
    const target = answered[nth % Math.max(1, answered.length)];
    if (!target) return;
    this.#mayBeOver.add(target.sessionId);
    const answer = await this.#ask(END, { input: { [by]: target[by], reason: 'the model' } }, true);
    const payload = answer?.data?.endGuestSession;
    if (!payload) return this.#complain(`endGuestSession gave ${JSON.stringify(answer)}`);
    const { session, userErrors } = payload;
    if (session?.id !== target.id) this.#complain(`ended ${session?.id} instead of ${target.id}`);
    if (userErrors.length === 0) {
      if (!['ENDED', 'EXPIRED'].includes(session?.status))
        this.#complain(`${target.id} is ${session?.status} after its end`);
      const isLive = this.#world.cxone.sessions(this.guestId).some(({ sessionId }) => sessionId === target.sessionId);
      if (isLive) this.#complain(`${target.sessionId} lives on at CXone after its end`);
    }
    for (const { code } of userErrors) if (!END_REFUSALS.includes(code)) this.#complain(`the refusal ${code} to end`);
  }

  /** Null when the server died over it. @param again whether to come back then */
  async #ask(query: string, variables: object, again: boolean): Promise<GraphqlAnswer | null> {
    const startedAt = performance.now();
    for (;;) {
      try {
        return await this.#world.graphql(query, variables);
      } catch (error) {
        if (!again) return null;
        if (performance.now() - startedAt > COME_BACK_WITHIN_MS) throw error;
        await sleep(COME_BACK_MS);
      }
    }
  }

  /** Places that are taken in the books or at CXone, each session once. */
  #takenPlaces(): number {
    const held = this.#world.books.rows<{ id: string }>(
      `SELECT "id" FROM "GuestSession" WHERE "guestId" = ? AND "placeHeldUntil" > ? AND "status" IN ('PENDING', 'ACTIVE', 'UNKNOWN')`,
      this.#world.books.nameOf(this.guestId),
      Date.now(),
    );
    const live = this.#world.cxone.sessions(this.guestId);
    return new Set([...held.map(({ id }) => id), ...live.map(({ requestId }) => requestId)]).size;
  }

  /** What was answered has not got lost: it is in the books, and at CXone until somebody with a right to it has ended it. */
  checkAnswers(): void {
    for (const { requestId, session } of this.#answers.values()) {
      if (!session) continue;
      const { sessionId } = session;
      const record = this.#world.cxone.history(this.guestId).find((known) => known.sessionId === sessionId);
      if (record?.requestId !== requestId)
        this.#complain(`${sessionId} of ${requestId} is that of ${record?.requestId}`);
      if (record?.endedAt && !this.#mayBeOver.has(sessionId)) this.#complain(`${sessionId} was ended by nobody’s wish`);
      const [row] = this.#world.books.rows<{ status: string; sessionId: string }>(
        'SELECT * FROM "GuestSession" WHERE "id" = ?',
        requestId,
      );
      const isOver = record && (record.endedAt ?? record.expiresAt).getTime() <= Date.now();
      if (
        row?.sessionId !== sessionId ||
        !(isOver ? ['ACTIVE', 'ENDED', 'EXPIRED'] : ['ACTIVE']).includes(row.status)
      ) {
        this.#complain(`the books say ${JSON.stringify(row)} of ${sessionId}`);
      }
    }
  }

  #complain(what: string): void {
    this.wrong.push(`${this.guestId}: ${what}`);
  }
}

/** Rows of which nothing is to be found out any more. */
const IS_SETTLED = `"status" NOT IN ('PENDING', 'UNKNOWN') AND "reconcileAt" IS NULL`;

/** Lets nothing go wrong any more, for one guest or for all. */
function mend({ scenarios }: CxoneSandbox, guestId?: string): void {
  const others = scenarios.list().filter((scenario) => guestId !== undefined && scenario.guestId !== guestId);
  scenarios.clear();
  for (const scenario of others) scenarios.add(scenario);
}

/**
 * Mends CXone, waits until all has come to rest, and compares.
 * @returns what is wrong: nothing, when one intent has had one session at a time and everybody agrees on which
 */
export async function settle(world: World, guests: readonly GuestModel[]): Promise<string[]> {
  mend(world.cxone);
  // What hangs is answered by nobody; what is late has arrived by then.
  await eventually(() =>
    world.cxone.calls.every(({ status, at }) => status !== null || Date.now() - at.getTime() > LATE_MS + 100),
  );
  const { books } = world;
  const overdue = () => {
    books.change(
      `UPDATE "GuestSession" SET "reconcileAt" = 1 WHERE "status" IN ('PENDING', 'UNKNOWN') AND "reconcileAt" > ?`,
      Date.now() + SOON_MS,
    );
    // Looks for what arrives late go on for half a minute after an attempt: let the next be the last.
    books.change(
      `UPDATE "GuestSession" SET "reconcileAt" = 1, "looks" = max("looks", 3)
         WHERE "status" NOT IN ('PENDING', 'UNKNOWN') AND "reconcileAt" > ?`,
      Date.now(),
    );
  };
  books.change(`UPDATE "GuestSession" SET "createdAt" = "createdAt" - ? WHERE ${IS_SETTLED}`, MINUTE_MS);
  await eventually(() => {
    overdue();
    return books.count(`FROM "GuestSession" WHERE NOT (${IS_SETTLED})`) === 0;
  }, AT_REST_WITHIN_MS).catch(() => undefined);
  const open = books.rows<{ id: string; status: string }>(
    `SELECT "id", "status" FROM "GuestSession" WHERE NOT (${IS_SETTLED})`,
  );

  // The books learn of what an agent has ended when they look the next time: they do when the guest asks for another session.
  world.cxone.scenarios.add({ on: 'create', fault: { kind: 'status', status: 400 } });
  books.change(`UPDATE "GuestSession" SET "createdAt" = "createdAt" - ? WHERE ${IS_SETTLED}`, MINUTE_MS);
  let broken: string[] = [];
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    await Promise.all(guests.map((guest) => guest.live([{ do: 'open', intent: null, waits: true }])));
    // A session that has just expired is marked a moment later.
    await eventually(() => {
      broken = violations(withoutLateArrivals(world), { maxConcurrentSessions: CAP });
      return broken.length === 0;
    }, EXPIRED_WITHIN_MS).catch(() => undefined);
    if (broken.length === 0) break;
  }
  for (const guest of guests) guest.checkAnswers();
  const { data } = await world.graphql(CHECK_TRAIL);
  return [
    ...open.map(({ id, status }) => `${id} has not come to rest: ${status}`),
    ...broken,
    ...guests.flatMap(({ wrong }) => wrong),
    ...(data.verifyAuditTrail.ok ? [] : [`the audit trail does not verify: ${JSON.stringify(data.verifyAuditTrail)}`]),
  ];
}

/**
 * The books and CXone's history without what arrived late, which nobody could keep from being a second session for a moment:
 * those that the audit trail says were ended for it.
 */
function withoutLateArrivals({ cxone, books }: World) {
  const history = (): SandboxSessionRecord[] => {
    const entries = books.rows<{ reason: string }>(`SELECT * FROM "AuditEntry" WHERE "kind" = 'SESSION_RECONCILED'`);
    const reasons = entries.filter(({ reason }) => reason.startsWith('a POST arrived late'));
    const late = new Set(reasons.flatMap(({ reason }) => reason.match(/cxs_[\w-]+/g) ?? []));
    return cxone.history().filter(({ sessionId }) => !late.has(sessionId));
  };
  return {
    cxone: { history, sessions: () => cxone.sessions() },
    rows: <Row>(sql: string, ...parameters: (string | number)[]) => books.rows<Row>(sql, ...parameters),
    count: (sql: string, ...parameters: (string | number)[]) => books.count(sql, ...parameters),
  };
}
