import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { Gate } from '../support/gate.js';
import { inputFor, type Network, type NetworkOptions, open, startSharedNetwork } from '../support/network.js';
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
/** What the cells on one server may spend of its retry budget: that is 20, and each cell's calls add another to it. */
const RETRIES_TO_SHARE = 30;
/** Most of the time is spent waiting, for the disk and for timeouts: so many servers are at work at one time. */
const LANES = 3;

const opening = ({ what, refusal, again }: OpenCell): string =>
  `${what}: ${refusal ? `${refusal.code}, and when CXone is well the same request ${again}` : 'a session'}`;
const ending = ({ what, refusal }: EndCell): string => `${what}: ${refusal?.code ?? 'ended'}`;
const clearing = ({ what, refusal }: ClearCell): string => `${what}: ${refusal?.code ?? 'another session'}`;

const GROUPS = [
  ...groupsOf('a request for a session', [...TOKEN_CELLS, ...LIST_CELLS, ...CREATE_CELLS], opening, opens),
  ...groupsOf('a lost answer', [...LOOKUP_CELLS, ...ADOPTION_CELLS, ...SEQUENCE_CELLS], opening, opens),
  ...groupsOf('a lost answer', [...KEYLESS_CELLS, ...TENANT_CELLS], opening, opens),
  ...groupsOf('a retry after a lost answer', CLEAR_CELLS, clearing, clears),
  ...groupsOf('an order to end a session', [...END_CELLS, ...OTHER_END_CELLS], ending, ends),
  ...groupsOf('a request for a session, with little time', DEADLINE_CELLS, opening, opens, SHORT_DEADLINE),
  ...groupsOf('an order to end a session, with little time', DEADLINE_END_CELLS, ending, ends, SHORT_DEADLINE),
];
for (let lane = 0; lane < LANES; lane += 1) {
  describe.concurrent('under fault', () => {
    for (const group of GROUPS.filter((_, index) => index % LANES === lane)) describeGroup(group);
  });
}

describe('where nobody listens nothing is sent', () => {
  let gate: Gate;
  const shared = sharedNetwork(async () => {
    gate = await Gate.open();
    const network = await startSharedNetwork({
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
    await using network = await startSharedNetwork({ env });
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
  });
});

type Cell = Pick<OpenCell, 'what' | 'tenant' | 'meets' | 'token' | 'retries'> &
  Partial<Pick<OpenCell, 'again' | 'excuse'>>;

/** Cells that share a server, each for a guest of its own. */
interface Group {
  readonly name: string;
  readonly options: NetworkOptions;
  /** They run side by side, but where tokens are counted. */
  readonly isSerial: boolean;
  readonly tests: { readonly title: string; play(network: Network): Promise<void> }[];
}

function groupsOf<T extends Cell>(
  name: string,
  cells: readonly T[],
  titleOf: (cell: T) => string,
  play: (network: Network, cell: T) => Promise<void>,
  env: NetworkOptions['env'] = {},
): Group[] {
  const groups: (Group & { kind: string; retries: number })[] = [];
  for (const cell of cells) {
    const { tenant, retries } = cell;
    const isSerial = cell.token !== undefined;
    const options = { env: { ...ENV, ...envFor(cell), ...env }, cxone: TENANTS[tenant] };
    const kind = JSON.stringify([tenant, isSerial, options.env]);
    let group = groups.find((one) => one.kind === kind && one.retries + retries <= RETRIES_TO_SHARE);
    if (!group) {
      group = { name: `${name}, of a tenant ${tenant}`, options, isSerial, tests: [], kind, retries: 0 };
      groups.push(group);
    }
    group.tests.push({ title: titleOf(cell), play: (network) => play(network, cell) });
    group.retries += retries;
  }
  return groups;
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

function describeGroup({ name, options, isSerial, tests }: Group): void {
  describe.sequential(name, () => {
    const isToLearn = options.cxone?.echoAttributes === false;
    const shared = sharedNetwork(() => startSharedNetwork(options), isToLearn);
    const testOf = isSerial ? test.sequential : test.concurrent;
    for (const { title, play } of tests) testOf(title, () => play(shared.network));
    thenAllIsInOrder(shared);
  });
}

interface Shared {
  readonly network: Network;
}

/**
 * A network for the tests of a group, whose server has a token and has opened a session when the first begins.
 * @param isToLearn whether it has also found out that CXone repeats no request ids, which takes a lost answer
 */
function sharedNetwork(start: () => Promise<Network>, isToLearn = false): Shared {
  let network: Network;
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
}
