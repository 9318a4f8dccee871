import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, bearer, type Server, startServer } from '../http/server.js';
import { eventually } from '../support/eventually.js';
import { openWithKey } from '../support/key-socket.js';
import { inputFor, OPEN } from '../support/network.js';

/** This machine's address, which the tests come from as the proxy does; from another one of it nobody is trusted. */
const PROXY = '127.0.0.1';
const ELSEWHERE = new Agent({ localAddress: '127.0.0.2' });

/** What the fraud service was told of each guest, the last time. It knows no risk. */
const told = new Map<string, { isProxy: boolean; country: string | null }>();
const scorer = createServer(async (incoming, outgoing) => {
  const { guestId, isProxy, country } = JSON.parse(await text(incoming));
  told.set(guestId, { isProxy, country });
  outgoing.setHeader('content-type', 'application/json').end('{"score":0}');
});

let server: Server;
beforeAll(async () => {
  await once(scorer.listen(0, '127.0.0.1'), 'listening');
  server = await startServer({
    API_KEYS,
    RATE_LIMITS: 'off', // more is asked for one device here than in a minute of its life
    TRUST_PROXY: `${PROXY}, 10.0.0.0/8`,
    COUNTRY_HEADER: 'CF-IPCountry',
    PROXY_HEADER: 'x-visitor-is-proxy',
    FRAUD_PROVIDER: 'http',
    FRAUD_SERVICE_URL: `http://127.0.0.1:${(scorer.address() as AddressInfo).port}`,
  });
});
afterAll(async () => {
  scorer.close();
  await ELSEWHERE.close();
  await server[Symbol.asyncDispose]();
});

const forwardedFor = (...addresses: string[]) => ({ 'x-forwarded-for': addresses.join(', ') });

/** Asks from an address that is no proxy's. */
async function askFromElsewhere(query: string, variables: object, headers: Record<string, string>) {
  const { body } = await request(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
    dispatcher: ELSEWHERE,
  });
  // biome-ignore lint/suspicious/noExplicitAny: as of the server's own `graphql`
  return (await body.json()) as { data: any };
}

/** Where the audit trail says that an attempt came from: the network of it. */
async function networkOf(requestId: string): Promise<string> {
  const query = 'query ($id: String) { audits(filter: { requestId: $id }) { nodes { sourceAddress } } }';
  const { data } = await server.graphql(query, { id: requestId }, bearer('OPS'));
  return data.audits.nodes[0].sourceAddress.split('#')[0];
}

describe('the source address in the audit trail', () => {
  const from = async (headers: Record<string, string>) => {
    const { data } = await server.graphql(OPEN, { input: inputFor() }, { ...bearer('GUEST'), ...headers });
    return networkOf(data.createGuestSession.requestId);
  };

  it('is that of whom trusted proxies name, whatever the client had sent', async () => {
    expect(await from(forwardedFor('198.51.100.1', '203.0.113.77', '10.0.0.3'))).toBe('203.0.113.0/24');
    expect(await from(forwardedFor('[2001:db8:1:2::3]:4711'))).toBe('2001:db8:1::/48');
  });

  it('is that of the proxy where it names nobody', async () => {
    expect(await from({})).toBe('127.0.0.0/24');
    expect(await from(forwardedFor('203.0.113.77', 'unknown'))).toBe('127.0.0.0/24');
    expect(await from(forwardedFor('203.0.113.77', 'x'.repeat(8_000)))).toBe('127.0.0.0/24');
  });

  it('is that of the peer where that is no trusted proxy, whomever it names', async () => {
    const headers = { ...bearer('GUEST'), ...forwardedFor('203.0.113.77') };
    const { data } = await askFromElsewhere(OPEN, { input: inputFor() }, headers);
    expect(await networkOf(data.createGuestSession.requestId)).toBe('127.0.0.0/24');
  });

  it('of a socket is likewise that of whom trusted proxies name', async () => {
    await openWithKey(server.url, 'no key', undefined, forwardedFor('203.0.113.77', '198.51.100.9'));

    const query = '{ audits(first: 100, filter: { kind: ACCESS_REFUSED }) { nodes { sourceAddress } } }';
    await eventually(async () => {
      const { data } = await server.graphql(query, undefined, bearer('OPS'));
      const networks = data.audits.nodes.map((entry: { sourceAddress: string }) => entry.sourceAddress.split('#')[0]);
      return networks.includes('198.51.100.0/24');
    });
  });

  it('is in the log nowhere in the clear', () => {
    expect(server.logLines.join('\n')).not.toMatch(/203\.0\.113\.77|198\.51\.100\.9|2001:db8:1:2::3/);
  });
});

describe("a guest's connection, as the fraud check is told of it", () => {
  const FRANCE = { ...forwardedFor('203.0.113.77'), 'cf-ipcountry': 'FR', 'x-visitor-is-proxy': 'true' };
  const CLAIM = { isProxy: false, country: 'US' };
  /** Opens a session, and says what the fraud check was told. */
  const toldOf = async (input: object, headers: Record<string, string>) => {
    const guestId = `guest-${randomUUID()}`;
    const { data } = await server.graphql(OPEN, { input: { ...inputFor(guestId), ...input } }, headers);
    expect(data.createGuestSession).toMatchObject({ userErrors: [], session: { status: 'ACTIVE' } });
    return told.get(guestId);
  };

  it('is what the proxy says where a GUEST asks, whatever the GUEST says', async () => {
    const guest = { ...bearer('GUEST'), ...FRANCE };
    expect(await toldOf({ ipMetadata: CLAIM }, guest)).toEqual({ isProxy: true, country: 'FR' });
    expect(await toldOf({ ipMetadata: { country: 'nowhere' } }, guest)).toEqual({ isProxy: true, country: 'FR' });
    expect(await toldOf({}, { ...guest, 'cf-ipcountry': 'T1' })).toEqual({ isProxy: true, country: null });
  });

  it('is not known where the proxy says nothing that can be understood', async () => {
    const unknown = { isProxy: false, country: null };
    expect(await toldOf({ ipMetadata: CLAIM }, bearer('GUEST'))).toEqual(unknown);
    expect(await toldOf({}, { ...bearer('GUEST'), 'cf-ipcountry': 'XX', 'x-visitor-is-proxy': '?' })).toEqual(unknown);
  });

  it('is not known where the headers come past the proxy', async () => {
    const input = inputFor(`guest-${randomUUID()}`);
    await askFromElsewhere(OPEN, { input }, { ...bearer('GUEST'), ...FRANCE });
    expect(told.get(input.guestId)).toEqual({ isProxy: false, country: null });
  });

  it.each(['BACKEND', 'OPS'] as const)('is what a %s says, whose own connection is another one', async (role) => {
    expect(await toldOf({ ipMetadata: CLAIM }, { ...bearer(role), ...FRANCE })).toEqual(CLAIM);
    expect(await toldOf({ ipMetadata: null }, { ...bearer(role), ...FRANCE })).toEqual({
      isProxy: false,
      country: null,
    });
  });

  it('may change between a request of a GUEST and its repeat, which is answered with the same session', async () => {
    const input = { ...inputFor(`guest-${randomUUID()}`), idempotencyKey: randomUUID() };
    const first = await server.graphql(OPEN, { input }, { ...bearer('GUEST'), ...FRANCE });
    const elsewhere = { ...bearer('GUEST'), ...forwardedFor('198.51.100.9'), 'cf-ipcountry': 'DE' };
    const repeat = await server.graphql(OPEN, { input: { ...input, ipMetadata: null } }, elsewhere);

    const { replayed, session } = repeat.data.createGuestSession;
    expect([replayed, session.id]).toEqual([true, first.data.createGuestSession.session.id]);
  });

  it('may not change between a request of a BACKEND and its repeat: it says that itself', async () => {
    const input = { ...inputFor(`guest-${randomUUID()}`), idempotencyKey: randomUUID() };
    await server.graphql(OPEN, { input }, bearer('BACKEND'));
    const other = { ...input, ipMetadata: { isProxy: false, country: 'DE' } };

    const { data } = await server.graphql(OPEN, { input: other }, bearer('BACKEND'));
    expect(data.createGuestSession.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
  });
});
