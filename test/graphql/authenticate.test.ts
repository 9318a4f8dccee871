import type { ServerResponse } from 'node:http';
import { GraphQLError } from 'graphql';
import { expect, it, onTestFinished } from 'vitest';
import { type Arrival, Gate } from '../../src/access/gate.js';
import type { CountedRefusal } from '../../src/access/refusals.js';
import { RequestRates } from '../../src/access/request-rates.js';
import { authenticateAt } from '../../src/graphql/authenticate.js';
import { UNKNOWN_CONNECTION } from '../../src/guest-session/believed-connection.js';
import { NO_KEYS, TOKENS } from '../access/gate-settings.js';
import { KeySetServer, makeIssuerKey, tokenBy } from '../support/token-issuer.js';

const SOURCE = '203.0.113.0/24#000000000001';
const arrival: Arrival = {
  sourceAddress: SOURCE,
  client: '203.0.113.7',
  origin: undefined,
  isSameOrigin: true,
  connection: UNKNOWN_CONNECTION,
};

/** Tokens are those of an issuer that answers like this; three requests are allowed from one address. */
async function start(instead: (response: ServerResponse) => void) {
  const key = await makeIssuerKey('ES256');
  const issuer = await KeySetServer.start(key);
  onTestFinished(() => issuer[Symbol.asyncDispose]());
  issuer.instead = instead;
  const written: CountedRefusal[] = [];
  const gate = new Gate({
    ...NO_KEYS,
    tokens: { ...TOKENS, keys: { url: issuer.url } },
    write: async (refusals) => void written.push(...refusals),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  onTestFinished(() => gate[Symbol.asyncDispose]());
  const many = { perKey: 100, perGuestKey: 100, createPerAddress: 100, createPerFingerprint: 100 };
  const rates = new RequestRates({ limits: { ...many, perAddress: 3 }, onSlowDown: () => undefined });
  onTestFinished(() => rates[Symbol.dispose]());
  const authenticate = authenticateAt(gate, rates);
  /** The code of the answer. */
  const present = async () => {
    try {
      return (await authenticate(`Bearer ${await tokenBy(key)}`, arrival)).name;
    } catch (error) {
      return error instanceof GraphQLError ? error.extensions.code : error;
    }
  };
  return { written, present };
}

it('a token that nobody can check at the moment counts as a request without a key, and is in the trail', async () => {
  const { present, written } = await start((response) => response.destroy());
  const codes: unknown[] = [];
  for (let i = 0; i < 5; i += 1) codes.push(await present());

  const putOff = 'SERVICE_UNAVAILABLE';
  expect(codes).toEqual([putOff, putOff, putOff, 'TOO_MANY_REQUESTS', 'TOO_MANY_REQUESTS']);
  const actor = { name: 'anonymous', role: null, sourceAddress: SOURCE };
  expect(written).toEqual([{ actor, reason: "the token cannot be checked without the issuer's keys", attempts: 1 }]);
});
