import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { Gate } from '../support/gate.js';
import { inputFor, type Network, type NetworkOptions, open } from '../support/network.js';
import { startWatchedNetwork, type WatchedNetwork } from '../support/watched-network.js';
import {
  ADOPTION_CELLS,
  CLEAR_CELLS,
  type ClearCell,
  CREATE_CELLS,
  DEADLINE_CELLS,
  DEADLINE_END_CELLS,
  END_CELLS,
  type EndCell,
  KEYLESS_CELLS,
  LIST_CELLS,
  LOOKUP_CELLS,
  type OpenCell,
  OTHER_END_CELLS,
  REFUSED_CELLS,
  REFUSED_END_CELL,
  SEQUENCE_CELLS,
  TENANT_CELLS,
  TENANTS,
  TIMEOUT_MS,
  TOKEN_CELLS,
} from './fault-matrix.js';
import { clears, end, ends, opens, type Weather } from './fault-matrix-plays.js';

const ENV = { CXONE_RETRY_BASE_MS: '5', CXONE_BREAKER_FAILURES: '1000' };
/** Node runs timers of the same length together, out of order with others where it is late: none has this length. */
const SHORT_DEADLINE = { CXONE_TIMEOUT_MS: '5000', CREATE_DEADLINE_MS: '1097' };
/** What the cells on one server may spend of its retry budget: that is 20 at first. */
const RETRIES_TO_SHARE = 18;
/** What each cell pays into it at the least: by three calls that are no retries. */
const PAID_IN = 0.6;
/** Most of the time is spent waiting, for the disk and for timeouts: so many servers are at work at one time. */
const LANES = 3;

const opening = ({ what, refusal, again }: OpenCell): string =>
  `${what}: ${refusal ? `${refusal.code}, and when CXone is well the same request ${again}` : 'a session'}`;
const ending = ({ what, refusal }: EndCell): string => `${what}: ${refusal?.code ?? 'ended'}`;
const clearing = ({ what, refusal }: ClearCell): string => `${what}: ${refusal?.code ?? 'another session'}`;

const GROUPS = groupsOf([
  ...[...TOKEN_CELLS, ...LIST_CELLS, ...CREATE_CELLS].map((cell) => play(cell, opening(cell), opens)),
  ...[...LOOKUP_CELLS, ...ADOPTION_CELLS, ...SEQUENCE_CELLS].map((cell) => play(cell, opening(cell), opens)),
  ...[...KEYLESS_CELLS, ...TENANT_CELLS].map((cell) => play(cell, opening(cell), opens)),
  ...CLEAR_CELLS.map((cell) => play(cell, clearing(cell), clears)),
  ...[...END_CELLS, ...OTHER_END_CELLS].map((cell) => play(cell, ending(cell), ends)),
  ...DEADLINE_CELLS.map((cell) => play(cell, `${opening(cell)}, with little time`, opens, SHORT_DEADLINE)),
  ...DEADLINE_END_CELLS.map((cell) => play(cell, `${ending(cell)}, with little time`, ends, SHORT_DEADLINE)),
]);
for (let lane = 0; lane < LANES; lane += 1) {
  describe.concurrent('under fault', () => {
    for (const group of GROUPS.filter((_, index) => index % LANES === lane)) describeGroup(group);
  });
}

describe('where nobody listens nothing is sent', () => {
  let gate: Gate;
  const shared = sharedNetwork(async () => {
    gate = await Gate.open();
    const network = await startWatchedNetwork({
      env: { ...ENV, MAX_CONCURRENT_SESSIONS: '1', CXONE_BASE_URL: gate.url },
    });
    gate.target = network.cxone.url;
    return network;
  });
  afterAll(() => gate[Symbol.asyncDispose]());
  const closedAfter = (calls: number): Weather => ({ begin: () => gate.closeAfter(calls), end: () => gate.reopen() });

  for (const { cell, after } of REFUSED_CELLS) {
    test(opening(cell), () => opens(shared.network, cell, closedAfter(after)));
  }
  test(ending(REFUSED_END_CELL), () => ends(shared.network, REFUSED_END_CELL, closedAfter(0)));
  thenAllIsInOrder(shared);
});

describe('while a circuit is open nothing is sent, and whoever waits as long as told is served', () => {
  const env = { ...ENV, CXONE_BREAKER_FAILURES: '1', CXONE_BREAKER_OPEN_MS: '4000' };
  const refused = { code: 'CXONE_UNAVAILABLE', retryable: true, retryAfterSeconds: expect.any(Number) };

  test.concurrent.each([
    ['token', 'AUTHENTICATE'],
    ['list', 'CAPACITY'],
    ['create', 'CREATE'],
    ['end', 'END'],
  ] as const)('%s', async (call, stage) => {
    await using network = await startWatchedNetwork({ env });
    const { session } = call === 'end' ? await open(network) : { session: null };
    const input = { ...inputFor(), idempotencyKey: randomUUID() };
    const ask = () => (session ? end(network, { id: session.id }) : open(network, input));
    network.cxone.scenarios.add({ on: call, fault: { kind: 'status', status: 500 }, times: 1 });
    expect((await ask()).userErrors).toMatchObject([{ code: 'CXONE_UNAVAILABLE', stage }]);
    expect(network.cxone.count(call)).toBe(1);

    const { userErrors } = await ask();

    expect(userErrors).toMatchObject([{ ...refused, stage }]);
    expect(network.cxone.count(call)).toBe(1);
    const [{ retryAfterSeconds }] = userErrors;
    expect(retryAfterSeconds).toBeLessThanOrEqual(4);
    await sleep(retryAfterSeconds * 1000 + 10);
    expect(await ask()).toMatchObject({ userErrors: [], session: { status: session ? 'ENDED' : 'ACTIVE' } });
    expect(network.cxone.count(call)).toBe(2);
    await network.expectNoLeak();
  });
});

type Cell = Pick<OpenCell, 'what' | 'tenant' | 'meets' | 'token' | 'retries'> &
  Partial<Pick<OpenCell, 'again' | 'excuse'>>;

/** One cell, and how it is played. */
interface Play {
  readonly cell: Cell;
  readonly title: string;
  readonly env: NetworkOptions['env'];
  on(network: Network): Promise<void>;
}

function play<T extends Cell>(
  cell: T,
  title: string,
  playOn: (network: Network, cell: T) => Promise<void>,
  env: NetworkOptions['env'] = {},
): Play {
  return { cell, title, env: { ...ENV, ...envFor(cell), ...env }, on: (network) => playOn(network, cell) };
}

/** Cells that share a server, each for a guest of its own. */
interface Group {
  readonly tenant: Cell['tenant'];
  readonly env: NetworkOptions['env'];
  /** They run side by side, but where tokens are counted. */
  readonly isSerial: boolean;
  readonly plays: Play[];
  retries: number;
}

/** As few servers as can be: to start one takes longer than most cells. */
function groupsOf(plays: readonly Play[]): Group[] {
  const groups = new Map<string, Group[]>();
  for (const each of plays) {
    const { tenant, retries, token } = each.cell;
    const isSerial = token !== undefined;
    const kind = JSON.stringify([tenant, isSerial, each.env]);
    const alike = groups.get(kind) ?? [];
    groups.set(kind, alike);
    const spent = Math.max(0, retries - PAID_IN);
    let group = alike.find((one) => one.retries + spent <= RETRIES_TO_SHARE);
    if (!group) {
      group = { tenant, env: each.env, isSerial, plays: [], retries: 0 };
      alike.push(group);
    }
    group.plays.push(each);
    group.retries += spent;
  }
  return [...groups.values()].flat();
}

/** With one place for each guest, so that one that is held in vain shows; and short timeouts where something hangs. */
function envFor({ meets, excuse, again }: Cell): Record<string, string> {
  const hangs = meets.some(({ fault: { kind } }) => kind === 'slow' || kind === 'hang' || kind === 'drip');
  const hasTwoSessions = excuse !== undefined || again === 'stays held';
  return {
    MAX_CONCURRENT_SESSIONS: hasTwoSessions ? '5' : '1',
    ...(hangs && { CXONE_TIMEOUT_MS: String(TIMEOUT_MS) }),
  };
}

function describeGroup({ tenant, env, isSerial, plays }: Group): void {
  describe.sequential(`a tenant ${tenant}`, () => {
    const cxone: CxoneSandboxOptions = TENANTS[tenant];
    const isToLearn = cxone.echoAttributes === false;
    const shared = sharedNetwork(() => startWatchedNetwork({ cxone, ...(env && { env }) }), isToLearn);
    const testOf = isSerial ? test.sequential : test.concurrent;
    for (const { title, on } of plays) testOf(title, () => on(shared.network));
    thenAllIsInOrder(shared);
  });
}

interface Shared {
  readonly network: WatchedNetwork;
}

/**
 * A network for the tests of a group, whose server has a token and has opened a session when the first begins.
 * @param isToLearn whether it has also found out that CXone repeats no request ids, which takes a lost answer
 */
function sharedNetwork(start: () => Promise<WatchedNetwork>, isToLearn = false): Shared {
  let network: WatchedNetwork;
  beforeAll(async () => {
    network = await start();
    expect((await open(network)).userErrors).toEqual([]);
    if (!isToLearn) return;
    network.cxone.scenarios.add({ on: 'create', fault: { kind: 'reset' }, when: 'after', times: 1 });
    await open(network);
  });
  afterAll(() => network[Symbol.asyncDispose]());
  return {
    get network() {
      return network;
    },
  };
}

const WHOLE = /* GraphQL */ `
  { verifyAuditTrail { ok reason } sessions(first: 100, filter: { status: PENDING }) { nodes { id } } }
`;

function thenAllIsInOrder(shared: Shared): void {
  test.sequential('and after all that the audit trail verifies, the events have no gap, and no attempt is open', async () => {
    const { data } = await shared.network.graphql(WHOLE);
    expect(data).toEqual({ verifyAuditTrail: { ok: true, reason: null }, sessions: { nodes: [] } });
    const file = new SqliteConnection(shared.network.app.engine.databasePath, { readOnly: true });
    const events = file.all<{ sequence: number }>('SELECT "sequence" FROM "SessionEvent" ORDER BY "sequence"');
    file.close();
    expect(events.length).toBeGreaterThan(0);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  });
  test.sequential('and no secret is in its log, answers, errors, events, webhooks, metrics, audits or files', () =>
    shared.network.expectNoLeak());
}
