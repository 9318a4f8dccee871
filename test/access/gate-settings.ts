import type { GateSettings } from '../../src/access/gate.js';
import type { TokenSettings } from '../../src/access/json-web-tokens.js';
import { AUDIENCE, ISSUER } from '../support/token-issuer.js';

/** A gate that nobody gets through: no keys, no tokens, no proxies. */
export const NO_KEYS = {
  fixed: [],
  file: null,
  addressKey: Buffer.alloc(32),
  tokens: null,
  proxies: { trust: null, countryHeader: null, proxyHeader: null },
  writeKeyChange: async () => undefined,
} satisfies Partial<GateSettings>;

/** What tokens have to be like, but for the keys that they are signed with. */
export const TOKENS = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  roleClaim: 'role',
  origins: [],
  subjectKey: Buffer.alloc(32),
} satisfies Partial<TokenSettings>;
