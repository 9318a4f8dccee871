import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { SEED_INPUT } from '../support/network.js';

const GUEST = randomUUID();
const OPEN_SHORT = 'mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { requestId } }';

describe('a list', () => {
  let server: Server;
  /** Request ids, oldest first. */
  const all: string[] = [];
  const ofGuest: string[] = [];
  let began: string;
  let middle: string;

  async function open(input: object): Promise<string> {
    const { data } = await server.graphql(OPEN_SHORT, { input: { ...SEED_INPUT, guestId: randomUUID(), ...input } });
    return data.createGuestSession.requestId;
  }

  beforeAll(async () => {
    server = await startServer();
    began = new Date().toISOString();
    for (let round = 0; round < 3; round += 1) {
      const mine = await open({ guestId: GUEST.toUpperCase(), channel: 'SMS', crmId: `crm-${round}` });
      ofGuest.push(mine);
      all.push(mine, await open({}));
      if (round === 0) {
        const now = Date.now();
        await eventually(() => Date.now() > now); // what comes next is of a later millisecond
        middle = new Date().toISOString();
      }
    }
    // Refused before there is a session: it shows in audits and events alone.
    await open({ guestId: 'nobody' });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Reads a list to its end in pages, and checks each of them. */
  async function readAll(
    list: string,
    selection: string,
    first: number,
    filter = '',
  ): Promise<Record<string, unknown>[]> {
    const rows: Record<string, unknown>[] = [];
    let after: string | null = null;
    for (let pages = 0; ; pages += 1) {
      const { data, errors } = await server.graphql(
        `query ($after: String) { ${list}(first: ${first}, after: $after ${filter}) {
          edges { cursor node { ${selection} } } nodes { ${selection} }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
        { after },
      );
      expect(errors).toBeUndefined();
      const { edges, nodes, pageInfo } = data[list];
      expect(edges.map((edge: { node: object }) => edge.node)).toEqual(nodes);
      expect(nodes.length).toBeLessThanOrEqual(first);
      expect(pageInfo.hasPreviousPage).toBe(pages > 0);
      expect(pageInfo.startCursor).toBe(edges.at(0)?.cursor ?? null);
      expect(pageInfo.endCursor).toBe(edges.at(-1)?.cursor ?? after);
      rows.push(...nodes);
      if (!pageInfo.hasNextPage) return rows;
      expect(nodes).toHaveLength(first);
      after = pageInfo.endCursor;
    }
  }
  const idsOf = (rows: readonly Record<string, unknown>[], name = 'id') => rows.map((row) => row[name]);
  const newestFirst = (ids: readonly string[]) => [...ids].reverse();

  it.each([1, 2, 6, 100])('of sessions comes newest first, each once, in pages of %i', async (first) => {
    expect(idsOf(await readAll('sessions', 'id', first))).toEqual(newestFirst(all));
  });

  it('of sessions holds those of one guest, in whatever case its id is written', async () => {
    for (const guestId of [GUEST, GUEST.toUpperCase()]) {
      const rows = await readAll('sessions', 'id guestId', 2, `filter: { guestId: "${guestId}" }`);
      expect(idsOf(rows)).toEqual(newestFirst(ofGuest));
      expect(new Set(idsOf(rows, 'guestId'))).toEqual(new Set([GUEST]));
    }
  });

  it('of sessions is filtered by every condition, all of which hold at once', async () => {
    const ids = async (filter: string) => idsOf(await readAll('sessions', 'id', 2, `filter: { ${filter} }`));

    expect(await ids('status: ACTIVE')).toEqual(newestFirst(all));
    expect(await ids(`status: ACTIVE, guestId: "${GUEST}"`)).toEqual(newestFirst(ofGuest));
    expect(await ids('crmId: "crm-1"')).toEqual([ofGuest[1]]);
    expect(await ids('crmId: "crm-1", status: FAILED')).toEqual([]);
    expect(await ids(`crmId: "crm-1", from: "${middle}"`)).toEqual([ofGuest[1]]);
    expect(await ids('status: EXPIRED')).toEqual([]);
    expect(await ids(`from: "${middle}"`)).toEqual(newestFirst(all.slice(2)));
    expect(await ids(`from: "${began}", to: "${middle}"`)).toEqual(newestFirst(all.slice(0, 2)));
    expect(await ids('guestId: null, status: null, from: null')).toEqual(newestFirst(all));
  });

  it('of sessions can be followed to events and audits, in one request', async () => {
    const [row] = await readAll('sessions', 'id requestId events { type requestId } audits { kind requestId }', 1);
    const requestId = row?.id;

    expect(row).toMatchObject({
      requestId,
      events: expect.arrayContaining([
        { type: 'SESSION_REQUESTED', requestId },
        { type: 'SESSION_INITIATED', requestId },
      ]),
      audits: expect.arrayContaining([{ kind: 'SESSION_INITIATION', requestId }]),
    });
  });

  it('of audits comes newest first, without a gap, and is filtered by every condition', async () => {
    const read = (filter: string) => readAll('audits', 'sequence requestId status kind', 2, `filter: { ${filter} }`);
    const initiations = await read('kind: SESSION_INITIATION');

    expect(idsOf(initiations, 'requestId').slice(1)).toEqual(newestFirst(all));
    expect(initiations[0]).toMatchObject({ status: 'REJECTED' });
    const sequences = idsOf(
      await readAll('audits', 'sequence', 3, 'filter: { to: "2999-01-01T00:00:00Z" }'),
      'sequence',
    );
    expect(sequences).toEqual(sequences.map((_, index) => sequences.length - index));
    expect(await read('status: REJECTED')).toHaveLength(1);
    expect(idsOf(await read(`guestId: "${GUEST.toUpperCase()}", kind: SESSION_INITIATION`), 'requestId')).toEqual(
      newestFirst(ofGuest),
    );
    expect(await read(`requestId: "${all[0]}", kind: SESSION_INITIATION`)).toHaveLength(1);
    expect(await read(`kind: SESSION_INITIATION, to: "${middle}"`)).toHaveLength(2);
  });

  it('of events comes oldest first, without a gap, and is filtered by type and guest', async () => {
    const read = (filter: string) => readAll('events', 'type requestId cursor', 2, filter);
    const requested = await read('types: [SESSION_REQUESTED]');

    expect(idsOf(requested, 'requestId')).toEqual(all);
    expect(await read('types: [SESSION_REJECTED]')).toHaveLength(1);
    expect(await read('types: []')).toEqual([]);
    expect(await read('types: [SESSION_EXPIRED, SESSION_EXPIRED]')).toEqual([]);
    const mine = await read(`types: [SESSION_INITIATED, SESSION_REQUESTED], guestId: "${GUEST.toUpperCase()}"`);
    expect(mine.map(({ type, requestId }) => [type, requestId])).toEqual(
      ofGuest.flatMap((id) => [
        ['SESSION_REQUESTED', id],
        ['SESSION_INITIATED', id],
      ]),
    );
    // An event's own cursor is that of its edge: what was read can be gone on from with a subscription.
    const { data } = await server.graphql('{ events(first: 1) { edges { cursor node { cursor } } } }');
    expect(data.events.edges[0].node.cursor).toBe(data.events.edges[0].cursor);
  });

  it('that has nothing more gives the cursor back that it was asked with', async () => {
    const { data } = await server.graphql('{ events { pageInfo { endCursor } } }');
    const after = data.events.pageInfo.endCursor;
    const { data: next } = await server.graphql(
      'query ($after: String) { events(after: $after, types: [SESSION_EXPIRED]) { nodes { id } pageInfo { hasNextPage endCursor } } }',
      { after },
    );

    expect(next.events).toEqual({ nodes: [], pageInfo: { hasNextPage: false, endCursor: after } });
  });

  it('refuses the cursor of another list', async () => {
    const { data } = await server.graphql('{ sessions { pageInfo { endCursor } } }');
    const { errors } = await server.graphql('query ($after: String) { audits(after: $after) { nodes { id } } }', {
      after: data.sessions.pageInfo.endCursor,
    });

    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  it('is not needed for one session: either of its ids finds it', async () => {
    const find = async (by: string) => (await server.graphql(`{ session(${by}) { id sessionId } }`)).data.session;
    const session = await find(`id: "${all[0]}"`);

    expect(session).toEqual({ id: all[0], sessionId: expect.stringMatching(/^cxs_/) });
    expect(await find(`sessionId: "${session.sessionId}"`)).toEqual(session);
    expect(await find('id: "unknown"')).toBeNull();
    expect(await find('sessionId: ""')).toBeNull();
  });

  it('is not needed for numbers: metrics count the same attempts', async () => {
    const { data } = await server.graphql(
      '{ metrics { totalRequests successfulRequests rejectedRequests failedRequests successRate reliabilityRate activeSessions outcomes { status errorCode count } } }',
    );

    expect(data.metrics).toEqual({
      totalRequests: 7,
      successfulRequests: 6,
      rejectedRequests: 1,
      failedRequests: 0,
      successRate: expect.closeTo(600 / 7),
      reliabilityRate: 100,
      activeSessions: 6,
      outcomes: [
        { status: 'SUCCESS', errorCode: null, count: 6 },
        { status: 'REJECTED', errorCode: 'INVALID_INPUT', count: 1 },
      ],
    });
  });
});
