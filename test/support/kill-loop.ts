import { randomUUID } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault } from '../../src/sandbox/faults.js';
import { CHECK_TRAIL, isAtRest, unrest, violations } from './check-books.js';
import { eventually } from './eventually.js';
import { OPEN, SEED_INPUT } from './network.js';
import { type ServerProcess, Site } from './server-process.js';

const CLIENTS = 16;
/** So few that all of them are at the cap before long. */
const GUESTS = 40;
const CAP = 5;

/** Of the kills, so many come before the server listens. */
const KILLS_DURING_START = 0.2;
/** Before a start is over, on a machine that has other things to do as well. */
const LONGEST_START_MS = 500;
const LONGEST_LIFE_MS = 3_000;
/** Where a machine is too busy to keep the pace, lives are shorter. */
const HURRIED_LIFE_MS = [50, 400] as const;
const HURRIED_REPLIES = 30;
const ANSWERED_WITHIN_MS = 60_000;
const AT_REST_WITHIN_MS = 30_000;
/** Longer than an attempt may take: a request that takes more hangs. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Of a client that is told to try again and not when. */
const PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

/** What a client may be told that does not answer it. */
const TRY_AGAIN: readonly string[] = [
  'IDEMPOTENCY_IN_FLIGHT',
  'OUTCOME_UNKNOWN',
  'CXONE_UNAVAILABLE',
  'LEDGER_UNAVAILABLE',
  'RATE_LIMITED',
  'DEADLINE_EXCEEDED',
];

/** What CXone does to a POST or a DELETE now and then. */
const MISHAPS: readonly { readonly fault: Fault; readonly when: 'before' | 'after' }[] = [
  { fault: { kind: 'reset' }, when: 'after' },
  { fault: { kind: 'reset' }, when: 'after' },
  { fault: { kind: 'status', status: 502 }, when: 'after' },
  { fault: { kind: 'truncated' }, when: 'after' },
  { fault: { kind: 'reset' }, when: 'before' },
  { fault: { kind: 'rate-limit' }, when: 'before' },
];

const END = /* GraphQL */ `
  mutation End($id: ID!) {
    endGuestSession(input: { id: $id, reason: "the kill loop" }) {
      session { status sessionId }
      userErrors { code retryAfterSeconds }
    }
  }
`;

export interface KillLoopOptions {
  readonly seed: number;
  readonly cycles: number;
  /** How long a server lives that has got ready: for so many milliseconds, or until it has given so many answers. */
  readonly life: { readonly ms: readonly [least: number, most: number]; readonly mostReplies: number };
  /** How long a cycle may take on average. */
  readonly paceMs: number;
  readonly cxone?: CxoneSandboxOptions;
}

export interface KillLoopReport {
  readonly summary: string;
  /** Empty when every rule held. */
  readonly violations: readonly string[];
}

/** An intent that was answered with a session. */
interface Answered {
  readonly input: object;
  readonly key: string;
  readonly guestId: string;
  readonly requestId: string;
  readonly sessionId: string;
  readonly clientToken: string;
  /** Whether somebody has begun to end it. */
  isEnding: boolean;
}

/**
 * Runs a server under load and kills it again and again, at random moments, each time going on with the same database; then
 * lets all clients finish, and compares what they were told with the books and with CXone.
 */
export async function killLoop(options: KillLoopOptions): Promise<KillLoopReport> {
  const startedAt = performance.now();
  const random = new Random(options.seed);
  const site = await Site.prepare({
    env: { MAX_CONCURRENT_SESSIONS: `${CAP}`, CRM_RETRY_SCHEDULE: Array(20).fill('0').join(',') },
    ...(options.cxone && { cxone: options.cxone }),
  });
  // Who is late hears of a POST that was on the wire after a look that was sent later.
  const pauses = monitorEventLoopDelay({ resolution: 10 });
  pauses.enable();

  const told = new Told();
  const webhooks = new Webhooks();
  const wreckage = new Wreckage();
  const guests = Array.from({ length: GUESTS }, () => randomUUID());
  const clients = Array.from({ length: CLIENTS }, () => new Client(site.url, guests, random.fork(), told));
  const working = Promise.all(clients.map((client) => client.work()));

  for (let cycle = 0; cycle < options.cycles; cycle += 1) {
    webhooks.collect(site);
    changeWeather(site, random);
    const server = site.spawn();
    const isLate = performance.now() - startedAt > cycle * options.paceMs;
    const life = isLate ? { ms: HURRIED_LIFE_MS, mostReplies: HURRIED_REPLIES } : options.life;
    if (random.chance(KILLS_DURING_START)) await sleep(random.upTo(LONGEST_START_MS));
    else await live(server, random, told, life);
    if (!server.isRunning) told.wrong.push('a server has ended by itself');
    const wasReady = server.isReady;
    await server.end('SIGKILL');
    if (server.err) told.wrong.push(`the server has logged: ${server.err}`);
    wreckage.look(site, wasReady);
  }

  const last = await site.start();
  for (const client of clients) client.stop();
  let haveFinished = false;
  void working.then(() => {
    haveFinished = true;
  });
  await eventually(() => haveFinished, ANSWERED_WITHIN_MS).catch(() => {
    told.isOver = true;
    told.wrong.push('there are clients that are not answered');
  });
  await eventually(() => isAtRest(site), AT_REST_WITHIN_MS).catch(() => {
    told.wrong.push(`has not come to rest: ${JSON.stringify(unrest(site))}`);
  });
  const { verifyAuditTrail } = (await site.graphql(CHECK_TRAIL)).data;
  if (!verifyAuditTrail.ok) told.wrong.push(`the audit trail is broken: ${JSON.stringify(verifyAuditTrail)}`);
  const [code] = await last.end('SIGTERM');
  if (code !== 0) told.wrong.push(`the last server has ended with ${code}: ${last.err}`);
  webhooks.collect(site);
  pauses.disable();

  const wrong = [
    ...told.wrong,
    ...violations(site, { maxConcurrentSessions: CAP }),
    ...brokenPromises(site, told),
    ...webhooks.violations(site, told),
  ];
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  const reconciled = site.count(`FROM "AuditEntry" WHERE "kind" = 'SESSION_RECONCILED'`);
  const replaced = site.count(`FROM "AuditEntry" WHERE "kind" = 'SESSION_ENDED' AND "actor" = 'retry'`);
  return {
    violations: wrong,
    summary:
      `kill loop, seed ${options.seed}: ${options.cycles} cycles in ${seconds} s (${wreckage.duringStart} kills during the ` +
      `start); ${told.intents} intents, ${told.requests} requests: ${told.answered.length} answered, ${told.refused} at the ` +
      `cap, ${told.ended} ended, ${told.repeated} asked for again; left behind ${wreckage}; ${reconciled} reconciled, ` +
      `${replaced} replaced; ${webhooks.count} webhooks; longest pause ${(pauses.max / 1e6).toFixed(0)} ms; ` +
      `${wrong.length} violations`,
  };
}

/** Lets a server get ready and live for a while: for some time, or until it has given some answers. */
async function live(server: ServerProcess, random: Random, told: Told, life: KillLoopOptions['life']): Promise<void> {
  await server.ready();
  if (random.chance(0.5)) return sleep(random.within(life.ms));
  const enough = told.replies + random.upTo(life.mostReplies);
  const tooLong = performance.now() + LONGEST_LIFE_MS;
  return eventually(() => told.replies >= enough || performance.now() > tooLong, 2 * LONGEST_LIFE_MS).then(
    () => undefined,
  );
}

/** CXone and the CRM take their time, another one in each cycle, and now and then something goes wrong. */
function changeWeather({ cxone, crm }: Site, random: Random): void {
  cxone.scenarios.clear();
  for (const on of ['create', 'create', 'end', 'list'] as const) {
    const { fault, when } =
      on === 'list' ? ({ fault: { kind: 'reset' }, when: 'before' } as const) : random.pick(MISHAPS);
    cxone.scenarios.add({ on, fault, when, skip: random.upTo(60), times: 1 + random.upTo(2) });
  }
  for (const on of ['create', 'list', 'end'] as const) {
    // What is done before the delay has its answer lost by a kill; what comes after it arrives when we are dead.
    const when = random.pick(['before', 'after'] as const);
    cxone.scenarios.add({ on, when, fault: { kind: 'slow', delayMs: random.upTo(40) } });
  }
  crm.scenarios.add({ on: 'webhook', when: 'after', fault: { kind: 'reset' }, skip: random.upTo(20), times: 2 });
  crm.scenarios.add({ on: 'webhook', fault: { kind: 'slow', delayMs: random.upTo(20) } });
}

/** What the clients were told, all together. */
class Told {
  readonly answered: Answered[] = [];
  /** Violations of what one client can see. */
  readonly wrong: string[] = [];
  /** Nobody waits for an answer any more. */
  isOver = false;
  intents = 0;
  requests = 0;
  replies = 0;
  refused = 0;
  ended = 0;
  repeated = 0;
}

/** What a request came to; null where no answer came, or one that says to try again. */
type Reply = { readonly data: Record<string, Payload> } | null;

interface Payload {
  readonly requestId: string;
  readonly clientToken: string | null;
  readonly replayed: boolean;
  readonly session: { readonly id: string; readonly sessionId: string; readonly status: string } | null;
  readonly userErrors: readonly { readonly code: string; readonly retryAfterSeconds: number | null }[];
}

/** One caller: has an intent, asks until it is answered, ends a session now and then, and has the next intent. */
class Client {
  readonly #url: string;
  readonly #guests: readonly string[];
  readonly #random: Random;
  readonly #told: Told;
  #isStopping = false;

  constructor(url: string, guests: readonly string[], random: Random, told: Told) {
    this.#url = url;
    this.#guests = guests;
    this.#random = random;
    this.#told = told;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async work(): Promise<void> {
    while (!this.#isStopping) {
      // Some guests come far more often than others.
      const guestId = this.#guests[Math.floor(this.#random.next() ** 2 * this.#guests.length)] ?? '';
      const wasOpened = await this.#open(guestId);
      // Who has no place left for a guest makes room.
      if (!wasOpened || this.#random.chance(0.2)) await this.#end(guestId);
      if (this.#random.chance(0.1)) await this.#repeat();
      await sleep(this.#random.upTo(30));
    }
  }

  /** Opens a session; now and then as somebody who clicks twice. @returns whether there was an answer with one */
  async #open(guestId: string): Promise<boolean> {
    this.#told.intents += 1;
    const key = randomUUID();
    const input = { ...SEED_INPUT, guestId, idempotencyKey: key };
    const clicks = this.#random.chance(0.1) ? 2 : 1;
    const payloads = await Promise.all(Array.from({ length: clicks }, () => this.#answer(input)));
    const [first, ...others] = payloads.filter((payload) => payload !== null);
    if (!first?.session || first.clientToken === null) {
      this.#told.refused += 1;
      return false;
    }
    const { session, clientToken, requestId } = first;
    const { sessionId } = session;
    for (const other of others) this.#expectSame({ key, sessionId, clientToken, isEnding: false }, other);
    this.#told.answered.push({ input, key, guestId, requestId, sessionId, clientToken, isEnding: false });
    return true;
  }

  /** Asks until there is an answer. @returns null where there is no place for the guest */
  async #answer(input: { readonly idempotencyKey: string }): Promise<Payload | null> {
    while (!this.#told.isOver) {
      const reply = await this.#ask(OPEN, { input });
      const payload = reply?.data.createGuestSession;
      if (!payload) continue;
      if (payload.session && payload.userErrors.length === 0) return payload;
      const code = payload.userErrors[0]?.code ?? '(none)';
      if (code !== 'CAPACITY_EXCEEDED') this.#told.wrong.push(`${input.idempotencyKey} was answered ${code}`);
      return null;
    }
    return null;
  }

  /** Asks once more for what was answered before. */
  async #repeat(): Promise<void> {
    const { answered } = this.#told;
    const earlier = answered[answered.length - 1 - this.#random.upTo(Math.min(answered.length - 1, 200))];
    if (!earlier) return;
    this.#told.repeated += 1;
    const payload = await this.#answer(earlier.input as { idempotencyKey: string });
    if (payload) this.#expectSame(earlier, payload);
    else this.#told.wrong.push(`${earlier.key} was answered, and refused later`);
  }

  #expectSame(
    { key, sessionId, clientToken, isEnding }: Pick<Answered, 'key' | 'sessionId' | 'clientToken' | 'isEnding'>,
    { session, clientToken: token }: Payload,
  ): void {
    const isSameToken = token === clientToken || (isEnding && token === null);
    if (session?.sessionId === sessionId && isSameToken) return;
    this.#told.wrong.push(`${key} was answered with ${sessionId}, and then with ${session?.sessionId}`);
  }

  async #end(guestId: string): Promise<void> {
    const open = this.#told.answered.filter((session) => session.guestId === guestId && !session.isEnding);
    if (open.length === 0) return;
    const session = this.#random.pick(open);
    session.isEnding = true;
    while (!this.#told.isOver) {
      const payload = (await this.#ask(END, { id: session.requestId }))?.data.endGuestSession;
      if (!payload) continue;
      const isOver = payload.session?.status === 'ENDED' && payload.session.sessionId === session.sessionId;
      if (!isOver) this.#told.wrong.push(`${session.sessionId} cannot be ended: ${JSON.stringify(payload)}`);
      this.#told.ended += 1;
      return;
    }
  }

  /** Sends one request. Where it should be sent again, it has waited before it says so. */
  async #ask(query: string, variables: object): Promise<Reply> {
    this.#told.requests += 1;
    try {
      const response = await fetch(`${this.#url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const answer = (await response.json()) as { data?: Record<string, Payload> };
      this.#told.replies += 1;
      if (response.status !== 200 || !answer.data) {
        this.#told.wrong.push(`answered ${response.status} ${JSON.stringify(answer)}`);
        return await this.#pause();
      }
      const problem = Object.values(answer.data)[0]?.userErrors[0];
      if (!problem || !TRY_AGAIN.includes(problem.code)) return { data: answer.data };
      return await this.#pause(problem.retryAfterSeconds);
    } catch (error) {
      if (error instanceof DOMException) this.#told.wrong.push(`a request was not answered: ${error.message}`);
      return this.#pause();
    }
  }

  async #pause(seconds?: number | null): Promise<null> {
    const ms = seconds == null ? this.#random.upTo(2 * PAUSE_MS) : seconds * 1000;
    await sleep(Math.min(ms, LONGEST_PAUSE_MS));
    return null;
  }
}

/** What was answered is in the books and at CXone; and what is at CXone was answered. */
function brokenPromises(site: Site, { answered }: Told): string[] {
  type Row = { id: string; sessionId: string | null; status: string; idempotencyKey: string | null };
  const rows = site.rows<Row>('SELECT * FROM "GuestSession"');
  const books = new Map(rows.map((row) => [row.id, row]));
  const cxone = new Map(site.cxone.history().map((session) => [session.sessionId, session]));
  const lost = answered.flatMap(({ key, requestId, sessionId, clientToken, isEnding }) => {
    const [row, session] = [books.get(requestId), cxone.get(sessionId)];
    const isInBooks = row?.sessionId === sessionId && row.idempotencyKey === site.blindKey(key);
    const status = isEnding ? 'ENDED' : 'ACTIVE';
    const isAtCxone = session?.token === clientToken && (session.endedAt !== null) === isEnding;
    if (isInBooks && row.status === status && isAtCxone) return [];
    return [
      `${sessionId} was answered to ${key} as ${requestId}, should be ${status}, and is in the books ${JSON.stringify(row)}, ` +
        `at CXone ${JSON.stringify(session)}`,
    ];
  });
  const known = new Set(answered.map(({ sessionId }) => sessionId));
  const extra = site.cxone.sessions().filter(({ sessionId }) => !known.has(sessionId));
  return [
    ...lost,
    ...extra.map(
      ({ sessionId, requestId }) => `${sessionId} of ${requestId} is live at CXone and was answered to nobody`,
    ),
  ];
}

/** What the CRM has heard. It keeps only so much itself. */
class Webhooks {
  count = 0;
  readonly #bodies = new Map<string, string>();
  readonly #idsBySession = new Map<string, Set<string>>();
  readonly #changed: string[] = [];

  collect({ crm }: Site): void {
    for (const { headers, body, rawBody } of crm.received) {
      this.count += 1;
      const id = String(headers['webhook-id']);
      const { sessionId } = (body as { payload: { sessionId: string } }).payload;
      if ((this.#bodies.get(id) ?? rawBody) !== rawBody) this.#changed.push(id);
      this.#bodies.set(id, rawBody);
      this.#idsBySession.set(sessionId, (this.#idsBySession.get(sessionId) ?? new Set()).add(id));
    }
    crm.reset();
  }

  violations(site: Site, { answered }: Told): string[] {
    const delivered = site.rows<{ id: string }>(`SELECT "id" FROM "WebhookDelivery" WHERE "status" = 'DELIVERED'`);
    return [
      ...this.#changed.map((id) => `the webhook ${id} was not the same each time`),
      ...answered
        .filter(({ sessionId }) => !this.#idsBySession.has(sessionId))
        .map(({ sessionId }) => `the CRM has not heard of ${sessionId}`),
      ...[...this.#idsBySession]
        .filter(([, ids]) => ids.size > 1)
        .map(([sessionId, ids]) => `the CRM has heard of ${sessionId} as ${[...ids].join(' and ')}`),
      ...delivered.filter(({ id }) => !this.#bodies.has(id)).map(({ id }) => `the CRM has not heard ${id}`),
    ];
  }
}

/** What the dead servers left behind, all together. */
class Wreckage {
  duringStart = 0;
  #keys = 0;
  #withoutSession = 0;
  #withSession = 0;
  #webhooks = 0;

  look(site: Site, wasReady: boolean): void {
    if (!wasReady) {
      this.duringStart += 1;
      return;
    }
    const live = new Set(site.cxone.sessions().map(({ requestId }) => requestId));
    const pending = site.rows<{ id: string }>(`SELECT "id" FROM "GuestSession" WHERE "status" = 'PENDING'`);
    const withSession = pending.filter(({ id }) => live.has(id)).length;
    this.#withSession += withSession;
    this.#withoutSession += pending.length - withSession;
    const hasNoAttempt = `NOT EXISTS (SELECT 1 FROM "GuestSession" WHERE "id" = k."requestId")`;
    this.#keys += site.count(`FROM "IdempotencyKey" k WHERE "state" = 'IN_FLIGHT' AND ${hasNoAttempt}`);
    this.#webhooks += unrest(site).webhooks;
  }

  toString(): string {
    return (
      `${this.#keys} keys without an attempt, ${this.#withoutSession} attempts without a session, ${this.#withSession} ` +
      `sessions that the books did not have, ${this.#webhooks} webhooks`
    );
  }
}

/** Chance that can be played again (mulberry32). What it decides can; what the scheduler makes of it cannot. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from 0 to `most`. */
  upTo(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }

  within([least, most]: readonly [number, number]): number {
    return least + this.upTo(most - least);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.upTo(items.length - 1)] as T;
  }

  /** Another one, that does not depend on how often this one is asked. */
  fork(): Random {
    return new Random(this.next() * 2 ** 32);
  }
}
